"""The driver: inline nodes on the way, everything else handed out, and what crosses."""

from __future__ import annotations

from typing import Any

import pytest

from tests.workflows.drawing import chain, code, end, first_of, graph, http, node, start, text
from xworkflow.domain.commands import Emit, FinishRun, StartNode
from xworkflow.domain.facts import NodeFailed, NodeSucceeded, RunStarted
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.plan import Placement
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import RetryConfig, WorkflowSchema
from xworkflow.domain.state import initial_state
from xworkflow.domain.wire import CrossedValue, ExecutorInfo, MockNode, NodeReport, Policy
from xworkflow.engine.compile import CompileOptions, compile_schema
from xworkflow.engine.driver import Driver, Effect, fact_of
from xworkflow.errors import NodeFailure
from xworkflow.nodes.registry import NodeRegistry

INLINE = chain("c", start("n"), text("t", "<{{ v }}>", of="start.n"), end(out="t.output"))
OUTSIDE = chain("c", start("u", "n"), http("h", "{{#start.u#}}"), end(out="h.body"))


def driver(
    schema: WorkflowSchema,
    inputs: dict[str, Any] | None = None,
    *,
    config: EngineConfig | None = None,
    fixed_timestamp: int | None = None,
    **options: Any,
) -> Driver:
    compiled = compile_schema(schema, NodeRegistry.builtin(), CompileOptions(**options))
    state = initial_state(
        compiled.plan,
        pool=VariablePool({"start": inputs or {}}),
        config=config or EngineConfig(),
        id_base="run",
        fake_id_prefix="id",
        fixed_timestamp=fixed_timestamp,
    )
    return Driver(compiled, state)


def starts(effects: list[Effect]) -> list[StartNode]:
    return [effect for effect in effects if isinstance(effect, StartNode)]


def result_of(effects: list[Effect]) -> RunResult:
    return next(effect.result for effect in effects if isinstance(effect, FinishRun))


# ---- feeding


def test_inline_nodes_run_to_the_end_on_one_fact() -> None:
    effects = driver(INLINE, {"n": 7}).feed(RunStarted(5))
    assert result_of(effects).outputs == {"out": "<7>"}
    assert starts(effects) == []


def test_events_come_in_the_order_in_which_things_happened() -> None:
    effects = driver(INLINE, {"n": 7}).feed(RunStarted(5))
    log = [(e.event.seq, e.event.type) for e in effects if isinstance(e, Emit)]
    assert [seq for seq, _ in log] == list(range(len(log)))
    assert [kind for _, kind in log] == [
        "graph_run_started",
        *["node_run_started", "node_run_succeeded"] * 3,
        "graph_run_succeeded",
    ]


def test_what_is_not_inline_is_handed_out() -> None:
    found = driver(OUTSIDE, {"u": "http://x/"})
    (only,) = starts(found.feed(RunStarted(5)))
    assert found.plan.nodes[only.node].id == "h"
    assert found.placement(only) is Placement.ACTIVITY
    fact = NodeSucceeded(only.node, 1, NodeRunResult(outputs={"body": "ok"}), 9)
    assert result_of(found.feed(fact)).outputs == {"out": "ok"}


def test_an_inline_node_that_fails_is_a_failed_node() -> None:
    effects = driver(INLINE, mock_nodes={"t": MockNode(error="boom", error_type="template_error")})
    result = result_of(effects.feed(RunStarted(0)))
    assert result.error is not None
    assert result.error.text == "Node execution error: node=t, error=boom"


def test_an_inline_node_is_tried_again_at_once() -> None:
    every = RetryConfig(max_retries=2, retry_on_retryable_only=False)
    schema = chain("c", start(), node("x", "code", retry=every), end())
    effects = driver(schema, mock_nodes={"x": MockNode(error="boom")}).feed(RunStarted(0))
    retried = [e for e in effects if isinstance(e, Emit) and e.event.type == "node_run_retry"]
    assert len(retried) == 2


def test_an_inline_sibling_of_a_failure_is_not_taken_in() -> None:
    nodes = [start(), node("bad", "code"), end(), node("other", "end")]
    schema = graph("g", nodes, "start > other", "start > bad", "start > end")
    mocks = {"bad": MockNode(error="boom"), "other": MockNode(outputs={"late": 1})}
    result = result_of(driver(schema, mock_nodes=mocks).feed(RunStarted(0)))
    assert result.status == "failed"
    assert result.outputs == {}


def test_a_mocked_branch_names_its_handle() -> None:
    nodes = [start(), node("if", "if-else"), node("a", "end"), node("b", "end")]
    schema = graph("g", nodes, "start > if", "if:yes > a", "if:no > b")
    mocks = {
        "if": MockNode(handle="no"),
        "a": MockNode(outputs={"a": 1}),
        "b": MockNode(outputs={"b": 1}),
    }
    assert result_of(driver(schema, mock_nodes=mocks).feed(RunStarted(0))).outputs == {"b": 1}


def test_a_chain_of_a_thousand_inline_nodes_needs_no_stack() -> None:
    middle = [first_of(f"n{i}", "start.n") for i in range(1_000)]
    schema = chain("c", start("n"), *middle, end(out="n999.output"))
    found = driver(schema, {"n": 7}, config=EngineConfig(max_steps=2_000))
    assert result_of(found.feed(RunStarted(0))).outputs == {"out": 7}


# ---- what crosses to an activity


def test_a_task_carries_the_node_and_only_what_it_reads() -> None:
    found = driver(OUTSIDE, {"u": "http://x/", "n": "secret"}, config=EngineConfig())
    (only,) = starts(found.feed(RunStarted(5_000)))
    task = found.task(only, "run-1")
    assert task.values == (CrossedValue(selector=("start", "u"), value="http://x/"),)
    assert task.pool is None
    assert (task.node_id, task.node_type, task.title) == ("h", "http-request", "H")
    assert (task.execution_id, task.attempt, task.dialect) == ("run-1", 1, "native")
    assert task.data["url"] == "{{#start.u#}}"
    assert task.start_time == 5


def test_the_idempotency_key_is_one_for_each_attempt_of_the_engine() -> None:
    retry = RetryConfig(max_retries=1)
    schema = chain("c", start(), http("h", "http://x/", retry=retry), end())
    found = driver(schema)
    (first,) = starts(found.feed(RunStarted(0)))
    busy = NodeFailure(code="http_error", text="busy", retryable=True)
    (second,) = starts(found.feed(NodeFailed(first.node, 1, busy, 0)))
    keys = [found.task(start, "run-1").idempotency_key for start in (first, second)]
    assert keys == [f"run-1/{first.execution_id}/1", f"run-1/{first.execution_id}/2"]


def test_a_node_that_reads_all_gets_the_whole_pool() -> None:
    schema = chain("c", start("n"), node("p", "plugin.x"), end())
    found = driver(schema, {"n": 1}, executors={"plugin.x": ExecutorInfo(reads_all=True)})
    (only,) = starts(found.feed(RunStarted(0)))
    task = found.task(only, "run-1")
    assert task.values == ()
    assert task.pool is not None
    assert task.pool["start"]["n"] == 1


def test_a_task_knows_the_limits_and_the_clock_of_its_run() -> None:
    schema = chain("c", start(), http("h", "http://x/", timeout_secs=2.5), end())
    found = driver(schema, config=EngineConfig(strict_template=True), fixed_timestamp=77)
    (only,) = starts(found.feed(RunStarted(0)))
    task = found.task(only, "run-1")
    assert (task.timeout_secs, task.strict_template, task.fixed_timestamp) == (2.5, True, 77)
    assert task.fake_id_prefix == "id"


def test_a_run_with_a_real_clock_fixes_none() -> None:
    found = driver(OUTSIDE)
    (only,) = starts(found.feed(RunStarted(5_000)))
    assert found.task(only, "run-1").fixed_timestamp is None


# ---- regions


def test_a_region_gets_what_the_nodes_read_that_it_can_come_to() -> None:
    schema = chain(
        "c",
        start("n", "u", "later"),
        code("a"),
        code("b", "a.n"),
        http("h", "{{#start.u#}}"),
        code("after", "start.later"),
        end(),
    )
    found = driver(schema, {"n": 1, "u": "http://x/", "later": 2})
    (first,) = starts(found.feed(RunStarted(0)))
    region = found.region_state([first])
    assert region.pool.to_json() == {"start": {"n": 1}}
    assert region.nodes == found.state.nodes


def test_a_region_that_starts_the_run_begins_at_its_root() -> None:
    found = driver(chain("c", start("n"), code("a"), end()), {"n": 1, "other": 2})
    assert found.region_state([]).pool.to_json() == {"start": {"n": 1}}


def test_a_region_gets_what_the_ready_nodes_read_that_wait_for_a_place() -> None:
    """When a node of the region ends, the next of them starts inside it."""
    nodes = [start("n", "m"), code("a", "start.n"), code("b", "start.m"), end()]
    schema = graph("g", nodes, "start > a", "start > b", "a > end", "b > end")
    found = driver(schema, {"n": 1, "m": 2}, config=EngineConfig(max_concurrency=1))
    (only,) = starts(found.feed(RunStarted(0)))
    assert found.plan.nodes[only.node].id == "b"
    assert found.region_state([only]).pool.to_json() == {"start": {"n": 1, "m": 2}}


# ---- policies and reports


def test_a_policy_lowers_the_limits_of_a_run() -> None:
    found = driver(INLINE, config=EngineConfig(max_steps=100, max_execution_time_secs=None))
    found.apply_policy(Policy(max_steps=2, max_execution_time_secs=30))
    assert found.state.config.max_steps == 2
    assert found.state.config.max_execution_time_secs == 30
    result = result_of(found.feed(RunStarted(0)))
    assert result.error is not None
    assert result.error.text == "Max steps exceeded: 2"


def test_a_policy_never_raises_a_limit() -> None:
    found = driver(INLINE, config=EngineConfig(max_steps=5, max_execution_time_secs=1))
    found.apply_policy(Policy(max_steps=500, max_execution_time_secs=600))
    assert found.state.config == EngineConfig(max_steps=5, max_execution_time_secs=1)


def test_a_policy_may_make_activities_of_all_nodes() -> None:
    found = driver(INLINE, {"n": 1})
    found.apply_policy(Policy(all_activities=True))
    (only,) = starts(found.feed(RunStarted(0)))
    assert found.plan.nodes[only.node].id == "t"
    assert found.placement(only) is Placement.ACTIVITY


def test_a_report_stands_for_a_fact() -> None:
    result = NodeRunResult(outputs={"x": 1})
    failure = NodeFailure(code="timeout", text="late", retryable=True)
    assert fact_of(3, 2, NodeReport(at=9, result=result)) == NodeSucceeded(3, 2, result, 9)
    assert fact_of(3, 2, NodeReport(at=9, failure=failure)) == NodeFailed(3, 2, failure, 9)


@pytest.mark.parametrize("handle", [None, "yes"])
def test_a_mock_gives_its_outputs_to_those_after_it(handle: str | None) -> None:
    mock = MockNode(outputs={"output": [1, 2]}, handle=handle)
    found = driver(INLINE, mock_nodes={"t": mock})
    assert result_of(found.feed(RunStarted(0))).outputs == {"out": [1, 2]}
