"""``RunState``: fresh, frozen, and the same after a dump and a load."""

from __future__ import annotations

import dataclasses
import json

import pytest

from tests.domain.drawn import RECOVER, Run, drawn
from xworkflow.domain.facts import AbortRequested, DrainRequested
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import LlmUsage, NodeRunResult
from xworkflow.domain.schema import RetryConfig
from xworkflow.domain.state import (
    NodePhase,
    Running,
    RunState,
    dump_state,
    initial_state,
    load_state,
)

WAITING = {"a": RetryConfig(max_retries=1, retry_interval=100)}


def reloaded(state: RunState) -> RunState:
    return load_state(json.loads(json.dumps(dump_state(state))))


def test_a_fresh_state_has_nothing_done() -> None:
    plan = drawn("start>a")
    state = initial_state(plan, pool=VariablePool(), config=EngineConfig(), id_base="run")
    assert state.phase == "new"
    assert set(state.nodes) == {NodePhase.PENDING}
    assert (len(state.nodes), len(state.edges)) == (2, 1)
    assert (state.steps, state.events, state.elapsed_ms) == (0, 0, 0)


def test_a_fixed_clock_is_given_in_seconds() -> None:
    plan = drawn("start>a")
    state = initial_state(
        plan, pool=VariablePool(), config=EngineConfig(), id_base="run", fixed_timestamp=12
    )
    assert state.now == 12_000
    assert state.fixed_time


def test_a_state_cannot_be_changed() -> None:
    state = Run("start>a").begin().state
    with pytest.raises(dataclasses.FrozenInstanceError):
        state.phase = "finished"  # type: ignore[misc]


def test_deciding_leaves_the_state_before_as_it_was() -> None:
    run = Run("start>a a>end").begin()
    before, copy = run.state, reloaded(run.state)
    run.ok("a", x=1).ok("end", y=2)
    assert before == copy


def test_a_node_waits_as_long_as_its_next_attempt_has_a_time() -> None:
    assert Running(2, "id", due_at=5).waiting
    assert not Running(2, "id").waiting


@pytest.mark.parametrize(
    "run",
    [
        pytest.param(Run("start>a"), id="new"),
        pytest.param(Run("start>a start>b").begin(at=5), id="running"),
        pytest.param(
            Run("start>a start>b", config=EngineConfig(max_concurrency=1)).begin(), id="ready"
        ),
        pytest.param(
            Run("start>a", retries=WAITING).begin().fail("a", retryable=True), id="waiting"
        ),
        pytest.param(Run("start>a").begin().feed(DrainRequested(0)), id="draining"),
        pytest.param(Run("start>a", error_handler=RECOVER).begin().fail("a"), id="handling"),
        pytest.param(Run("start>a").begin().feed(AbortRequested(0, "why")), id="aborted"),
        pytest.param(Run("start>end").begin().ok("end", x=[1, {"y": None}]), id="finished"),
        pytest.param(Run("start>a", fake_id_prefix=None).begin(), id="uuids"),
        pytest.param(Run("start>a", fixed_timestamp=7).begin(), id="fixed clock"),
        pytest.param(
            Run("start>a a>b")
            .begin()
            .end("a", NodeRunResult(llm_usage=LlmUsage(total_tokens=3, total_price=0.5))),
            id="usage",
        ),
    ],
)
def test_a_dump_is_json_and_loads_as_the_same_state(run: Run) -> None:
    loaded = reloaded(run.state)
    assert loaded == run.state
    for part in dataclasses.fields(RunState):
        assert getattr(loaded, part.name) == getattr(run.state, part.name)


def test_what_runs_keeps_its_order_over_a_dump() -> None:
    run = Run("start>a start>b start>c").begin()
    assert list(reloaded(run.state).running) == list(run.state.running)


def test_a_dump_of_a_version_without_the_newer_keys_still_loads() -> None:
    data = dump_state(Run("start>a").begin().state)
    for key in ("fixed_time", "draining", "failure", "usage"):
        del data[key]
    loaded = load_state(data)
    assert (loaded.fixed_time, loaded.draining) == (False, False)
    assert (loaded.failure, loaded.usage) == (None, None)
