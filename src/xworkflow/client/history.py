"""The event log of a run, as a pure function of its history.

A ``HistoryFeed`` takes the events of one history in order and feeds a driver of its own exactly as
the workflow did: no worker is needed, and closed runs are read like open ones. The order of facts
is the rule of ``workflows/shell.py``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from xworkflow.domain.commands import Emit, FinishRun, StartHandler, StartNode, StartTimer
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    AbortRequested,
    DrainRequested,
    Fact,
    HandlerFinished,
    Resumed,
    RunStarted,
    TimerFired,
)
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.wire import (
    ChildEnd,
    NodeReport,
    RegionReport,
    RunInput,
    activity_id,
    handler_failed,
    lost_attempt,
)
from xworkflow.engine.compile import CompileError, body_schema
from xworkflow.engine.driver import Driver, Effect, fact_of
from xworkflow.engine.start import compiled_of, first_state

T = TypeVar("T")

_TIMERS, _NODES, _HANDLER, _STOP = range(4)
_MARKER = "core_local_activity"

_CLOSING = {
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_COMPLETED: "completed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_FAILED: "failed",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED: "canceled",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TERMINATED: "terminated",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_TIMED_OUT: "timed_out",
    EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CONTINUED_AS_NEW: "continued_as_new",
}


@dataclass(frozen=True, slots=True)
class _Arrival:
    rank: int
    index: int
    fact: Callable[[int], Fact]
    """Made with the time of the workflow task that took it."""


@dataclass(slots=True)
class _Task:
    """The workflow task that took the arrivals before it."""

    taken: int = 0
    at: int = 0
    event_id: int = 0
    history_bytes: int = 0


@dataclass(slots=True)
class Closed:
    """How Temporal closed a history; ``reason`` is its failure's text, where it has one."""

    status: str
    next_run_id: str | None = None
    reason: str | None = None


_CHILD_ENDS: dict[int, ChildEnd] = {
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: ChildEnd.CANCELLED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: ChildEnd.TERMINATED,
    EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: ChildEnd.TIMED_OUT,
    EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: ChildEnd.NOT_STARTED,
}


@dataclass(slots=True)
class HistoryFeed:
    """Reads one history. ``driver`` is None until its first event was taken."""

    converter: DataConverter
    workflow_id: str
    driver: Driver | None = None
    result: RunResult | None = None
    closed: Closed | None = None
    run_input: RunInput | None = None
    _started_at: int = 0
    _begun: bool = False
    _events: list[GraphEngineEvent] = field(default_factory=list[GraphEngineEvent])
    _arrivals: list[_Arrival] = field(default_factory=list[_Arrival])
    _task: _Task = field(default_factory=_Task)
    _scheduled: dict[int, str] = field(default_factory=dict[int, str])
    _attempts: dict[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    _timers: dict[str, StartTimer] = field(default_factory=dict[str, StartTimer])
    _unnamed: deque[StartTimer] = field(default_factory=deque[StartTimer])

    async def take(self, event: HistoryEvent) -> list[GraphEngineEvent]:
        """Take the next history event; returns the run's events that follow from it."""
        self._events = []
        handler = self._handlers.get(event.event_type)
        if handler is not None:
            await handler(self, event)
        elif event.event_type in _CLOSING:
            self._close(event)
        return self._events

    # ---- the workflow's own tasks

    async def _execution_started(self, event: HistoryEvent) -> None:
        attributes = event.workflow_execution_started_event_attributes
        try:
            self.run_input = await self._decode(attributes.input.payloads, RunInput)
            compiled = compiled_of(self.run_input)
        except (ValidationError, CompileError):
            return  # the workflow refuses it too, and has no events
        execution_id = self.run_input.id_base or self.workflow_id
        self.driver = Driver(compiled, first_state(self.run_input, compiled, execution_id))

    async def _task_started(self, event: HistoryEvent) -> None:
        attributes = event.workflow_task_started_event_attributes
        self._task = _Task(
            taken=len(self._arrivals),
            at=_millis(event.event_time),
            event_id=event.event_id,
            history_bytes=attributes.history_size_bytes,
        )

    async def _task_completed(self, _event: HistoryEvent) -> None:
        if self.driver is None or self.run_input is None:
            return
        if not self._begun:
            self._begun = True
            self._started_at = self._task.at
            self._begin(self.run_input)
        batch = self._arrivals[: self._task.taken]
        self._arrivals = self._arrivals[self._task.taken :]
        if batch:
            self._feed_batch(
                [a.fact(self._task.at) for a in sorted(batch, key=lambda a: (a.rank, a.index))]
            )

    def _begin(self, run: RunInput) -> None:
        if run.state is not None:
            self._feed(Resumed(self._started_at))
        elif run.group_id is None or run.policy is not None or run.pool is not None:
            self._feed(RunStarted(self._started_at))

    def _feed_batch(self, facts: Sequence[Fact]) -> None:
        self._drain_if_long()
        for fact in facts:
            self._feed(fact)

    def _drain_if_long(self) -> None:
        assert self.driver is not None  # noqa: S101 - the callers looked
        assert self.run_input is not None  # noqa: S101
        options = self.run_input.options
        long = (
            self._task.event_id > options.continue_as_new_after_events
            or self._task.history_bytes > options.continue_as_new_after_bytes
        )
        if long and not self.driver.state.draining:
            self._feed(DrainRequested(self.driver.state.now))

    def _feed(self, fact: Fact) -> None:
        assert self.driver is not None  # noqa: S101
        self._note(self.driver.feed(fact))

    def _note(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case Emit(event):
                    self._events.append(event)
                case StartNode(node, attempt):
                    name = self._plan_node_id(node)
                    self._attempts[activity_id(name, attempt)] = (node, attempt)
                case StartTimer():
                    self._unnamed.append(effect)
                case FinishRun(result):
                    self.result = result
                case StartHandler():
                    self._refuse_broken_handler()
                case _:
                    pass

    def _plan_node_id(self, node: int) -> str:
        assert self.driver is not None  # noqa: S101
        return self.driver.plan.nodes[node].id

    def _refuse_broken_handler(self) -> None:
        """A handler that cannot be compiled never becomes a child workflow."""
        assert self.driver is not None  # noqa: S101
        assert self.run_input is not None  # noqa: S101
        handler = self.driver.plan.error_handler
        assert handler is not None  # noqa: S101 - decide asked for it
        body = body_schema(self.driver.compiled.schema, handler.sub_graph)
        try:
            compiled_of(self.run_input.model_copy(update={"schema_text": body.text}))
        except CompileError as error:
            self._feed(handler_failed(self._task.at, str(error)))

    # ---- local regions

    async def _marker(self, event: HistoryEvent) -> None:
        attributes = event.marker_recorded_event_attributes
        if attributes.marker_name != _MARKER or self.driver is None:
            return
        if attributes.HasField("failure"):
            report = RegionReport()  # it was lost: its nodes run as activities
        else:
            report = await self._decode(attributes.details["result"].payloads, RegionReport)
        facts: list[Fact] = []
        if report.admission is not None:
            if report.admission.policy is not None:
                self.driver.apply_policy(report.admission.policy)
            if not report.admission.granted:
                return
            facts.append(RunStarted(self._started_at))
        facts += [fact_of(f.node, f.attempt, f.report) for f in report.finished]
        self._feed_batch(facts)

    # ---- activities

    async def _activity_scheduled(self, event: HistoryEvent) -> None:
        attributes = event.activity_task_scheduled_event_attributes
        self._scheduled[event.event_id] = attributes.activity_id

    async def _activity_completed(self, event: HistoryEvent) -> None:
        attributes = event.activity_task_completed_event_attributes
        report = await self._decode(attributes.result.payloads, NodeReport)
        self._node_arrives(attributes.scheduled_event_id, lambda _at: report)

    async def _activity_failed(self, event: HistoryEvent) -> None:
        attributes = event.activity_task_failed_event_attributes
        cause = await self.converter.decode_failure(attributes.failure)
        self._node_arrives(
            attributes.scheduled_event_id,
            lambda at: lost_attempt(at, cause, timed_out=False),
        )

    async def _activity_timed_out(self, event: HistoryEvent) -> None:
        attributes = event.activity_task_timed_out_event_attributes
        self._node_arrives(
            attributes.scheduled_event_id,
            lambda at: lost_attempt(at, None, timed_out=True),
        )

    def _node_arrives(self, scheduled: int, report: Callable[[int], NodeReport]) -> None:
        found = self._attempts.get(self._scheduled.get(scheduled, ""))
        if found is None:
            return
        node, attempt = found
        self._arrivals.append(_Arrival(_NODES, node, lambda at: fact_of(node, attempt, report(at))))

    # ---- timers

    async def _timer_started(self, event: HistoryEvent) -> None:
        """The n-th timer of a history is the n-th that decide asked for: none is ever cancelled."""
        if self._unnamed:
            timer = self._unnamed.popleft()
            self._timers[event.timer_started_event_attributes.timer_id] = timer

    async def _timer_fired(self, event: HistoryEvent) -> None:
        timer = self._timers.get(event.timer_fired_event_attributes.timer_id)
        if timer is None:
            return
        self._arrivals.append(
            _Arrival(_TIMERS, timer.node, lambda at: TimerFired(timer.node, timer.attempt, at))
        )

    # ---- the error handler's child workflow, and stops

    async def _child_completed(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_completed_event_attributes
        result = await self._decode(attributes.result.payloads, RunResult)
        self._handler_arrives(lambda at: HandlerFinished(at, outputs=result.outputs))

    async def _child_failed(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_failed_event_attributes
        why = _innermost(attributes.failure)
        self._handler_arrives(lambda at: handler_failed(at, why))

    async def _child_ended_otherwise(self, event: HistoryEvent) -> None:
        why = _CHILD_ENDS[event.event_type]
        self._handler_arrives(lambda at: handler_failed(at, why))

    def _handler_arrives(self, fact: Callable[[int], Fact]) -> None:
        self._arrivals.append(_Arrival(_HANDLER, 0, fact))

    async def _cancel_requested(self, _event: HistoryEvent) -> None:
        self._arrivals.append(_Arrival(_STOP, 0, lambda at: AbortRequested(at, "cancelled")))

    # ---- the end

    def _close(self, event: HistoryEvent) -> None:
        status = _CLOSING[event.event_type]
        reason: str | None = None
        following: str | None = None
        if status == "failed":
            reason = _innermost(event.workflow_execution_failed_event_attributes.failure)
        elif status == "terminated":
            reason = event.workflow_execution_terminated_event_attributes.reason or None
        elif status == "continued_as_new":
            attributes = event.workflow_execution_continued_as_new_event_attributes
            following = attributes.new_execution_run_id
        self.closed = Closed(status, following, reason)

    async def _decode(self, payloads: Sequence[Payload], wanted: type[T]) -> T:
        return cast("T", (await self.converter.decode(payloads, [wanted]))[0])

    _handlers: ClassVar[dict[int, Callable[[Any, HistoryEvent], Awaitable[None]]]] = {
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED: _execution_started,
        EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED: _task_started,
        EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED: _task_completed,
        EventType.EVENT_TYPE_MARKER_RECORDED: _marker,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED: _activity_scheduled,
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED: _activity_completed,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED: _activity_failed,
        EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT: _activity_timed_out,
        EventType.EVENT_TYPE_TIMER_STARTED: _timer_started,
        EventType.EVENT_TYPE_TIMER_FIRED: _timer_fired,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_COMPLETED: _child_completed,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_FAILED: _child_failed,
        **dict.fromkeys(_CHILD_ENDS, _child_ended_otherwise),
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_requested,
    }


def _innermost(failure: Failure) -> str:
    while failure.HasField("cause"):
        failure = failure.cause
    return failure.message


def _millis(time: Timestamp) -> int:
    return time.ToMilliseconds()


__all__ = ["Closed", "HistoryFeed"]
