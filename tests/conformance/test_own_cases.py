"""Our own cases, on a real Temporal server: what the catalogue names and does not exercise."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from xworkflow.client.connection import connect
from xworkflow.testing.cases import Verdict, find_cases
from xworkflow.testing.run import run_folders

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

FOLDERS = find_cases(Path(__file__).parent / "cases")


@pytest.fixture(scope="module")
def verdicts(temporal_server: str) -> dict[str, Verdict]:
    """All cases, run once, a few side by side."""

    async def run() -> list[Verdict]:
        return await run_folders(FOLDERS, await connect(temporal_server))

    return {verdict.name: verdict for verdict in asyncio.run(run())}


@pytest.mark.parametrize("name", [folder.name for folder in FOLDERS])
def test_a_case_of_ours_gives_what_it_expects(name: str, verdicts: dict[str, Verdict]) -> None:
    verdict = verdicts[name]
    assert verdict.outcome == "passed", verdict.problems
