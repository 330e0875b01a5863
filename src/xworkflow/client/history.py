"""The event log of one workflow, as a pure function of its history.

A ``HistoryFeed`` takes the events of one history in order and feeds a carrier of its own exactly as
the workflow did: no worker is needed, and closed runs are read like open ones. The order of facts
is the rule of ``workflows/shell.py``. A run with sub-graphs has more than one history:
``client/run_log.py`` reads them all.

A history tells of a workflow task in three places: signals and news stand before it, and what the
task said, in whatever order, behind its end; among that are the updates that it accepted, which it
took before its news. So all that a task said is held until an event comes that is no task's saying,
and then the task is carried out as a whole.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.failure.v1 import Failure
from temporalio.api.history.v1 import HistoryEvent
from temporalio.converter import DataConverter

from xworkflow.domain.commands import (
    ContinueAsNew,
    Emit,
    FinishRun,
    StartChunk,
    StartHandler,
    StartNode,
    StartTimer,
)
from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    AbortRequested,
    ChunkFinished,
    Debugged,
    DrainRequested,
    Fact,
    HandlerFinished,
    PauseLifted,
    PauseRequested,
    Resumed,
    SafeStopRequested,
    TimerFired,
    VariablesUpdated,
)
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.repeats import ChunkEnd
from xworkflow.domain.selectors import SelectorError, parse_selector
from xworkflow.domain.wire import (
    ABORT_SIGNAL,
    ANSWER_UPDATE,
    DEBUG_UPDATE,
    HANDLER_SUFFIX,
    NEXT_TASK_SECS,
    PAUSE_SIGNAL,
    RESUME_SIGNAL,
    SAFE_STOP_SIGNAL,
    SLOT_SIGNAL,
    VARIABLES_UPDATE,
    ChildEnd,
    NodeReport,
    RegionReport,
    RunInput,
    activity_id,
    chunk_id,
    chunk_lost,
    handler_failed,
    lost_attempt,
)
from xworkflow.engine.carrier import Carrier, FinishChunk, LaneEffect
from xworkflow.engine.compile import CompileError, body_schema
from xworkflow.engine.composing import Composer
from xworkflow.engine.continuing import Continuing
from xworkflow.engine.driver import Driver, fact_of
from xworkflow.engine.start import begin, carrier_of, compiled_of

T = TypeVar("T")

_SIGNALS, _UPDATES, _TIMERS, _NODES, _CHUNKS, _HANDLER, _STOP = range(7)
_LEAST_SECS = NEXT_TASK_SECS * 5
"""Of a run's own timers; they are whole milliseconds."""
_MARKER = "core_local_activity"

_ACCEPTED = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED
_SAID = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_CANCEL_REQUESTED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED,
        EventType.EVENT_TYPE_MARKER_RECORDED,
        EventType.EVENT_TYPE_REQUEST_CANCEL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        EventType.EVENT_TYPE_SIGNAL_EXTERNAL_WORKFLOW_EXECUTION_INITIATED,
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_INITIATED,
        EventType.EVENT_TYPE_TIMER_CANCELED,
        EventType.EVENT_TYPE_TIMER_STARTED,
        EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_COMPLETED,
        EventType.EVENT_TYPE_WORKFLOW_PROPERTIES_MODIFIED,
        _ACCEPTED,
    }
)
"""What a workflow task says, other than that the workflow ends."""

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
    place: tuple[int, ...]
    take: Callable[[int], list[LaneEffect]]
    """Given the time of the workflow task that took it."""


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


_TOLD: dict[str, Callable[[int], Fact]] = {
    PAUSE_SIGNAL: PauseRequested,
    RESUME_SIGNAL: PauseLifted,
    SAFE_STOP_SIGNAL: SafeStopRequested,
}
"""Signals without arguments, and the facts that they are."""


@dataclass(frozen=True, slots=True)
class ChildStarted:
    """A child workflow began; its own history tells the rest."""

    workflow_id: str
    run_id: str


@dataclass(slots=True)
class HistoryFeed:
    """Reads one history. ``carrier`` is None until its first event was taken.

    ``child_started`` and ``child_ended`` are set by the event that was taken last.
    """

    converter: DataConverter
    workflow_id: str
    carrier: Carrier | None = None
    result: RunResult | None = None
    end: ChunkEnd | None = None
    closed: Closed | None = None
    run_input: RunInput | None = None
    child_started: ChildStarted | None = None
    child_ended: str | None = None
    composers: dict[int, Composer] = field(default_factory=dict[int, Composer])
    """Of each lane; whoever reads the next history hands them on."""
    started: dict[str, tuple[int, str]] = field(default_factory=dict[str, tuple[int, str]])
    """(lane, node id) of the nodes that started, by execution id."""
    _continuing: Continuing | None = None
    _execution_id: str = ""
    _started_at: int = 0
    _begun: bool = False
    _over: bool = False
    """The workflow has ended, or goes on in another history: it takes nothing more."""
    _queued: bool = False
    _has_place: bool = False
    _events: list[GraphEngineEvent] = field(default_factory=list[GraphEngineEvent])
    _arrivals: list[_Arrival] = field(default_factory=list[_Arrival])
    _task: _Task = field(default_factory=_Task)
    _said: list[HistoryEvent] | None = None
    """By the task that ended last, while it may have said more."""
    _scheduled: dict[int, str] = field(default_factory=dict[int, str])
    _attempts: dict[str, tuple[int, int, int]] = field(
        default_factory=dict[str, tuple[int, int, int]]
    )
    _chunks: dict[str, tuple[int, StartChunk]] = field(
        default_factory=dict[str, tuple[int, StartChunk]]
    )
    _timers: dict[str, tuple[int, StartTimer]] = field(
        default_factory=dict[str, tuple[int, StartTimer]]
    )
    _unnamed: deque[tuple[int, StartTimer]] = field(default_factory=deque[tuple[int, StartTimer]])

    @property
    def driver(self) -> Driver | None:
        """The only driver of a whole run; None for a chunk."""
        if self.carrier is None or self.run_input is None or self.run_input.chunk is not None:
            return None
        return self.carrier.lanes[0]

    async def take(self, event: HistoryEvent) -> list[GraphEngineEvent]:
        """Take the next history event; returns the run's events that have become known by it."""
        self._events = []
        self.child_started = self.child_ended = None
        if self._said is not None and event.event_type in _SAID:
            self._said.append(event)
            return self._events
        await self._carry_out()
        await self._handle(event)
        if event.event_type in _CLOSING:
            self._close(event)
        return self._events

    @property
    def holds(self) -> bool:
        """Whether the task that was read last may have said more."""
        return self._said is not None

    def settles_before(self, event: HistoryEvent) -> bool:
        """Whether by this event all that the last task said is known."""
        return self.holds and event.event_type not in _SAID

    async def settle(self) -> list[GraphEngineEvent]:
        """The task that was read last said no more: returns the run's events that it led to.

        Called where no event tells it: at the end, or where a reader waits for more. (A server
        writes what a task said at once, and a page ends behind it, however small pages are.)
        """
        self._events = []
        self.child_started = self.child_ended = None
        await self._carry_out()
        return self._events

    async def _handle(self, event: HistoryEvent) -> None:
        handler = self._handlers.get(event.event_type)
        if handler is not None:
            await handler(self, event)

    # ---- the workflow's own tasks

    async def _execution_started(self, event: HistoryEvent) -> None:
        attributes = event.workflow_execution_started_event_attributes
        try:
            run = await self._decode(attributes.input.payloads, RunInput)
            compiled = compiled_of(run)
            self._execution_id = run.id_base or self.workflow_id
            self.carrier = carrier_of(run, compiled, self._execution_id, self.composers)
        except (ValidationError, CompileError):
            return  # the workflow refuses it too, and has no events
        self.run_input = run
        self._continuing = Continuing(run.options)

    async def _task_started(self, event: HistoryEvent) -> None:
        attributes = event.workflow_task_started_event_attributes
        self._task = _Task(
            taken=len(self._arrivals),
            at=_millis(event.event_time),
            event_id=event.event_id,
            history_bytes=attributes.history_size_bytes,
        )

    async def _task_completed(self, _event: HistoryEvent) -> None:
        self._said = []

    async def _carry_out(self) -> None:
        """The task that ended last: what it took, and then what it said."""
        said, self._said = self._said, None
        if said is None:
            return
        if self.carrier is not None and self.run_input is not None:
            if not self._begun:
                self._begun = True
                self._started_at = self._task.at
                self._begin(self.carrier, self.run_input)
            batch = self._arrivals[: self._task.taken]
            self._arrivals = self._arrivals[self._task.taken :]
            updates = [await self._update(event) for event in said if event.event_type == _ACCEPTED]
            self._take_batch([*(a for a in batch if a.rank == _SIGNALS), *updates])
            self._take_batch([a for a in batch if a.rank != _SIGNALS])
        for event in said:
            if event.event_type != _ACCEPTED:
                await self._handle(event)

    def _take_batch(self, batch: Sequence[_Arrival]) -> None:
        if batch and not self._over:
            self._drain_if_long()
            for arrival in sorted(batch, key=lambda a: (a.rank, a.place)):
                self._note(arrival.take(self._task.at))

    def _begin(self, carrier: Carrier, run: RunInput) -> None:
        at = self._started_at
        if run.state is not None and run.fork is None:
            self._note(carrier.tell(Resumed(at)))
        elif run.group_id is None or run.policy is not None or run.pool is not None:
            self._note(begin(carrier, run, at))

    def _drain_if_long(self) -> None:
        carrier, continuing = self._carrier(), self._continuing
        assert continuing is not None  # noqa: S101 - the callers looked
        if carrier.draining:
            return
        if continuing.is_due(carrier, self._task.event_id, self._task.history_bytes):
            self._note(carrier.tell(DrainRequested(carrier.now)))

    def _carrier(self) -> Carrier:
        assert self.carrier is not None  # noqa: S101 - the first event made it
        return self.carrier

    def _feed(self, lane: int, fact: Fact) -> list[LaneEffect]:
        return self._carrier().feed(lane, fact)

    def _note(self, effects: list[LaneEffect]) -> None:
        for lane, effect in effects:
            match effect:
                case Emit(event):
                    self._events.append(event)
                    if event.type == "node_run_started":
                        self.started[event.data["id"]] = (lane, event.data["node_id"])
                case StartNode(node, attempt):
                    name = activity_id(self._node_id(node), attempt, self._item(lane))
                    self._attempts[name] = (lane, node, attempt)
                case StartTimer():
                    self._unnamed.append((lane, effect))
                case StartChunk():
                    name = chunk_id(
                        self.workflow_id, self._node_id(effect.node), effect, self._item(lane)
                    )
                    self._chunks[name] = (lane, effect)
                case FinishRun() | FinishChunk() | ContinueAsNew():
                    self._end(effect)
                case StartHandler():
                    self._refuse_broken_handler()
                case _:
                    pass

    def _end(self, effect: FinishRun | FinishChunk | ContinueAsNew) -> None:
        self._over = True
        match effect:
            case FinishRun(result):
                self.result = result
            case FinishChunk(end):
                self.end = end
            case ContinueAsNew():
                pass

    def _node_id(self, node: int) -> str:
        return self._carrier().compiled.plan.nodes[node].id

    def _item(self, lane: int) -> int | None:
        return None if self.run_input is None or self.run_input.chunk is None else lane

    def _refuse_broken_handler(self) -> None:
        """A handler that cannot be compiled never becomes a child workflow."""
        driver, run = self._carrier().lanes[0], self.run_input
        handler = driver.plan.error_handler
        assert run is not None  # noqa: S101 - the first event made it
        assert handler is not None  # noqa: S101 - decide asked for it
        body = body_schema(driver.compiled.schema, handler.sub_graph)
        try:
            compiled_of(run.model_copy(update={"schema_text": body.text}))
        except CompileError as error:
            self._note(self._feed(0, handler_failed(self._task.at, str(error))))

    # ---- local regions

    async def _marker(self, event: HistoryEvent) -> None:
        attributes = event.marker_recorded_event_attributes
        if attributes.marker_name != _MARKER or self.carrier is None or self._over:
            return
        if attributes.HasField("failure"):
            report = RegionReport()  # it was lost: its nodes run as activities
        else:
            report = await self._decode(attributes.details["result"].payloads, RegionReport)
        # what is drained is noted before the admission starts the run, as the shell does it
        self._drain_if_long()
        if report.admission is not None:
            driver = self.driver
            if report.admission.policy is not None and driver is not None:
                driver.apply_policy(report.admission.policy)
            if report.admission.queued:
                self._queued = True
            if not report.admission.granted and not (self._queued and self._has_place):
                return
            self._note(self._begin_admitted(self._started_at))
        for done in report.finished:
            self._note(self._feed(done.lane, fact_of(done.node, done.attempt, done.report)))
        self._note(self._carrier().go_on())

    def _begin_admitted(self, at: int) -> list[LaneEffect]:
        """A run has its place: it begins, unless it has begun and only asked again."""
        self._queued = False
        driver = self.driver
        if driver is None or driver.state.phase != "new" or self.run_input is None:
            return []
        return begin(self._carrier(), self.run_input, at)

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
        lane, node, attempt = found
        self._arrivals.append(
            _Arrival(
                _NODES,
                (lane, node),
                lambda at: self._feed(lane, fact_of(node, attempt, report(at))),
            )
        )

    # ---- timers

    async def _timer_started(self, event: HistoryEvent) -> None:
        """The n-th timer of a history is the n-th that decide asked for: none is ever cancelled.
        One that only brings the workflow's next task is none of them."""
        attributes = event.timer_started_event_attributes
        length = attributes.start_to_fire_timeout
        if self._unnamed and not 0 < length.seconds + length.nanos / 1e9 < _LEAST_SECS:
            self._timers[attributes.timer_id] = self._unnamed.popleft()

    async def _timer_fired(self, event: HistoryEvent) -> None:
        found = self._timers.get(event.timer_fired_event_attributes.timer_id)
        if found is None:
            return
        lane, timer = found
        self._arrivals.append(
            _Arrival(
                _TIMERS,
                (lane, timer.node),
                lambda at: self._feed(lane, TimerFired(timer.node, timer.attempt, at, timer.kind)),
            )
        )

    # ---- child workflows: chunks, and the error handler

    async def _child_began(self, event: HistoryEvent) -> None:
        execution = event.child_workflow_execution_started_event_attributes.workflow_execution
        if execution.workflow_id in self._chunks:  # an error handler tells nothing of its inside
            self.child_started = ChildStarted(execution.workflow_id, execution.run_id)

    async def _child_completed(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_completed_event_attributes
        child_id = attributes.workflow_execution.workflow_id
        payloads = attributes.result.payloads
        if child_id in self._chunks:
            end = await self._decode(payloads, ChunkEnd)
            self._child_arrives(child_id, lambda: end, HandlerFinished)
        else:
            result = await self._decode(payloads, RunResult)
            self._child_arrives(
                child_id, ChunkEnd, lambda at: HandlerFinished(at, outputs=result.outputs)
            )

    async def _child_failed(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_failed_event_attributes
        self._child_lost(attributes.workflow_execution.workflow_id, _innermost(attributes.failure))

    async def _child_cancelled(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_canceled_event_attributes
        self._child_lost(attributes.workflow_execution.workflow_id, ChildEnd.CANCELLED)

    async def _child_terminated(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_terminated_event_attributes
        self._child_lost(attributes.workflow_execution.workflow_id, ChildEnd.TERMINATED)

    async def _child_timed_out(self, event: HistoryEvent) -> None:
        attributes = event.child_workflow_execution_timed_out_event_attributes
        self._child_lost(attributes.workflow_execution.workflow_id, ChildEnd.TIMED_OUT)

    async def _child_not_started(self, event: HistoryEvent) -> None:
        attributes = event.start_child_workflow_execution_failed_event_attributes
        self._child_lost(attributes.workflow_id, ChildEnd.NOT_STARTED)

    def _child_lost(self, child_id: str, why: str) -> None:
        self._child_arrives(child_id, lambda: chunk_lost(why), lambda at: handler_failed(at, why))

    def _child_arrives(
        self,
        child_id: str,
        chunk_end: Callable[[], ChunkEnd],
        handler_end: Callable[[int], HandlerFinished],
    ) -> None:
        if child_id == f"{self.workflow_id}/{HANDLER_SUFFIX}":
            self._arrivals.append(_Arrival(_HANDLER, (), lambda at: self._feed(0, handler_end(at))))
            return
        found = self._chunks.get(child_id)
        if found is None:
            return
        self.child_ended = child_id
        lane, start = found
        end = chunk_end()
        self._arrivals.append(
            _Arrival(
                _CHUNKS,
                (lane, start.node, start.start),
                lambda at: self._feed(
                    lane, ChunkFinished(start.node, start.attempt, start.start, end, at)
                ),
            )
        )

    # ---- commands: signals are taken with the next task, updates with the one that accepts them,
    # and both before its news

    async def _cancel_requested(self, _event: HistoryEvent) -> None:
        self._arrivals.append(
            _Arrival(_STOP, (), lambda at: self._carrier().tell(AbortRequested(at, "cancelled")))
        )

    async def _signalled(self, event: HistoryEvent) -> None:
        attributes = event.workflow_execution_signaled_event_attributes
        if attributes.signal_name == SLOT_SIGNAL:
            self._arrivals.append(_Arrival(_SIGNALS, (), self._slot_granted))
            return
        fact: Callable[[int], Fact] | None = _TOLD.get(attributes.signal_name)
        if attributes.signal_name == ABORT_SIGNAL:
            payloads = attributes.input.payloads
            try:
                reason = await self._decode(payloads, str) if payloads else None
            except Exception:  # noqa: BLE001 - the workflow drops what it cannot read, too
                return
            fact = lambda at: AbortRequested(at, reason)  # noqa: E731
        if fact is not None:
            made = fact
            self._arrivals.append(_Arrival(_SIGNALS, (), lambda at: self._carrier().tell(made(at))))

    def _slot_granted(self, at: int) -> list[LaneEffect]:
        self._has_place = True
        return self._begin_admitted(at) if self._queued else []

    async def _update_accepted(self, event: HistoryEvent) -> None:
        """One that a task said after its page of the history had ended."""
        if self.carrier is not None:
            self._take_batch([await self._update(event)])

    async def _update(self, event: HistoryEvent) -> _Arrival:
        given = event.workflow_execution_update_accepted_event_attributes.accepted_request.input
        payloads = given.args.payloads
        take: Callable[[int], list[LaneEffect]] = lambda _at: []  # noqa: E731
        match given.name:
            case name if name == ANSWER_UPDATE:
                answer = await self._decode(payloads, HumanAnswer)
                take = lambda at: self._answered(answer, at)  # noqa: E731
            case name if name == VARIABLES_UPDATE:
                values = await self._decode(payloads, dict[str, Any])
                with suppress(SelectorError):
                    writes = tuple(
                        (parse_selector(k.replace(":", ".", 1)), v) for k, v in values.items()
                    )
                    take = lambda at: self._carrier().tell(VariablesUpdated(writes, at))  # noqa: E731
            case name if name == DEBUG_UPDATE:
                command = await self._decode(payloads, DebugCommand)
                take = lambda at: self._carrier().tell(Debugged(command, at))  # noqa: E731
            case _:
                pass
        return _Arrival(_UPDATES, (), take)

    def _answered(self, answer: HumanAnswer, at: int) -> list[LaneEffect]:
        carrier = self._carrier()
        found = carrier.find_asked(answer)
        if found is None:
            return []
        lane, node = found
        return carrier.feed(lane, carrier.lanes[lane].answer(node, answer, at))

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
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_STARTED: _child_began,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_CANCELED: _child_cancelled,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TERMINATED: _child_terminated,
        EventType.EVENT_TYPE_CHILD_WORKFLOW_EXECUTION_TIMED_OUT: _child_timed_out,
        EventType.EVENT_TYPE_START_CHILD_WORKFLOW_EXECUTION_FAILED: _child_not_started,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED: _signalled,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_UPDATE_ACCEPTED: _update_accepted,
        EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED: _cancel_requested,
    }


def _innermost(failure: Failure) -> str:
    while failure.HasField("cause"):
        failure = failure.cause
    return failure.message


def _millis(time: Timestamp) -> int:
    return time.ToMilliseconds()


__all__ = ["ChildStarted", "Closed", "HistoryFeed"]
