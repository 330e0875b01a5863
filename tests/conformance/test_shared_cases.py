"""The catalogue's cases (spec/graph.md 10), on a real Temporal server, as ``xworkflow test`` runs
them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from xworkflow.client.connection import connect
from xworkflow.testing.cases import Verdict, find_cases
from xworkflow.testing.run import run_folders

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

CASES = Path(__file__).resolve().parents[3] / "shared" / "conformance" / "cases"
FOLDERS = find_cases(CASES) if CASES.is_dir() else []


@pytest.fixture(scope="module")
def verdicts(temporal_server: str) -> dict[str, Verdict]:
    """All cases, run once, a few side by side."""

    async def run() -> list[Verdict]:
        return await run_folders(FOLDERS, await connect(temporal_server))

    return {verdict.name: verdict for verdict in asyncio.run(run())}


@pytest.mark.parametrize("name", [folder.name for folder in FOLDERS])
def test_a_case_of_the_catalogue_gives_what_it_expects(
    name: str, verdicts: dict[str, Verdict]
) -> None:
    verdict = verdicts[name]
    if verdict.outcome == "skipped":
        pytest.skip("; ".join(verdict.problems))
    assert verdict.outcome == "passed", verdict.problems


def test_the_catalogue_is_there(shared: Path) -> None:
    assert len(find_cases(shared / "conformance" / "cases")) > 80
