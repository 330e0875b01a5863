"""Text for people: results on stdout, the rest on stderr; colours only on a terminal.

What comes from a workflow (titles, errors, outputs) may hold anything: ``plain`` takes the commands
for terminals out of it, and the markup of our own lines is never read from it.
"""

from __future__ import annotations

import contextlib
import json
import re
import sys
from collections.abc import Generator
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from xworkflow.domain.diagnostics import Diagnostic, Report

_LINE_LENGTH = 300
_CONTROLS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_WIDE = 10_000
"""Columns of what is no terminal, so that a row of a table stays one line."""


def errors() -> Console:
    """The console of stderr; made anew, as tests and pipes replace the stream."""
    return _console(sys.stderr)


def output() -> Console:
    """The console of stdout."""
    return _console(sys.stdout)


def _console(stream: TextIO) -> Console:
    from rich.console import Console  # here, as it takes longer than reading a small workflow

    width = None if stream.isatty() else _WIDE
    return Console(file=stream, highlight=False, soft_wrap=True, emoji=False, width=width)


def plain(text: str) -> str:
    """A text as a part of our own lines: controls are shown, not obeyed; brackets are no markup."""
    from rich.markup import escape

    return escape(_shown(text))


def plain_line(text: str) -> str:
    """As ``plain``, on one line, and cut to what a line of progress can hold."""
    line = " ".join(text.split())
    return plain(line if len(line) <= _LINE_LENGTH else line[:_LINE_LENGTH] + "…")


def _shown(text: str) -> str:
    return _CONTROLS.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def print_error(text: str) -> None:
    """One sentence about what went wrong."""
    errors().print(f"[bold red]error:[/] {plain(text)}")


def print_note(text: str) -> None:
    """One line of progress or advice."""
    errors().print(f"[dim]{plain(text)}[/]")


@contextlib.contextmanager
def working(text: str) -> Generator[None]:
    """Show what the command is waiting for; only a terminal shows it, and only meanwhile."""
    console = errors()
    if not console.is_terminal:
        yield
        return
    with console.status(plain(text)):
        yield


def print_text(text: str, *, flush: bool = False) -> None:
    """A result that is text: as it is, except that a terminal is not to obey it."""
    sys.stdout.write((_shown(text) if sys.stdout.isatty() else text) + "\n")
    if flush:
        sys.stdout.flush()


def print_piece(piece: str) -> None:
    """A piece of a result that is text, at once."""
    sys.stdout.write(_shown(piece) if sys.stdout.isatty() else piece)
    sys.stdout.flush()


def print_json(value: Any, *, flush: bool = False) -> None:  # noqa: ANN401 - JSON
    """One JSON value on stdout, in one line and without colours."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None) + "\n")
    if flush:
        sys.stdout.flush()


def print_report(report: Report, name: str) -> None:
    """All diagnostics of one workflow on stderr, a sentence with its place for each."""
    console = errors()
    for found in report.diagnostics:
        places = [
            name,
            *([f"line {found.line}"] if found.line is not None else []),
            *places_in_graph(found),
        ]
        place = plain(", ".join(places))
        console.print(f"[{colour_of(found)}]{found.code}[/] {place}: {plain(found.message)}")


def places_in_graph(found: Diagnostic) -> list[str]:
    """Which node, edge and field a diagnostic is about."""
    places = (("node", found.node_id), ("edge", found.edge_id), ("field", found.field_path))
    return [f"{kind} '{name}'" for kind, name in places if name is not None]


def colour_of(found: Diagnostic) -> str:
    """The colour of a diagnostic's code."""
    return "red" if found.level == "error" else "yellow"


def table(*columns: str) -> Table:
    """An empty table in the house's style."""
    from rich.table import Table

    made = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        made.add_column(column, overflow="fold")
    return made
