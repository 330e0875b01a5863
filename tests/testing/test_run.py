"""Running cases: the order of verdicts, what is skipped, what a broken case costs the others."""

from __future__ import annotations

from pathlib import Path

import pytest
from temporalio.client import Client

from tests.cli import flows
from xworkflow.testing.cases import Verdict, find_cases
from xworkflow.testing.run import run_folders

pytestmark = pytest.mark.temporal

CASES = {
    "a_right": {"in.toml": "name = 'Ada'", "out.toml": "[outputs]\ngreeting = 'Ada'"},
    "b_wrong": {"in.toml": "name = 'Ada'", "out.toml": "[outputs]\ngreeting = 'Bob'"},
    "c_input": {"out.toml": "status = 'failed'\nerror_contains = \"'name' is required\""},
    "d_broken": {"out.toml": "status = 3"},
    "e_unreadable": {"workflow.toml": "= ="},
    "f_refused": {"workflow.yml": flows.UNKNOWN_TYPE},
    "g_mocked": {
        "workflow.yml": flows.UNKNOWN_TYPE,
        "state.toml": "[mock_nodes.beam]\nerror = 'lost'",
        "out.toml": "status = 'failed'\nerror_contains = 'lost'",
    },
    "h_unsupported": {"workflow.yml": flows.UNKNOWN_TYPE.replace("teleport", "plugin.shop")},
}


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    for name, files in CASES.items():
        has_workflow = any(file.startswith("workflow.") for file in files)
        texts = files if has_workflow else {"workflow.toml": flows.GREET, **files}
        for file, text in texts.items():
            flows.write(tmp_path / name, file, text)
    return find_cases(tmp_path)


async def test_every_case_gets_its_verdict_whatever_the_others_do(
    temporal_client: Client, folders: list[Path]
) -> None:
    heard: list[Verdict] = []
    verdicts = await run_folders(folders, temporal_client, heard.append)
    assert [verdict.name for verdict in verdicts] == list(CASES)
    assert sorted(heard, key=lambda verdict: verdict.name) == verdicts
    outcomes = {verdict.name: verdict.outcome for verdict in verdicts}
    assert outcomes == {
        "a_right": "passed",
        "b_wrong": "failed",
        "c_input": "passed",
        "d_broken": "failed",
        "e_unreadable": "failed",
        "f_refused": "failed",
        "g_mocked": "passed",
        "h_unsupported": "skipped",
    }
    problems = {verdict.name: verdict.problems for verdict in verdicts}
    assert problems["b_wrong"] == ('output greeting: expected "Bob", got "Ada"',)
    assert "workflow.toml: DSL parse error" in problems["e_unreadable"][0]
    assert problems["f_refused"] == (
        "status: expected completed, got failed Validation failed",
        "E009 node 'beam': unknown node type 'teleport'",
    )
    assert problems["h_unsupported"][0].startswith("node type 'plugin.shop' is not supported")
    assert all(verdict.seconds > 0 for verdict in verdicts)


DEBUGGED = {
    "a_abort": {
        "debug.toml": """
            config = { breakpoints = ["end"] }
            [[steps]]
            expect_node = "end"
            expect_reason = "breakpoint"
            expect_phase = "before"
            expect_snapshot_contains = { "start.name" = "Ada", "start:count" = 3 }
            action = "abort"
            abort_reason = "enough"
        """,
        "out.toml": "status = 'failed'\nerror_contains = 'Workflow aborted: enough'",
    },
    "b_breakpoints": {
        "debug.toml": """
            config = { break_on_start = true }
            steps = [
              { expect_reason = "initial", add_breakpoint = "end", action = "continue" },
              { expect_reason = "breakpoint", remove_breakpoint = "end", action = "step" },
              { expect_phase = "after", action = "continue" },
            ]
        """,
    },
    "c_inspected": {
        "debug.toml": """
            config = { breakpoints = ["end"] }
            steps = [{ action = "inspect" }]
        """,
    },
    "d_wrong": {
        "debug.toml": """
            config = { breakpoints = ["end"] }
            steps = [{ expect_node = "start", expect_snapshot = { "start.name" = "Bob" } }]
        """,
    },
    "e_over": {"debug.toml": "steps = [{ action = 'continue' }]"},
    "f_person": {"workflow.yml": flows.APPROVAL},
}


async def test_the_debuggers_part_is_played_and_nobody_is_waited_for_in_vain(
    temporal_client: Client, tmp_path: Path
) -> None:
    for name, files in DEBUGGED.items():
        given = {"in.toml": "name = 'Ada'\ncount = 3", "out.toml": "partial_match = true"}
        workflow = {} if "workflow.yml" in files else {"workflow.toml": flows.GREET}
        for file, text in {**workflow, **given, **files}.items():
            flows.write(tmp_path / name, file, text)
    verdicts = await run_folders(find_cases(tmp_path), temporal_client)
    problems = {verdict.name: verdict.problems for verdict in verdicts}
    assert problems["a_abort"] == problems["b_breakpoints"] == ()
    assert "the run stands at a pause that no step is for" in problems["c_inspected"]
    assert problems["d_wrong"][:2] == (
        "step 1: expected node_id 'start', got 'end'",
        "step 1: expected the variable start.name to be 'Bob', got 'Ada'",
    )
    assert problems["e_over"] == ("step 1: the run ended before it",)
    assert "the run waits for a person, at ask: mock the node" in problems["f_person"]
