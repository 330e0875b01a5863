"""``xworkflow validate``: what is wrong with workflow files, all of it at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.files import read_workflow
from xworkflow.cli.printing import output, print_json, print_report
from xworkflow.domain.diagnostics import Report, finding
from xworkflow.engine.validation import validate
from xworkflow.errors import InputError

EXAMPLES = """
Check workflow files without running them: every problem, with its code, node, field and line.

**Examples**

    xworkflow validate app.yml
    xworkflow validate flows/*.yml --json
"""


def register(app: typer.Typer) -> None:
    @app.command("validate", help=EXAMPLES)
    def command(  # pyright: ignore[reportUnusedFunction]
        files: Annotated[list[Path], typer.Argument(metavar="FILE…", help="YAML, JSON or TOML.")],
        as_json: Annotated[bool, typer.Option("--json", help="Diagnostics as JSON.")] = False,
    ) -> int:
        return run(files, as_json=as_json)


def run(files: list[Path], *, as_json: bool) -> int:
    """Exit code 0 when all files are valid, else 2."""
    reports = {str(path): report_of(path) for path in files}
    if as_json:
        print_json({name: report.to_json() for name, report in reports.items()})
    else:
        for name, report in reports.items():
            print_report(report, name)
            verdict = "[green]valid[/]" if report.is_valid else "[red]not valid[/]"
            output().print(f"{verdict} {name}")
    valid = all(report.is_valid for report in reports.values())
    return ExitCode.OK if valid else ExitCode.REFUSED


def report_of(path: Path) -> Report:
    """The diagnostics of loading and of validation. A file that cannot be read has one, too."""
    try:
        loaded = read_workflow(path)
    except InputError as error:
        return Report(diagnostics=(finding("E001", str(error)),))
    if loaded.schema is None:
        return Report(diagnostics=loaded.diagnostics)
    found = validate(loaded.schema)
    return Report(diagnostics=(*loaded.diagnostics, *found.diagnostics))
