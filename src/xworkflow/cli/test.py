"""``xworkflow test``: unit tests for workflows, as folders of TOML files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.testing.cases import Verdict

EXAMPLES = """
Run a folder of cases on Temporal: each is a folder with `workflow.toml` (or `.yml`, `.json`),
`in.toml`, `state.toml` (mock servers, mocked nodes, fake time and ids) and `out.toml`.
The format is described in `docs/testing.md`.

**Exit codes:** 0 none failed · 1 one failed · 2 there are no cases · 3 no server

**Examples**

    xworkflow test tests/cases
    xworkflow test tests/cases --case "03*" --junit report.xml
"""


def register(app: typer.Typer) -> None:
    @app.command("test", help=EXAMPLES)
    def command(
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of cases.")],
        case: Annotated[str | None, typer.Option(metavar="GLOB", help="Only these cases.")] = None,
        junit: Annotated[Path | None, typer.Option(metavar="FILE", help="A JUnit report.")] = None,
        address: Annotated[
            str | None, typer.Option(metavar="HOST:PORT", help="A Temporal server.")
        ] = None,
    ) -> int:
        folders = _chosen(folder, case)
        if junit is not None:
            _require_writable(junit)
        verdicts = run_async(_run(folders, address))
        if junit is not None:
            from xworkflow.cli.junit import write_junit

            write_junit(junit, verdicts)
        return ExitCode.FAILED if any(v.outcome == "failed" for v in verdicts) else ExitCode.OK


def _chosen(folder: Path, pattern: str | None) -> list[Path]:
    """The cases below a folder whose names match. Raises InputError when there are none."""
    from fnmatch import fnmatch

    from xworkflow.testing.cases import find_cases

    if not folder.is_dir():
        raise InputError((f"{folder}: there is no such folder",))
    found = [case for case in find_cases(folder) if pattern is None or fnmatch(case.name, pattern)]
    if not found:
        matching = "" if pattern is None else f" that matches '{pattern}'"
        raise InputError((f"{folder}: there is no case{matching}",))
    return found


def _require_writable(report: Path) -> None:
    """Say now, not after the last case, that a report cannot be written."""
    try:
        report.touch()
    except OSError as error:
        raise InputError((f"--junit {report}: {error.strerror}",)) from None


async def _run(folders: list[Path], address: str | None) -> list[Verdict]:
    from xworkflow.cli.case_report import CaseReport
    from xworkflow.cli.place import server_place
    from xworkflow.testing.run import run_folders

    with CaseReport(len(folders)) as report:
        async with server_place(address, ui=False) as place:
            verdicts = await run_folders(folders, place.client, report.take)
        report.close(verdicts)
    return verdicts
