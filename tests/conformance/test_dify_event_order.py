"""Dify's own fixtures give the event sequences that Dify's tests expect: the composer's fold alone.

The two levels of a loop are folded apart here, each as the engine would run it.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.conformance.test_dify_fixtures import FIXTURES, drawing, expected, mocks
from tests.engine.played import Played, chunks, text_of, words
from xworkflow.domain.loading import load
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.wire import MockNode

pytestmark = [
    pytest.mark.conformance,
    pytest.mark.skipif(not FIXTURES.is_dir(), reason="the fixtures are not beside this checkout"),
]


def pieces(case: dict[str, Any]) -> dict[str, MockNode]:
    """The case's mocks, with the pieces in which their texts come."""
    return {
        name: mock.model_copy(
            update={"outputs": mock.outputs | chunks_of("text", case["chunks"][name])}
        )
        if name in case.get("chunks", {})
        else mock
        for name, mock in mocks(case).items()
    }


def named(fixture: str, name: str) -> dict[str, Any]:
    return next(case for case in expected(fixture) if case["name"] == name)


def played(fixture: str, case: dict[str, Any], **more: Any) -> Played:
    schema = load(drawing(fixture, case), "yaml", name=fixture)
    system = {"query": case.get("query", "")}
    more = {"mocks": pieces(case), "inputs": case.get("inputs", {}), "system": system} | more
    return Played(schema, **more)


@pytest.mark.parametrize(
    ("fixture", "name"),
    [
        ("simple_passthrough_workflow", "event_sequence"),
        ("basic_chatflow", "streams_the_llm_through_the_answer"),
    ],
)
def test_a_fixture_has_the_event_sequence_of_difys_test(fixture: str, name: str) -> None:
    case = named(fixture, name)
    assert words(played(fixture, case).begin().composed()) == case["events"]


ENGLISH, CHINESE = "1754339718571", "1754339725656"


@pytest.mark.parametrize("order", [[ENGLISH, CHINESE], [CHINESE, ENGLISH]])
def test_chunks_leave_in_the_order_of_the_template(order: list[str]) -> None:
    """Whichever model is done first."""
    fixture = "multilingual_parallel_llm_streaming_workflow"
    case = named(fixture, "chunks_follow_the_answer_template")
    run = played(fixture, case, mocks={}).begin()
    for node_id in order:
        run.ends(node_id, *case["chunks"][node_id])
    log = run.composed()
    sources = [chunk["node_id"] for chunk in chunks(log)]
    counts = case["chunk_counts"]
    assert sources == [CHINESE] * counts[CHINESE] + [ENGLISH] * counts[ENGLISH]
    assert text_of(log) == case["outputs"]["answer"]
    told = words(log)
    last_chunk = max(n for n, word in enumerate(told) if word.startswith("chunk"))
    assert last_chunk < told.index("node-started answer")


def test_the_answers_of_a_chain_are_printed_in_running_order() -> None:
    case = named("test-answer-order", "answers_in_order")
    log = played("test-answer-order", case).begin().composed()
    assert text_of(log) == case["outputs"]["answer"]


def test_a_value_that_stands_for_a_failure_is_printed() -> None:
    case = named("basic_chatflow", "failure_replaced_by_default_value")
    assert text_of(played("basic_chatflow", case).begin().composed()) == "fallback response"


# --- loop_contains_answer

LOOP = "1755203872773"
STARTED = {"run-started", "run-succeeded"}


def round_of_the_loop(value: str) -> list[str]:
    """One round of the fixture's body: its start has no events there."""
    body = {
        "1755203898151": {
            "items": [
                {
                    "variable_selector": [LOOP, "i"],
                    "operation": "over-write",
                    "input_type": "constant",
                    "value": value,
                }
            ]
        },
        "1755204039754": {"answer": f"{{{{#{LOOP}.i#}}}}\n"},
    }
    types = {"1755203898151": "assigner", "1755204039754": "answer"}
    nodes = [NodeSpec(id="start", type="start", data={"type": "start"})]
    nodes += [NodeSpec(id=n, type=types[n], data={"type": types[n], **d}) for n, d in body.items()]
    edges = (
        EdgeSpec(id="a", source="start", target="1755203898151"),
        EdgeSpec(id="b", source="1755203898151", target="1755204039754"),
    )
    schema = WorkflowSchema(dialect="dify", nodes=tuple(nodes), edges=edges)
    told = words(Played(schema, pool={LOOP: {"i": "old"}}).begin().composed())
    return [word for word in told if word not in STARTED and not word.endswith(" start")]


def test_an_answer_in_a_loop_prints_once_its_variable_is_written() -> None:
    events = named("loop_contains_answer", "event_sequence")["events"]
    rounds = [n for n, word in enumerate(events) if word == "node-started 1755203898151"]
    assert round_of_the_loop("1") == events[rounds[0] : rounds[0] + 6]
    assert round_of_the_loop("2") == events[rounds[1] : rounds[1] + 6]
