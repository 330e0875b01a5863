"""The data of every event that the scheduler makes: exactly the keys of spec/graph.md 8."""

from __future__ import annotations

from typing import Any

from tests.domain.drawn import FAIL_BRANCH, RECOVER, Run
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import AbortRequested, HandlerFinished, RunStarted
from xworkflow.domain.schema import RetryConfig

TWICE = {"a": RetryConfig(max_retries=1)}
DETAIL = {
    "code": "execution_error",
    "message": "boom",
    "retryability": "non_retryable",
    "severity": "error",
}


def data_of(run: Run, kind: str) -> dict[str, Any]:
    """The data of the run's last event of a kind."""
    return next(event.data for event in reversed(run.log) if event.type == kind)


def test_an_event_as_json_has_its_place_time_type_and_data() -> None:
    event = GraphEngineEvent(3, 1_000, "graph_run_started", {})
    assert event.to_json() == {"seq": 3, "at": 1_000, "type": "graph_run_started", "data": {}}


def test_the_start_of_a_run_has_no_data() -> None:
    assert data_of(Run("start>a").feed(RunStarted(0)), "graph_run_started") == {}


def test_the_start_of_a_node_names_who_led_to_it() -> None:
    run = Run("start>a").begin()
    assert data_of(run, "node_run_started") == {
        "id": "id-4",
        "node_id": "a",
        "node_type": "code",
        "node_title": "A",
        "predecessor_node_id": "start",
        "parallel_group_id": "id-3",
    }


def test_nobody_led_to_the_root() -> None:
    run = Run("start>a").feed(RunStarted(0))
    assert data_of(run, "node_run_started")["predecessor_node_id"] is None


def test_a_join_names_the_node_that_ended_last() -> None:
    run = Run("start>a start>b a>join b>join").begin().ok("a").ok("b")
    assert data_of(run, "node_run_started")["predecessor_node_id"] == "b"


def test_a_join_made_ready_by_a_skip_names_the_branch_that_ended() -> None:
    run = Run("start>a start>if if:yes>x if:no>y a>join y>join").begin().ok("a")
    run.ok("if", handle="yes")
    started = {e.data["node_id"]: e.data for e in run.events if e.type == "node_run_started"}
    assert started["join"]["predecessor_node_id"] == "if"


def test_success_carries_the_outputs() -> None:
    run = Run("start>a").begin().ok("a", x=1)
    assert data_of(run, "node_run_succeeded") == {
        "id": "id-4",
        "node_id": "a",
        "node_type": "code",
        "status": "succeeded",
        "outputs": {"x": 1},
    }


def test_failure_carries_the_error_and_its_detail() -> None:
    run = Run("start>a").begin().fail("a")
    assert data_of(run, "node_run_failed") == {
        "id": "id-4",
        "node_id": "a",
        "node_type": "code",
        "error": "boom",
        "error_type": "execution_error",
        "error_detail": DETAIL,
    }
    assert data_of(run, "graph_run_failed") == {
        "error": "Node execution error: node=a, error=boom",
        "exceptions_count": 0,
    }


def test_an_exception_has_the_data_of_a_failure() -> None:
    run = Run("start>a a:fail-branch>b", strategies={"a": FAIL_BRANCH}).begin().fail("a")
    assert data_of(run, "node_run_exception") == {
        "id": "id-4",
        "node_id": "a",
        "node_type": "code",
        "error": "boom",
        "error_type": "execution_error",
        "error_detail": DETAIL,
    }


def test_the_detail_names_what_a_server_said() -> None:
    more: dict[str, Any] = {"retry_after_secs": 1.5, "http_status": 503, "metadata": {"host": "h"}}
    run = Run("start>a").begin().fail("a", retryable=True, **more)
    assert data_of(run, "node_run_failed")["error_detail"] == {
        **DETAIL,
        "retryability": "retryable",
        **more,
    }


def test_a_retry_is_numbered() -> None:
    run = Run("start>a", retries=TWICE).begin().fail("a", retryable=True)
    assert data_of(run, "node_run_retry") == {
        "id": "id-4",
        "node_id": "a",
        "node_type": "code",
        "node_title": "A",
        "error": "boom",
        "retry_index": 1,
    }


def test_the_end_of_a_run_carries_its_outputs() -> None:
    run = Run("start>end").begin().ok("end", x=1)
    assert data_of(run, "graph_run_succeeded") == {"outputs": {"x": 1}}


def test_an_end_with_exceptions_counts_them() -> None:
    run = Run("start>a a>end", strategies={"a": FAIL_BRANCH}).begin().fail("a").ok("end", x=1)
    assert data_of(run, "graph_run_partial_succeeded") == {
        "exceptions_count": 1,
        "outputs": {"x": 1},
    }
    assert "graph_run_succeeded" not in [event.type for event in run.log]


def test_a_stop_names_its_reason_and_the_outputs_so_far() -> None:
    run = Run("start>a start>end").begin().ok("end", x=1).feed(AbortRequested(0, "enough"))
    assert data_of(run, "graph_run_aborted") == {"reason": "enough", "outputs": {"x": 1}}


def test_the_handlers_events_carry_the_error_and_the_outputs() -> None:
    run = Run("start>a", error_handler=RECOVER).begin().fail("a")
    text = "Node execution error: node=a, error=boom"
    assert data_of(run, "error_handler_started") == {"error": text}
    failed = HandlerFinished(0, error="Sub-graph execution failed: worse")
    run.feed(failed)
    assert data_of(run, "error_handler_failed") == {"error": "Sub-graph execution failed: worse"}


def test_a_handler_that_recovers_tells_its_outputs() -> None:
    run = Run("start>a", error_handler=RECOVER).begin().fail("a")
    run.feed(HandlerFinished(0, outputs={"saved": True}))
    assert data_of(run, "error_handler_succeeded") == {"outputs": {"saved": True}}


def test_the_events_of_one_node_come_in_order() -> None:
    run = Run("start>a", retries=TWICE).begin().fail("a", retryable=True).ok("a")
    mine = [event.type for event in run.log if event.data.get("node_id") == "a"]
    assert mine == ["node_run_started", "node_run_retry", "node_run_succeeded"]
