"""Dify's own fixtures give what Dify's tests expect of them."""

from __future__ import annotations

import asyncio
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.engine.played import text_of, words
from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.loading import load
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.wire import MockNode
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.comparison import same_json
from xworkflow.worker import build_worker

pytestmark = [pytest.mark.temporal, pytest.mark.conformance]

FIXTURES = Path(__file__).resolve().parents[3] / "shared" / "dify" / "fixtures"
RUNNABLE = (
    "simple_passthrough_workflow",
    "conditional_hello_branching_workflow",
    "builder_restricted_code_increment",
    "builder_restricted_template_greeting",
    "dual_switch_variable_aggregator_workflow",
    "basic_chatflow",
    "http_request_with_json_tool_workflow",
    "test-answer-order",
    "array_iteration_formatting_workflow",
    "increment_loop_with_break_condition_workflow",
    "iteration_flatten_output_enabled_workflow",
    "multilingual_parallel_llm_streaming_workflow",
    "update-conversation-variable-in-iteration",
    "loop_contains_answer",
)
ENDED_WELL = ("succeeded", "partial-succeeded")


def expected(name: str) -> list[dict[str, Any]]:
    """The cases of one fixture; a rule over values becomes a case for each value."""
    if not FIXTURES.is_dir():
        return []
    table = tomllib.loads((FIXTURES / "expected.toml").read_text("utf-8"))[name]
    cases = [case for case in table["case"] if case["status"] in ENDED_WELL]
    return [case for given in cases for case in _unfolded(name, given)]


def _unfolded(name: str, case: dict[str, Any]) -> list[dict[str, Any]]:
    if "values" not in case:
        return [case]
    return [
        {**case, "inputs": {"query": value}, "outputs": {_output(name, value): value}}
        for value in case["values"]
    ]


def _output(name: str, value: str) -> str:
    """The fixture's rule, as its ``rule`` key says it in words."""
    if name == "simple_passthrough_workflow":
        return "query"
    return "true" if "hello" in value else "false"


def drawing(name: str, case: dict[str, Any]) -> bytes:
    """The fixture's file, with the keys of nodes' data that the case sets."""
    file = (FIXTURES / f"{name}.yml").read_bytes()
    if "patch" not in case:
        return file
    root = yaml.safe_load(file)
    for node in root["workflow"]["graph"]["nodes"]:
        node["data"] |= case["patch"].get(node["id"], {})
    return yaml.safe_dump(root).encode()


def mocks(case: dict[str, Any]) -> dict[str, MockNode]:
    pieces = case.get("chunks", {})
    outputs = {
        k: MockNode(outputs=v | chunks_of("text", pieces[k]) if k in pieces else v)
        for k, v in case.get("mocks", {}).items()
    }
    outputs |= {k: MockNode(by_index=v) for k, v in case.get("mock_by_index", {}).items()}
    errors = {k: MockNode(error=v) for k, v in case.get("mock_errors", {}).items()}
    return outputs | errors


CASES = [(name, case) for name in RUNNABLE for case in expected(name)]


@dataclass(frozen=True)
class Outcome:
    """How a run of a fixture ended, and its log."""

    status: ExecutionStatus
    events: list[GraphEngineEvent]


@pytest.fixture(scope="module")
def outcomes(temporal_server: str) -> list[Outcome]:
    """Every case, run once on one worker."""

    async def run() -> list[Outcome]:
        client, group = await connect(temporal_server), RuntimeGroup.default()
        try:
            async with build_worker(client, group, queue="dify-fixtures"):
                return [await _run(client, name, case) for name, case in CASES]
        finally:
            await group.aclose()

    async def _run(client: Any, name: str, case: dict[str, Any]) -> Outcome:
        schema = load(drawing(name, case), "yaml", name=name)
        builder = WorkflowRunner.builder(schema).user_inputs(case.get("inputs", {}))
        builder.system_vars({"query": case.get("query", "")}).mock_nodes(mocks(case))
        builder.conversation_vars(case.get("conversation", {}))
        builder.client(client, task_queue="dify-fixtures")
        handle = await builder.run()
        status = await handle.wait()
        return Outcome(status, [event async for event in handle.events()])

    return asyncio.run(run())


@pytest.mark.parametrize(
    "number", [pytest.param(n, id=f"{name}-{n}") for n, (name, _) in enumerate(CASES)]
)
def test_a_fixture_of_dify_gives_the_outputs_that_its_tests_expect(
    number: int, outcomes: list[Outcome]
) -> None:
    case, status = CASES[number][1], outcomes[number].status
    assert isinstance(status, Completed), status
    assert status.exceptions == case.get("exceptions_count", 0)
    if case["match"] == "exact":
        assert same_json(status.outputs, case["outputs"])
    else:
        assert all(same_json(status.outputs[k], v) for k, v in case["outputs"].items())


WITH_EVENTS = [
    pytest.param(number, id=f"{name}-{case['name']}")
    for number, (name, case) in enumerate(CASES)
    if "events" in case
]


@pytest.mark.parametrize("number", WITH_EVENTS)
def test_the_log_of_a_fixture_is_the_sequence_that_its_test_expects(
    number: int, outcomes: list[Outcome]
) -> None:
    """The whole log, sub-graphs included, as any reader of the histories sees it."""
    assert words(outcomes[number].events) == CASES[number][1]["events"]


def test_the_streamed_text_of_a_loop_is_that_of_its_rounds(outcomes: list[Outcome]) -> None:
    streaming = [(n, case) for n, (_, case) in enumerate(CASES) if "streamed" in case]
    for number, case in streaming:
        assert text_of(outcomes[number].events) == case["streamed"]
    assert streaming or not FIXTURES.is_dir()


def test_the_fixtures_are_there(shared: Path) -> None:
    assert (shared / "dify" / "fixtures" / "expected.toml").is_file()
    assert len(CASES) > 40
