"""Facts that nobody waits for change nothing, not even the run's clock.

A reader of the history sees some that the workflow never does: an activity that ends although it
was cancelled.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.drawing import chain, code, end, handler, http, start
from xworkflow.domain.commands import CancelHandler, Emit
from xworkflow.domain.facts import (
    AbortRequested,
    Fact,
    HandlerFinished,
    NodeFailed,
    NodeSucceeded,
    RunStarted,
    TimerFired,
)
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.scheduler import decide
from xworkflow.domain.state import RunState, initial_state
from xworkflow.engine.compile import compile_schema
from xworkflow.errors import NodeFailure
from xworkflow.nodes.registry import NodeRegistry

SCHEMA = chain(
    "c", start("n"), http("h", "http://x/"), end(), handler=handler("notify", start(), end())
)
PLAN = compile_schema(SCHEMA, NodeRegistry.builtin()).plan
LATER = 9_000
STOP = AbortRequested(20, "enough")


def _after(*facts: Fact) -> RunState:
    state = initial_state(PLAN, pool=VariablePool(), config=EngineConfig(), id_base="r")
    for fact in facts:
        state, _ = decide(PLAN, state, fact)
    return state


BEGUN: tuple[Fact, ...] = (RunStarted(10), NodeSucceeded(0, 1, NodeRunResult(), 11))


@pytest.mark.parametrize(
    "late",
    [
        NodeSucceeded(1, 1, NodeRunResult(), LATER),
        NodeFailed(1, 1, NodeFailure.timeout("t"), LATER),
        TimerFired(1, 2, LATER),
        RunStarted(LATER),
    ],
    ids=lambda fact: type(fact).__name__,
)
def test_a_fact_for_a_run_that_is_being_stopped_changes_nothing(late: Any) -> None:
    stopping = _after(*BEGUN, STOP)
    assert decide(PLAN, stopping, late) == (stopping, [])


def test_an_answer_of_a_handler_that_was_not_asked_changes_nothing() -> None:
    running = _after(*BEGUN)
    assert decide(PLAN, running, HandlerFinished(LATER)) == (running, [])


def test_a_stop_of_a_run_whose_handler_works_stops_the_handler_alone() -> None:
    stopping = _after(*BEGUN, STOP)
    assert decide(PLAN, stopping, AbortRequested(LATER)) == (stopping, [CancelHandler()])


def test_a_stop_before_the_start_is_a_stop() -> None:
    """A run that waits for its admission is stopped like any other, and never starts."""
    schema = chain("c", start("n"), code("c"), end())
    plan = compile_schema(schema, NodeRegistry.builtin()).plan
    state = initial_state(plan, pool=VariablePool(), config=EngineConfig(), id_base="r")
    state, commands = decide(plan, state, AbortRequested(20, "enough"))
    emitted = [command.event.type for command in commands if isinstance(command, Emit)]
    assert emitted == ["graph_run_started", "graph_run_aborted"]
    assert state.phase == "finished"
    assert state.failure is not None
    assert state.failure.text == "Workflow aborted: enough"
    assert decide(plan, state, RunStarted(30)) == (state, [])
