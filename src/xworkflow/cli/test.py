"""``xworkflow test``: unit tests for workflows, as folders of TOML files."""

from __future__ import annotations

import asyncio
import fnmatch
import time
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Annotated
from xml.etree import ElementTree as Xml

import typer
from rich.markup import escape
from temporalio.client import Client

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.place import server_place
from xworkflow.cli.printing import errors, output
from xworkflow.errors import InputError
from xworkflow.testing.cases import Verdict, find_cases, read_case, run_case

EXAMPLES = """
Run a folder of cases on Temporal: each is a folder with `workflow.toml` (or `.yml`, `.json`),
`in.toml`, `state.toml` (mock servers, mocked nodes, fake time and ids) and `out.toml`.
The format is described in `docs/testing.md`.

**Examples**

    xworkflow test tests/cases
    xworkflow test tests/cases --case "03*" --junit report.xml
"""

SIDE_BY_SIDE = 4


def register(app: typer.Typer) -> None:
    @app.command("test", help=EXAMPLES)
    def command(  # pyright: ignore[reportUnusedFunction]
        folder: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of cases.")],
        case: Annotated[str | None, typer.Option(metavar="GLOB", help="Only these cases.")] = None,
        junit: Annotated[Path | None, typer.Option(metavar="FILE", help="A JUnit report.")] = None,
        address: Annotated[str | None, typer.Option(help="HOST:PORT of a Temporal server.")] = None,
    ) -> int:
        if not folder.is_dir():
            raise InputError((f"{folder}: there is no such folder",))
        folders = [
            found
            for found in find_cases(folder)
            if case is None or fnmatch.fnmatch(found.name, case)
        ]
        if not folders:
            raise InputError((f"{folder}: no case there{f' matches {case!r}' if case else ''}",))
        verdicts = run_async_verdicts(folders, address)
        if junit is not None:
            write_junit(junit, verdicts)
        return print_verdicts(verdicts)


def run_async_verdicts(folders: list[Path], address: str | None) -> list[Verdict]:
    """Run all cases, a few at a time, and print each that fails as it does."""
    verdicts: list[Verdict] = []

    async def work() -> int:
        async with server_place(address, ui=False) as place:
            verdicts.extend(await run_folders(folders, place.client))
        return ExitCode.OK

    run_async(work())
    return verdicts


async def run_folders(folders: list[Path], client: Client) -> list[Verdict]:
    """Run cases with a worker of our own, on a task queue of our own."""
    from xworkflow.runtime_group.group import RuntimeGroup
    from xworkflow.worker import build_worker

    group, queue = RuntimeGroup.default(), f"xworkflow-test-{uuid.uuid4()}"
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(folder: Path) -> Verdict:
        async with places:
            began = time.monotonic()
            try:
                verdict = await run_case(read_case(folder), client, queue)
            except InputError as error:
                verdict = Verdict(folder.name, "failed", error.problems)
            verdict = replace(verdict, seconds=time.monotonic() - began)
            _print_failure(verdict)
            return verdict

    try:
        async with build_worker(client, group, queue=queue):
            return list(await asyncio.gather(*(one(folder) for folder in folders)))
    finally:
        await group.aclose()


def _print_failure(verdict: Verdict) -> None:
    if verdict.outcome == "failed":
        text = "; ".join(verdict.problems)
        errors().print(f"[red]FAILED[/] {escape(verdict.name)}: {escape(text)}")


def print_verdicts(verdicts: list[Verdict]) -> int:
    """The skipped ones by reason, and the closing line."""
    for verdict in verdicts:
        if verdict.outcome == "skipped":
            reason = "; ".join(verdict.problems)
            errors().print(f"[yellow]skipped[/] {escape(verdict.name)}: {escape(reason)}")
    counts = {o: sum(v.outcome == o for v in verdicts) for o in ("passed", "failed", "skipped")}
    output().print(
        f"{counts['passed']} passed, {counts['failed']} failed, {counts['skipped']} skipped"
    )
    return ExitCode.FAILED if counts["failed"] else ExitCode.OK


def write_junit(path: Path, verdicts: list[Verdict]) -> None:
    """A JUnit XML report."""
    suite = Xml.Element(
        "testsuite",
        name="xworkflow",
        tests=str(len(verdicts)),
        failures=str(sum(v.outcome == "failed" for v in verdicts)),
        skipped=str(sum(v.outcome == "skipped" for v in verdicts)),
    )
    for verdict in verdicts:
        case = Xml.SubElement(
            suite, "testcase", name=verdict.name, time=f"{verdict.seconds:.3f}", classname="cases"
        )
        if verdict.outcome != "passed":
            tag = "failure" if verdict.outcome == "failed" else "skipped"
            Xml.SubElement(case, tag, message="; ".join(verdict.problems))
    Xml.ElementTree(suite).write(path, encoding="unicode", xml_declaration=True)
