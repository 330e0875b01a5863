"""The state machine of a run, one rule of spec/graph.md 5 and 6 at a time."""

from __future__ import annotations

import pytest

from tests.domain.drawn import FAIL_BRANCH, NOTIFY, RECOVER, Run, default_value
from xworkflow.domain.commands import (
    CancelHandler,
    ContinueAsNew,
    FinishRun,
    StartHandler,
    StartNode,
)
from xworkflow.domain.facts import (
    AbortRequested,
    DrainRequested,
    HandlerFinished,
    NodeFailed,
    NodeSucceeded,
    PauseLifted,
    PauseRequested,
    Resumed,
    RunStarted,
    TimerFired,
)
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import LlmUsage, NodeRunResult, PoolWrite
from xworkflow.domain.schema import RetryConfig
from xworkflow.domain.state import NodePhase
from xworkflow.errors import NodeFailure

ONE_AT_A_TIME = EngineConfig(parallel_enabled=False)
TWICE = RetryConfig(max_retries=2)
AGAIN = {"a": RetryConfig(max_retries=2, retry_interval=100)}


# ---- the graph: section 5.3


def test_a_run_starts_its_root_and_nothing_else() -> None:
    run = Run("start>a a>end").feed(RunStarted(5))
    assert run.started == ["start"]
    assert run.kinds == ["graph_run_started", "node_run_started"]


def test_a_second_start_changes_nothing() -> None:
    run = Run("start>a").feed(RunStarted(0))
    before = run.state
    run.feed(RunStarted(0))
    assert run.state == before
    assert run.commands == []


def test_a_chain_runs_one_after_another_to_its_end() -> None:
    run = Run("start>a a>end").begin()
    assert run.started == ["a"]
    assert run.ok("a", x=1).started == ["end"]
    run.ok("end", y=2)
    assert run.result.status == "completed"
    assert run.result.outputs == {"y": 2}
    assert run.result.steps == 3


def test_siblings_start_together_the_last_drawn_first() -> None:
    assert Run("start>a start>b start>c").begin().started == ["c", "b", "a"]


def test_one_at_a_time_goes_depth_first_from_the_last_drawn() -> None:
    run = Run("start>a start>b b>c", config=ONE_AT_A_TIME).begin()
    assert run.started == ["b"]
    assert run.ok("b").started == ["c"]
    assert run.ok("c").started == ["a"]


def test_a_join_waits_for_all_that_leads_to_it() -> None:
    run = Run("start>a start>b a>join b>join").begin()
    assert run.ok("a").started == []
    assert run.ok("b").started == ["join"]


def test_a_branch_takes_the_edges_of_its_handle_and_skips_the_others() -> None:
    run = Run("start>if if:yes>a if:yes>b if:no>c c>d").begin().ok("if", handle="yes")
    assert run.started == ["b", "a"]
    phases = [run.state.nodes[run.index(name)] for name in ("c", "d")]
    assert phases == [NodePhase.SKIPPED, NodePhase.SKIPPED]


def test_a_join_runs_when_its_last_open_edge_is_skipped() -> None:
    """The reference never starts such a join (5.3, the first quirk)."""
    run = Run("start>a start>if if:yes>x if:no>y a>join y>join").begin().ok("a")
    assert run.ok("if", handle="yes").started == ["join", "x"]


def test_two_edges_from_a_branch_to_one_node_start_it_once() -> None:
    run = Run("start>if if:yes>a if:no>a if:yes>b", config=ONE_AT_A_TIME)
    assert run.begin().ok("if", handle="yes").started == ["b"]
    assert run.ok("b").started == ["a"]
    assert run.ok("a").result.steps == 4


def test_a_handle_without_an_edge_fails_the_run() -> None:
    run = Run("start>if if:yes>a").begin().ok("if", handle="no")
    assert run.error == (
        "Graph validation error: Node if returned branch handle 'no' but no matching edge found"
    )
    assert run.kinds == ["node_run_succeeded"]  # and no graph_run_failed (8)
    assert run.state.failure is not None
    assert run.state.failure.error_type == "InternalError"
    assert run.state.failure.node_id == ""


def test_no_handle_from_a_branch_node_fails_the_run() -> None:
    run = Run("start>if if:yes>a").begin().ok("if")
    assert run.error == "Graph validation error: Node if returned default handle for branch node"


def test_in_the_dify_dialect_a_handle_without_an_edge_ends_that_branch() -> None:
    run = Run("start>if if:yes>a start>b", dialect="dify").begin().ok("if", handle="no")
    assert run.ok("b").result.status == "completed"


def test_in_the_dify_dialect_no_handle_takes_the_source_edges() -> None:
    run = Run("start>n n:success-branch>a n>b n:other>c", dialect="dify").begin()
    assert run.ok("n").started == ["b", "a"]


def test_a_run_without_an_end_node_completes_with_nothing() -> None:
    run = Run("start>a").begin().ok("a", x=1)
    assert run.result.status == "completed"
    assert run.result.outputs == {}


# ---- values: section 3.1, 5.5


def test_outputs_of_end_and_answer_nodes_are_joined_and_the_later_one_wins() -> None:
    run = Run("start>end1 start>answer").begin().ok("end1", same=1, own=1)
    assert run.ok("answer", same=2, answer="hi").result.outputs == {
        "same": 2,
        "own": 1,
        "answer": "hi",
    }


def test_answers_of_dify_follow_one_another_in_the_order_in_which_they_ran() -> None:
    run = Run("start>answer1 answer1>answer2", dialect="dify").begin()
    run.ok("answer1", answer="one\n")
    assert run.ok("answer2", answer="two").result.outputs == {"answer": "one\ntwo"}


def test_outputs_are_written_below_the_nodes_id() -> None:
    run = Run("start>a").begin().ok("a", x=1, y=None)
    assert run.state.pool.namespace("a") == {"x": 1, "y": None}


def test_writes_reach_any_selector_and_come_before_the_outputs() -> None:
    writes = (
        PoolWrite(selector=("conversation", "log"), value=["x"]),
        PoolWrite(selector=("a", "own"), value="written"),
    )
    run = Run("start>a").begin()
    run.end("a", NodeRunResult(writes=writes, outputs={"own": "output"}))
    assert run.state.pool.get(("conversation", "log")) == ["x"]
    assert run.state.pool.get(("a", "own")) == "output"


def test_the_usage_of_models_adds_up() -> None:
    usage = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3, currency="USD")
    run = Run("start>a a>b").begin()
    run.end("a", NodeRunResult(llm_usage=usage)).end("b", NodeRunResult(llm_usage=usage))
    assert run.result.usage == LlmUsage(
        prompt_tokens=2, completion_tokens=4, total_tokens=6, currency="USD"
    )


# ---- limits: section 5.1


def test_the_step_after_the_last_one_allowed_fails_the_run() -> None:
    run = Run("start>a a>b", config=EngineConfig(max_steps=2)).begin().ok("a", at=3)
    assert run.error == "Max steps exceeded: 2"
    assert run.events[-1].type == "graph_run_failed"
    assert run.events[-1].data == {"error": "Max steps exceeded: 2", "exceptions_count": 0}
    assert run.result.steps == 2


def test_exactly_as_many_steps_as_allowed_pass() -> None:
    run = Run("start>a a>b", config=EngineConfig(max_steps=3)).begin().ok("a").ok("b")
    assert run.result.status == "completed"


def test_a_limit_that_is_met_by_one_sibling_cancels_the_other() -> None:
    run = Run("start>a start>b", config=EngineConfig(max_steps=2)).begin()
    assert run.error == "Max steps exceeded: 2"
    assert run.started == run.cancelled == ["b"]


def test_the_time_limit_is_looked_at_before_each_start() -> None:
    config = EngineConfig(max_execution_time_secs=1)
    run = Run("start>a a>b", config=config).begin(at=1_000)
    run.ok("a", at=2_001)
    assert run.error == "Execution timeout"
    assert run.state.failure is not None
    assert run.state.failure.error_type == "Timeout"


def test_the_time_limit_itself_is_still_in_time() -> None:
    config = EngineConfig(max_execution_time_secs=1)
    assert Run("start>a a>b", config=config).begin(at=1_000).ok("a", at=2_000).started == ["b"]


def test_a_node_that_ends_late_does_not_fail_a_run_that_has_nothing_to_start() -> None:
    config = EngineConfig(max_execution_time_secs=1)
    assert Run("start>a", config=config).begin().ok("a", at=9_999).result.status == "completed"


def test_no_time_limit_is_no_limit() -> None:
    config = EngineConfig(max_execution_time_secs=None)
    assert Run("start>a a>b", config=config).begin().ok("a", at=10**12).started == ["b"]


def test_what_exceeds_the_concurrency_waits_for_a_free_place() -> None:
    run = Run("start>a start>b start>c", config=EngineConfig(max_concurrency=2)).begin()
    assert run.started == ["c", "b"]
    assert run.ok("b").started == ["a"]


def test_a_node_that_waits_for_its_next_attempt_keeps_its_place() -> None:
    config = EngineConfig(max_concurrency=1)
    run = Run("start>b start>a", config=config, retries=AGAIN).begin().fail("a", retryable=True)
    assert run.started == []
    assert run.timers == [("a", 100)]


# ---- failures: section 6.2


def test_a_failing_node_fails_the_run_and_cancels_what_runs() -> None:
    run = Run("start>a start>b start>c").begin().fail("a", "no such host")
    assert run.error == "Node execution error: node=a, error=no such host"
    assert run.kinds == ["node_run_failed", "graph_run_failed"]
    assert sorted(run.cancelled) == ["b", "c"]
    assert run.result.status == "failed"


def test_after_a_failure_each_node_shows_what_became_of_it() -> None:
    run = Run("start>a start>b b>c").begin().fail("a")
    phases = {name: run.state.nodes[run.index(name)] for name in ("a", "b", "c")}
    assert phases == {"a": NodePhase.FAILED, "b": NodePhase.CANCELLED, "c": NodePhase.PENDING}


def test_nothing_happens_after_the_end() -> None:
    run = Run("start>a start>b").begin().fail("a")
    ended = run.state
    failure = NodeFailure(code="x", text="x")
    for fact in (
        NodeSucceeded(run.index("b"), 1, NodeRunResult(), 0),
        NodeFailed(run.index("b"), 1, failure, 0),
        TimerFired(run.index("b"), 1, 0),
        AbortRequested(0),
        DrainRequested(0),
        HandlerFinished(0),
        RunStarted(0),
        Resumed(0),
    ):
        assert run.feed(fact).commands == []
        assert run.state == ended


def test_a_failure_takes_the_fail_branch() -> None:
    run = Run("start>a a>b a:fail-branch>c", strategies={"a": FAIL_BRANCH}).begin().fail("a")
    assert run.kinds == ["node_run_exception", "node_run_started"]
    assert run.started == ["c"]
    assert run.state.pool.namespace("a") == {
        "error_message": "boom",
        "error_type": "execution_error",
    }
    run.ok("c")
    assert run.result.status == "completed"
    assert run.result.exceptions == 1
    assert run.kinds[-1] == "graph_run_partial_succeeded"


def test_success_of_a_node_with_a_fail_branch_takes_its_source_edges() -> None:
    """The reference fails such runs (6.2, the important quirk)."""
    run = Run("start>a a>b a:fail-branch>c", strategies={"a": FAIL_BRANCH}).begin().ok("a")
    assert run.started == ["b"]
    assert run.ok("b").result.status == "completed"


def test_success_of_a_node_that_has_nothing_but_a_fail_branch_ends_that_branch() -> None:
    run = Run("start>a a:fail-branch>c", strategies={"a": FAIL_BRANCH}).begin().ok("a")
    assert run.result.status == "completed"
    assert run.state.nodes[run.index("c")] == NodePhase.SKIPPED


def test_a_fail_branch_without_its_edge_takes_all_edges() -> None:
    run = Run("start>a a>b a>c", strategies={"a": FAIL_BRANCH}).begin().fail("a")
    assert run.started == ["c", "b"]


def test_a_branch_node_that_fails_without_a_fail_branch_edge_fails_the_run() -> None:
    run = Run("start>if if:yes>b", strategies={"if": FAIL_BRANCH}).begin().fail("if")
    assert run.error == (
        "Graph validation error: Node if returned branch handle 'fail-branch' "
        "but no matching edge found"
    )


def test_a_default_value_stands_for_the_outputs() -> None:
    strategy = default_value(x=1, error_type="mine")
    run = Run("start>a a>b", strategies={"a": strategy}).begin().fail("a")
    assert run.started == ["b"]
    assert run.state.pool.namespace("a") == {"error_message": "boom", "error_type": "mine", "x": 1}


def test_a_default_value_on_a_branch_node_fails_the_run() -> None:
    run = Run("start>if if:yes>b", strategies={"if": default_value(x=1)}).begin().fail("if")
    assert run.error == "Graph validation error: Node if returned default handle for branch node"


def test_a_result_that_reports_an_exception_itself_counts_as_one() -> None:
    failure = NodeFailure(code="not_implemented", text="Node type 'x' is not implemented")
    result = NodeRunResult.model_validate({"status": "exception", "error": failure})
    run = Run("start>a").begin().end("a", result)
    assert run.kinds == ["node_run_exception", "graph_run_partial_succeeded"]
    assert run.result.exceptions == 1


# ---- retries: section 6.3


def test_a_retryable_failure_without_an_interval_is_tried_again_at_once() -> None:
    run = Run("start>a", retries={"a": TWICE}).begin().fail("a", retryable=True)
    assert run.kinds == ["node_run_retry"]
    (start,) = (c for c in run.commands if isinstance(c, StartNode))
    assert start.attempt == 2


def test_all_attempts_of_a_node_share_its_execution_id() -> None:
    run = Run("start>a", retries={"a": TWICE}).begin()
    ids = {c.execution_id for c in run.commands if isinstance(c, StartNode)}
    for _ in range(2):
        run.fail("a", retryable=True)
        ids |= {c.execution_id for c in run.commands if isinstance(c, StartNode)}
    assert len(ids) == 1


def test_retries_are_counted_from_one_and_run_out() -> None:
    run = Run("start>a", retries={"a": TWICE}).begin()
    assert run.fail("a", retryable=True).events[0].data["retry_index"] == 1
    assert run.fail("a", retryable=True).events[0].data["retry_index"] == 2
    assert run.fail("a", "third", retryable=True).error == (
        "Node execution error: node=a, error=third"
    )


def test_a_failure_that_is_not_retryable_stops_at_once() -> None:
    assert Run("start>a", retries={"a": TWICE}).begin().fail("a").result.status == "failed"


def test_every_failure_is_tried_again_when_the_config_says_so() -> None:
    every = RetryConfig(max_retries=1, retry_on_retryable_only=False)
    assert Run("start>a", retries={"a": every}).begin().fail("a").started == ["a"]


def test_the_strategy_comes_after_the_last_attempt() -> None:
    retries = {"a": RetryConfig(max_retries=1)}
    strategies = {"a": default_value(x=1)}
    run = Run("start>a a>b", retries=retries, strategies=strategies).begin()
    assert run.fail("a", retryable=True).started == ["a"]
    assert run.fail("a", retryable=True).started == ["b"]


def test_an_interval_is_waited_for_and_then_the_next_attempt_starts() -> None:
    run = Run("start>a", retries=AGAIN).begin().fail("a", at=50, retryable=True)
    assert run.timers == [("a", 100)]
    assert run.started == []
    assert run.fire("a", at=150).started == ["a"]
    assert run.ok("a", at=160).result.status == "completed"


def test_the_next_attempt_of_a_paused_run_waits_for_its_end_and_never_for_no_time() -> None:
    """A timer of no length is none on Temporal, and a reader of the history counts timers."""
    run = Run("start>a", retries={"a": RetryConfig(max_retries=1)}).begin()
    run.feed(PauseRequested(20)).fail("a", retryable=True)
    assert run.timers == [("a", 1)]
    assert run.fire("a").started == []
    assert run.feed(PauseLifted(22)).started == ["a"]


def test_a_server_may_name_the_wait() -> None:
    run = Run("start>a", retries=AGAIN).begin()
    assert run.fail("a", retryable=True, retry_after_secs=90.0).timers == [("a", 90_000)]


def test_an_answer_of_an_attempt_that_is_over_changes_nothing() -> None:
    run = Run("start>a", retries=AGAIN).begin().fail("a", retryable=True)
    waiting = run.state
    for attempt in (1, 2):
        run.feed(NodeSucceeded(run.index("a"), attempt, NodeRunResult(outputs={"x": 1}), 0))
        assert run.state == waiting
        assert run.commands == []


def test_a_late_answer_of_an_earlier_attempt_is_not_taken_for_the_next_one() -> None:
    run = Run("start>a", retries={"a": TWICE}).begin().fail("a", retryable=True)
    late = NodeSucceeded(run.index("a"), 1, NodeRunResult(outputs={"x": 1}), 0)
    assert run.feed(late).commands == []
    assert run.ok("a").result.status == "completed"


def test_a_timer_that_fires_twice_starts_one_attempt() -> None:
    run = Run("start>a", retries=AGAIN).begin().fail("a", retryable=True).fire("a")
    assert run.feed(TimerFired(run.index("a"), 2, 0)).commands == []


def test_a_node_that_waits_for_its_next_attempt_is_not_cancelled() -> None:
    run = Run("start>a start>b", retries=AGAIN).begin().fail("a", retryable=True).fail("b")
    assert run.cancelled == []
    assert run.feed(TimerFired(run.index("a"), 2, 0)).commands == []


# ---- stopping: section 5.7


def test_a_stop_cancels_what_runs_and_names_its_reason() -> None:
    run = Run("start>a start>end").begin().ok("end", x=1).feed(AbortRequested(0, "too dear"))
    assert run.cancelled == ["a"]
    assert run.error == "Workflow aborted: too dear"
    assert run.result.status == "aborted"
    assert run.events[0].type == "graph_run_aborted"
    assert run.events[0].data == {"reason": "too dear", "outputs": {"x": 1}}


def test_a_stop_without_a_reason_has_a_standard_one() -> None:
    run = Run("start>a").begin().feed(AbortRequested(0))
    assert run.error == "Workflow aborted: aborted by command"


def test_a_stop_before_the_start_ends_the_run_and_keeps_it_from_starting() -> None:
    run = Run("start>a").feed(AbortRequested(7, "not wanted"))
    assert run.result.status == "aborted"
    assert run.kinds == ["graph_run_started", "graph_run_aborted"]
    assert run.feed(RunStarted(8)).commands == []


# ---- the error handler: section 6.5


def test_the_handler_reads_what_went_wrong() -> None:
    run = Run("start>end start>a", error_handler=RECOVER, pool=VariablePool({"sys": {"q": 1}}))
    run.begin().ok("end", x=1).fail("a")
    assert run.kinds == ["node_run_failed", "graph_run_failed", "error_handler_started"]
    assert isinstance(run.commands[-1], StartHandler)
    assert run.state.pool.namespace("sys") == {
        "q": 1,
        "error_message": "Node execution error: node=a, error=boom",
        "error_node_id": "a",
        "error_node_type": "code",
        "error_type": "NodeExecutionError",
        "workflow_outputs": {"x": 1},
    }


def test_nodes_are_named_only_for_failures_of_nodes() -> None:
    run = Run("start>a a>b", error_handler=RECOVER, config=EngineConfig(max_steps=1))
    run.feed(RunStarted(0)).ok("start")
    assert run.state.pool.get(("sys", "error_node_id")) == ""
    assert run.state.pool.get(("sys", "error_node_type")) == ""
    assert run.state.pool.get(("sys", "error_type")) == "MaxStepsExceeded"


def test_a_handler_that_recovers_gives_the_run_its_outputs() -> None:
    run = Run("start>end start>a", error_handler=RECOVER).begin().ok("end", x=1).fail("a")
    run.feed(HandlerFinished(9, outputs={"saved": True}))
    assert run.kinds == ["error_handler_succeeded"]
    assert run.result.status == "failed_with_recovery"
    assert run.result.outputs == {"saved": True}
    assert run.error == "Node execution error: node=a, error=boom"


def test_a_handler_that_notifies_leaves_the_run_failed() -> None:
    run = Run("start>end start>a", error_handler=NOTIFY).begin().ok("end", x=1).fail("a")
    run.feed(HandlerFinished(9, outputs={"told": True}))
    assert run.kinds == ["error_handler_succeeded"]
    assert run.result.status == "failed"
    assert run.result.outputs == {"x": 1}


@pytest.mark.parametrize("handler", [RECOVER, NOTIFY])
def test_a_handler_that_fails_leaves_the_first_error(handler: object) -> None:
    run = Run("start>a", error_handler=handler).begin().fail("a")
    run.feed(HandlerFinished(9, error="Sub-graph execution failed: worse"))
    assert run.kinds == ["error_handler_failed"]
    assert run.result.status == "failed"
    assert run.error == "Node execution error: node=a, error=boom"


def test_a_stop_runs_the_handler_too() -> None:
    run = Run("start>a", error_handler=NOTIFY).begin().feed(AbortRequested(0, "enough"))
    assert run.kinds == ["graph_run_aborted", "error_handler_started"]
    assert run.state.pool.get(("sys", "error_type")) == "Aborted"
    assert run.feed(HandlerFinished(0)).result.status == "aborted"


def test_a_stopped_run_may_be_recovered() -> None:
    run = Run("start>a", error_handler=RECOVER).begin().feed(AbortRequested(0, "enough"))
    run.feed(HandlerFinished(0, outputs={"x": 1}))
    assert run.result.status == "failed_with_recovery"


def test_a_stop_while_the_handler_runs_stops_the_handler_and_the_run_ends_with_it() -> None:
    run = Run("start>a", error_handler=RECOVER).begin().fail("a").feed(AbortRequested(0))
    assert run.commands == [CancelHandler()]
    run.feed(HandlerFinished(0, error="Sub-graph execution failed: cancelled"))
    assert run.result.status == "failed"
    assert run.error == "Node execution error: node=a, error=boom"


def test_a_handler_that_nobody_started_changes_nothing() -> None:
    run = Run("start>a", error_handler=RECOVER).begin()
    assert run.feed(HandlerFinished(0, outputs={"x": 1})).commands == []


# ---- continuing as new


def test_a_draining_run_starts_nothing_and_continues_when_nothing_is_in_flight() -> None:
    run = Run("start>a start>b a>c b>d").begin().feed(DrainRequested(0))
    assert run.commands == []
    assert run.ok("a").started == []
    assert isinstance(run.ok("b").commands[-1], ContinueAsNew)
    assert run.started == []
    assert run.feed(Resumed(0)).started == ["d", "c"]


def test_a_run_that_ends_while_it_drains_just_ends() -> None:
    run = Run("start>a").begin().feed(DrainRequested(0)).ok("a")
    assert isinstance(run.commands[-1], ContinueAsNew)
    assert run.feed(Resumed(0)).result.status == "completed"


def test_a_run_that_only_waits_for_a_next_attempt_continues_at_once() -> None:
    run = Run("start>a", retries=AGAIN).begin().fail("a", at=10, retryable=True)
    run.feed(DrainRequested(30))
    assert isinstance(run.commands[-1], ContinueAsNew)
    assert run.feed(Resumed(60)).timers == [("a", 50)]
    assert run.fire("a", at=110).started == ["a"]


def test_a_wait_that_is_over_in_the_meantime_is_not_waited_for_again() -> None:
    run = Run("start>a", retries=AGAIN).begin().fail("a", retryable=True)
    run.feed(DrainRequested(0))
    assert run.feed(Resumed(10_000)).timers == [("a", 1)]


def test_a_failure_drops_what_is_ready() -> None:
    run = Run("start>b start>a", config=ONE_AT_A_TIME).begin().fail("a")
    assert run.result.steps == 2
    assert run.state.ready == ()


def test_a_timer_that_fires_in_a_draining_run_starts_nothing() -> None:
    """The attempt would be lost with its history."""
    run = Run("start>a", retries=AGAIN).begin().fail("a", retryable=True).feed(DrainRequested(0))
    assert run.fire("a", at=100).started == []
    assert run.feed(Resumed(100)).timers == [("a", 1)]
    assert run.fire("a", at=101).started == ["a"]


def test_a_failure_in_a_draining_run_is_tried_again_after_it() -> None:
    run = Run("start>a", retries={"a": TWICE}).begin().feed(DrainRequested(0))
    run.fail("a", at=5, retryable=True)
    assert run.kinds == ["node_run_retry"]
    assert run.started == []
    assert isinstance(run.commands[-1], ContinueAsNew)
    assert run.feed(Resumed(6)).timers == [("a", 1)]


def test_a_failure_ends_a_draining_run_like_any_other() -> None:
    run = Run("start>a start>b").begin().feed(DrainRequested(0)).fail("a")
    assert isinstance(run.commands[-1], FinishRun)
    assert run.cancelled == ["b"]


def test_a_run_that_has_not_started_does_not_drain() -> None:
    run = Run("start>a").feed(DrainRequested(0))
    assert run.commands == []
    assert run.begin().started == ["a"]


# ---- time and ids: section 5.8


def test_time_never_goes_back() -> None:
    run = Run("start>a a>b").begin(at=1_000).ok("a", at=900)
    assert {event.at for event in run.log} == {1_000}
    assert run.ok("b", at=1_500).result.elapsed_ms == 500


def test_a_fixed_clock_stands_still() -> None:
    run = Run("start>a", fixed_timestamp=1_700_000_000).begin(at=5).ok("a", at=99_000)
    assert {event.at for event in run.log} == {1_700_000_000_000}
    assert run.result.elapsed_ms == 0


def test_ids_are_taken_for_the_run_then_for_each_round_and_each_node() -> None:
    run = Run("start>a start>b").begin()
    begun = [event.data for event in run.log if event.type == "node_run_started"]
    assert [data["parallel_group_id"] for data in begun] == ["id-1", "id-3", "id-3"]
    assert [data["id"] for data in begun] == ["id-2", "id-4", "id-5"]


def test_without_a_prefix_ids_are_uuids_that_depend_on_the_run_alone() -> None:
    one, other = (Run("start>a", fake_id_prefix=None).begin() for _ in range(2))
    assert one.log == other.log
    assert len({event.data["id"] for event in one.log if "id" in event.data}) == 2
