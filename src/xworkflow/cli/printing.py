"""Text for people on stderr and stdout: plain lines, and colours only on a terminal."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xworkflow.domain.diagnostics import Report


def errors() -> Console:
    """The console of stderr; made anew, as tests and pipes replace the stream."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def output() -> Console:
    """The console of stdout."""
    return Console(highlight=False, soft_wrap=True)


def print_error(text: str) -> None:
    """One sentence about what went wrong."""
    errors().print(f"[bold red]error:[/] {escape(text)}")


def print_note(text: str) -> None:
    """One line of progress or advice."""
    errors().print(escape(text), style="dim" if sys.stderr.isatty() else "")


def print_json(value: Any) -> None:  # noqa: ANN401 - JSON
    """One JSON value on stdout, without colours or wrapping."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None) + "\n")


def print_report(report: Report, name: str) -> None:
    """All diagnostics of one workflow, a line each, on stderr."""
    console = errors()
    for found in report.diagnostics:
        colour = "red" if found.level == "error" else "yellow"
        places = [
            f"line {found.line}" if found.line is not None else "",
            f"node '{found.node_id}'" if found.node_id is not None else "",
            f"edge '{found.edge_id}'" if found.edge_id is not None else "",
            f"field '{found.field_path}'" if found.field_path is not None else "",
        ]
        place = ", ".join((name, *filter(None, places)))
        console.print(f"[{colour}]{found.code}[/] {escape(place)}: {escape(found.message)}")


def table(*columns: str) -> Table:
    """An empty table in the house's style."""
    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
