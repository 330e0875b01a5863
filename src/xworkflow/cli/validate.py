"""``xworkflow validate``: what is wrong with workflow files, all of it at once."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import colour_of, output, plain, print_json, table
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.domain.diagnostics import Report

EXAMPLES = """
Check workflow files without running them: every problem, with its code, line, node and field.

**Exit codes:** 0 all are valid · 2 one is not

**Examples**

    xworkflow validate app.yml
    xworkflow validate flows/a.yml flows/b.yml --json
"""


def register(app: typer.Typer) -> None:
    @app.command("validate", help=EXAMPLES)
    def command(
        files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML, JSON or TOML.")],
        as_json: Annotated[
            bool, typer.Option("--json", help="One object, with a report for each file.")
        ] = False,
    ) -> int:
        return run(files, as_json=as_json)


def run(files: list[Path], *, as_json: bool) -> int:
    """Exit code 0 when all files are valid, else 2."""
    reports = {str(path): report_of(path) for path in files}
    if as_json:
        print_json({name: report.to_json() for name, report in reports.items()})
    else:
        _print_table(reports)
    valid = all(report.is_valid for report in reports.values())
    return ExitCode.OK if valid else ExitCode.REFUSED


def report_of(path: Path) -> Report:
    """The diagnostics of loading and of validation. A file that cannot be read has one, too."""
    from xworkflow.cli.files import read_workflow, report_on
    from xworkflow.domain.diagnostics import Report, finding

    try:
        return report_on(read_workflow(path))
    except InputError as error:
        return Report(diagnostics=(finding("E001", str(error).removeprefix(f"{path}: ")),))


def _print_table(reports: Mapping[str, Report]) -> None:
    """A row for each diagnostic, and the verdict on each file."""
    console = output()
    rows = table("file", "code", "node", "field", "problem")
    for name, report in reports.items():
        for found in report.diagnostics:
            rows.add_row(
                plain(name if found.line is None else f"{name}:{found.line}"),
                f"[{colour_of(found)}]{found.code}[/]",
                plain(found.node_id or found.edge_id or ""),
                plain(found.field_path or ""),
                plain(found.message),
            )
    if rows.row_count:
        console.print(rows)
    for name, report in reports.items():
        verdict = "[green]valid[/]" if report.is_valid else "[red]not valid[/]"
        console.print(f"{verdict} {plain(name)}")
