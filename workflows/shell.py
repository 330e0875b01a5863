"""Carries out what the scheduler decides: activities, local regions, timers, child workflows.

Order is everything here. What arrives is put into an inbox, and the inbox is taken once per
activation, sorted by what each arrival is about and not by when its callback happened to run. So
the order of facts follows from the history alone, and a reader of the history feeds its own carrier
in the same order (client/history.py). The rule, in both places: before each batch, drain if the
history is long; then signals in their order, updates in their order, timers, finished activities,
chunks (all by lane and plan index), the error handler, a stop, and last a region's report.

The SDK lets a workflow run on the signals and updates of an activation before it tells of the rest,
so they are a batch of their own. With its logic flag for single batches (off up to 1.35) all is one
batch; the ranks give the same order then.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, FailureError
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from xworkflow.domain.commands import (
    CancelChunk,
    CancelHandler,
    CancelNode,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartChunk,
    StartHandler,
    StartNode,
    StartTimer,
)
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    AbortRequested,
    ChunkFinished,
    DrainRequested,
    Fact,
    HandlerFinished,
    Resumed,
    TimerFired,
)
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.plan import Placement
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd
from xworkflow.domain.wire import (
    CHILD_WAITS_SIGNAL,
    GRAPH_WORKFLOW,
    HANDLER_SUFFIX,
    LOCAL_REGION,
    SUBGRAPH_WORKFLOW,
    ChildWait,
    NodeReport,
    NodeStart,
    NodeTask,
    RegionReport,
    RegionTask,
    RunInput,
    SlotGranted,
    Variables,
    Waiting,
    activity_id,
    chunk_id,
    chunk_lost,
    handler_failed,
    lost_attempt,
)
from xworkflow.engine.carrier import FinishChunk, LaneEffect
from xworkflow.engine.compile import body_schema
from xworkflow.engine.continuing import Continuing
from xworkflow.engine.driver import Driver, fact_of
from xworkflow.engine.start import begin, carrier_of, compiled_of
from xworkflow.engine.sub_graphs import chunk_input
from xworkflow.engine.waiting import waiting_of
from xworkflow.workflows.children import Child, in_background, why_lost
from xworkflow.workflows.context import context_of
from xworkflow.workflows.details import Details
from xworkflow.workflows.messages import check_payload
from xworkflow.workflows.options import (
    LOST_WORKER_RETRY,
    ONCE,
    region_timeout,
    start_to_close,
)
from xworkflow.workflows.refusal_audit import audit_refusal
from xworkflow.workflows.room import Room
from xworkflow.workflows.slot import Slot
from xworkflow.workflows.tracing import RunTrace

_EPOCH = datetime.fromtimestamp(0, UTC)
_SIGNALS, _UPDATES, _TIMERS, _NODES, _CHUNKS, _HANDLER, _STOP, _REGION = range(8)

Take = Callable[[], list[LaneEffect]]


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Something for the inbox: where it stands in a batch, and what to do with it."""

    rank: int
    place: tuple[int, ...]
    take: Take


class Shell:
    """One history of one run, or of one chunk. Raises CompileError for what cannot be run."""

    def __init__(self, run: RunInput) -> None:
        self.run_input = run
        self.context = context_of(run)
        compiled = compiled_of(run)
        self._execution_id = self.context.execution_id
        self.carrier = carrier_of(run, compiled, self._execution_id)
        self._slot = Slot(run, self._execution_id)
        self._inbox: list[_Arrival] = []
        self._activities: dict[tuple[int, int], workflow.ActivityHandle[NodeReport]] = {}
        self._chunks: dict[tuple[int, int, int, int], Child[ChunkEnd]] = {}
        self._local: list[tuple[int, StartNode]] = []
        self._region_runs = False
        self._regions = 0
        self._room = Room()
        self._held: dict[tuple[int, int], asyncio.Future[None]] = {}
        """Activities that wait for a message of their own."""
        self._handler: Child[RunResult] | None = None
        self._result: RunResult | ChunkEnd | None = None
        self._continues = False
        self._continuing = Continuing(run.options)
        self._begun = False
        self.cancelled = False
        """Whether Temporal was asked to cancel it."""
        self.log: list[GraphEngineEvent] = []
        """The events of this history, for queries; a replay makes them again."""
        told = {waiting.token: waiting for waiting in run.waiting}
        self._child_waits = {} if run.chunk is not None else told
        self._told = told if run.chunk is not None else {}
        """The questions that the root was told of."""
        self._heard = dict(self._told)
        """Those of which it has heard: a signal on its way is lost with this history."""
        self._telling = 0
        self._details = Details(self.carrier.compiled.plan)
        self._trace = RunTrace(run, self._execution_id)

    async def carry(self) -> RunResult | ChunkEnd | None:
        """Run to the end. None means that the run continues as new (``next_input``)."""
        self._trace.begin()
        self._begin()
        while self._result is None and not self._continues:
            try:
                await workflow.wait_condition(lambda: bool(self._inbox))
            except asyncio.CancelledError:
                # conditions are looked at when nothing else can run: then all that this activation
                # brought is in the inbox, and the stop comes last
                await workflow.wait_condition(lambda: True)
                self._inbox.append(_Arrival(_STOP, (), self._stop))
            self._take_batch()
        if not workflow.all_handlers_finished():
            # whoever sent the update that ended the run still gets an answer
            await workflow.wait_condition(workflow.all_handlers_finished)
        if self._result is not None and self._telling:
            # a server drops the signals that a workflow sends with its end
            await workflow.wait_condition(lambda: not self._telling)
        self._trace.end(self._result if isinstance(self._result, RunResult) else None)
        return self._result

    @property
    def driver(self) -> Driver | None:
        """The only driver of a whole run; a chunk has one for each item in flight, or none."""
        return self.carrier.lanes.get(0) if self.run_input.chunk is None else None

    @property
    def is_over(self) -> bool:
        return self._result is not None

    @property
    def is_settled(self) -> bool:
        """Whether all that has arrived was taken: only then its state says what must be refused.

        A worker that has lost a run replays it up to the present; what it replays last and an
        update that has just come may then be one activation, and the update is looked at first.
        """
        return self._begun and not self._inbox

    def next_input(self) -> RunInput:
        """The input of the next history: the same run, with its state."""
        return self.run_input.model_copy(
            update={
                "state": self.carrier.dump(),
                "id_base": self._execution_id,
                "pool": None,
                "variables": Variables(),
                "fork": None,
                "waiting": tuple(
                    (
                        self._heard if self.run_input.chunk is not None else self._child_waits
                    ).values()
                ),
                "slot_turn": self._slot.turn,
                "slot_away": self._slot.away,
            }
        )

    def waiting(self) -> tuple[Waiting, ...]:
        """Every question that waits for a person, those of sub-graphs included."""
        return (*self.own_waiting(), *self._child_waits.values())

    def own_waiting(self) -> tuple[Waiting, ...]:
        return waiting_of(self.carrier, workflow.info().workflow_id)

    def now(self) -> int:
        return self.context.time_provider.now_millis()

    # ---- facts in

    def signalled(self, take: Take) -> None:
        """A signal arrived that moves the run."""
        self._inbox.append(_Arrival(_SIGNALS, (), take))

    async def updated(self, take: Take) -> None:
        """An update arrived that moves the run; returns once it was taken."""
        taken = False

        def take_it() -> list[LaneEffect]:
            nonlocal taken
            taken = True
            return take()

        self._inbox.append(_Arrival(_UPDATES, (), take_it))
        await workflow.wait_condition(lambda: taken or self.is_over)

    def slot_granted(self, told: SlotGranted) -> None:
        """The governor has a place for the run, which was queued."""

        def take() -> list[LaneEffect]:
            self._slot.granted(told)
            return self._place_taken(self.now()) if self._slot.queued else []

        self.signalled(take)

    def child_waits(self, told: ChildWait) -> None:
        """A sub-graph says that it waits for a person, or no longer does."""
        token = told.waiting.token
        if told.over:
            self._child_waits.pop(token, None)
        else:
            self._child_waits[token] = told.waiting

    def _forget_waits(self, child_id: str) -> None:
        """Those of a sub-graph that has ended, and of what is in it: nobody tells of a question's
        end who ends with it."""
        for token, waiting in list(self._child_waits.items()):
            if f"{waiting.workflow_id}/".startswith(f"{child_id}/"):
                del self._child_waits[token]

    def tell_children(self, signal: str) -> None:
        """Pass a command on to the sub-graphs that run."""
        for child in self._chunks.values():
            child.tell(signal)

    def _begin(self) -> None:
        run = self.run_input
        if run.state is not None and run.fork is None:
            self._perform(self.carrier.tell(Resumed(_started_at())))
        elif run.group_id is not None and run.policy is None and run.pool is None:
            self._start_region((), admit=True)
        else:
            self._perform(begin(self.carrier, run, _started_at()))
        self._after_batch()
        self._begun = True

    def _take_batch(self) -> None:
        batch, self._inbox = sorted(self._inbox, key=lambda a: (a.rank, a.place)), []
        self._drain_if_long()
        for arrival in batch:
            self._perform(arrival.take())
        self._after_batch()

    def _after_batch(self) -> None:
        breathes = self.carrier.breathes and not self.carrier.draining
        due = self._result is None and (self._local or breathes)
        if due and not (self._region_runs or self._slot.away):
            starts, self._local = tuple(self._local), []
            if starts and self._room.must_flush:
                for lane, start in starts:
                    self._start_activity(lane, start)
            else:
                self._start_region(starts, admit=False)
        self._mind_slot()
        if self.run_input.root_id is not None:
            self._tell_root()
        workflow.set_current_details(self._details.render(self.carrier))

    def _mind_slot(self) -> None:
        """Give the place back when only people are waited for, and ask for it again after that."""
        slot, policy, driver = self._slot, self.run_input.policy, self.driver
        if policy is None or not policy.yields_slot or driver is None or self._result is not None:
            return
        state = driver.state
        if slot.away:
            if not slot.asking and (slot.is_needed or self._local):
                slot.ask()
                self._start_region((), admit=True)
        elif state.asked and state.idle_since is not None and not self._region_runs:
            slot.give_back(policy.yields_to)

    def _place_taken(self, at: int) -> list[LaneEffect]:
        """Begin, or go on with what was to start; after it, the effects of that are carried out."""
        kept = self._slot.take()
        driver = self.driver
        assert driver is not None  # noqa: S101 - only whole runs are admitted
        if driver.state.phase == "new":
            return begin(self.carrier, self.run_input, at)
        return kept

    def _tell_root(self) -> None:
        """Of questions that were asked, and of those that are over, since it was told last."""
        asked = {waiting.token: waiting for waiting in self.own_waiting()}
        for token, waiting in asked.items():
            if token not in self._told:
                self._signal_root(ChildWait(waiting=waiting))
        for token, waiting in self._told.items():
            if token not in asked:
                self._signal_root(ChildWait(waiting=waiting, over=True))
        self._told = asked

    def _signal_root(self, told: ChildWait) -> None:
        self._telling += 1
        in_background(self._signalling_root(told))

    async def _signalling_root(self, told: ChildWait) -> None:
        root = workflow.get_external_workflow_handle(self.run_input.root_id or "")
        with suppress(FailureError):  # it may have ended meanwhile
            await root.signal(CHILD_WAITS_SIGNAL, told)
        self._telling -= 1
        if told.over:
            self._heard.pop(told.waiting.token, None)
        else:
            self._heard[told.waiting.token] = told.waiting

    def _feed(self, lane: int, fact: Fact) -> list[LaneEffect]:
        return self.carrier.feed(lane, fact)

    def _drain_if_long(self) -> None:
        if self.carrier.draining:
            return
        info = workflow.info()
        events, size = info.get_current_history_length(), info.get_current_history_size()
        if self._continuing.is_due(self.carrier, events, size):
            # the run's own time: after a region the workflow's clock shows when that ended, which a
            # reader of the history does not know
            self._perform(self.carrier.tell(DrainRequested(self.carrier.now)))

    def _stop(self) -> list[LaneEffect]:
        self.cancelled = True
        return self.carrier.tell(AbortRequested(self.now(), "cancelled"))

    # ---- effects out

    def _perform(self, effects: list[LaneEffect]) -> None:
        for lane, effect in effects:
            match effect:
                case StartNode():
                    self._start_node(lane, effect)
                case StartTimer():
                    self._start_timer(lane, effect)
                case CancelNode():
                    self._cancel(lane, effect)
                case StartChunk():
                    self._start_chunk(lane, effect)
                case CancelChunk():
                    self._cancel_chunk(lane, effect)
                case StartHandler():
                    self._start_handler()
                case CancelHandler():
                    self._cancel_handler()
                case Emit():
                    # in no history: events are made again by whoever reads or replays it
                    self.log.append(effect.event)
                    self._trace.tell(self.carrier.compiled.plan, effect.event)
                    audit_refusal(self.carrier.compiled.plan, self._execution_id, effect.event)
                case _:
                    self._end(effect)

    def _end(self, effect: FinishRun | FinishChunk | ContinueAsNew) -> None:
        match effect:
            case FinishRun():
                self._result = effect.result
            case FinishChunk():
                self._result = effect.end
            case ContinueAsNew():
                self._continues = True

    def _start_node(self, lane: int, start: StartNode) -> None:
        if self._is_local(start):
            self._local.append((lane, start))
        elif not self._slot.keeps(lane, start):
            self._start_activity(lane, start)

    def _is_local(self, start: StartNode) -> bool:
        driver = self.driver  # a policy may have changed the plan of a whole run
        plan = self.carrier.compiled.plan if driver is None else driver.plan
        return plan.nodes[start.node].placement is Placement.LOCAL

    def _start_activity(self, lane: int, start: StartNode) -> None:
        task = self.carrier.lanes[lane].task(
            start, self._execution_id, stream=self.run_input.options.stream
        )
        parts = ([value.value for value in task.values], task.pool)
        size = check_payload(f"What goes to node {task.node_id} is", task, *parts)
        turn = self._room.turn(size)
        if turn is None:
            self._send_activity(lane, start, task)
        else:
            self._held[lane, start.node] = turn
            turn.add_done_callback(lambda turn: self._send_held(lane, start, task, turn))

    def _send_held(
        self, lane: int, start: StartNode, task: NodeTask, turn: asyncio.Future[None]
    ) -> None:
        if self._held.get((lane, start.node)) is turn:
            del self._held[lane, start.node]
            self._send_activity(lane, start, task)

    def _send_activity(self, lane: int, start: StartNode, task: NodeTask) -> None:
        handle = workflow.start_activity(
            task.node_type,
            task,
            activity_id=activity_id(task.node_id, start.attempt, self._item(lane)),
            result_type=NodeReport,
            start_to_close_timeout=start_to_close(task.timeout_secs, self.carrier.config),
            heartbeat_timeout=timedelta(seconds=self.run_input.options.heartbeat_timeout_secs),
            retry_policy=LOST_WORKER_RETRY,
            summary=task.title or task.node_id,
        )
        self._activities[lane, start.node] = handle
        handle.add_done_callback(lambda done: self._node_ended(lane, start, done))

    def _item(self, lane: int) -> int | None:
        return None if self.run_input.chunk is None else lane

    def _node_ended(self, lane: int, start: StartNode, done: asyncio.Future[NodeReport]) -> None:
        self._activities.pop((lane, start.node), None)
        report = _report_of(done, self.now())
        take: Take = lambda: self._feed(  # noqa: E731 - one line of work
            lane, fact_of(start.node, start.attempt, report)
        )
        self._inbox.append(_Arrival(_NODES, (lane, start.node), take))

    def _start_timer(self, lane: int, timer: StartTimer) -> None:
        """Timers are never cancelled: one that nobody waits for changes nothing when it fires, and
        a reader finds the n-th timer of a history by counting."""
        take: Take = lambda: self._feed(  # noqa: E731
            lane, TimerFired(timer.node, timer.attempt, self.now(), timer.kind)
        )
        arrival = _Arrival(_TIMERS, (lane, timer.node), take)
        loop = asyncio.get_running_loop()
        loop.call_later(timer.delay_ms / 1000, lambda: self._inbox.append(arrival))

    def _cancel(self, lane: int, cancel: CancelNode) -> None:
        handle = self._activities.pop((lane, cancel.node), None)
        if handle is not None:
            handle.cancel()
        held = self._held.pop((lane, cancel.node), None)
        if held is not None:
            held.cancel()
        self._local = [
            (of, start) for of, start in self._local if (of, start.node) != (lane, cancel.node)
        ]
        self._slot.drop(lane, cancel)

    # ---- local regions

    def _start_region(self, starts: tuple[tuple[int, StartNode], ...], *, admit: bool) -> None:
        breathes_only = not (starts or admit)
        state, run = {} if breathes_only else self.carrier.dump_for_region(starts), None
        if self.run_input.chunk is not None and not breathes_only:
            # the plan is found by its key: the text need not travel again
            run = self.run_input.model_copy(
                update={"state": state, "schema_text": "", "pool": None}
            )
            state = {}
        task = RegionTask(
            plan_key=self.carrier.compiled.key if self.driver is None else self.driver.compiled.key,
            state=state,
            starts=tuple(
                NodeStart(node=s.node, attempt=s.attempt, execution_id=s.execution_id, lane=lane)
                for lane, s in starts
            ),
            admit=admit,
            turn=self._slot.turn,
            user=_user(self.run_input) if admit else "",
            app_name=self.run_input.app_name if admit else "",
            execution_id=self._execution_id,
            fixed_timestamp=self.run_input.options.fixed_timestamp,
            run=run,
        )
        self._region_runs = True
        self._regions += 1
        handle = workflow.start_local_activity(
            LOCAL_REGION,
            task,
            activity_id=f"region-{self._regions}",
            result_type=RegionReport,
            schedule_to_close_timeout=region_timeout(workflow.info().task_timeout),
            retry_policy=ONCE,
        )
        handle.add_done_callback(lambda done: self._region_ended(starts, done, admit=admit))

    def _region_ended(
        self,
        starts: tuple[tuple[int, StartNode], ...],
        done: asyncio.Future[RegionReport],
        *,
        admit: bool,
    ) -> None:
        self._region_runs = False
        if done.cancelled() or done.exception() is not None:
            report = RegionReport(unfinished=tuple((lane, start.node) for lane, start in starts))
        else:
            report = done.result()
        self._inbox.append(_Arrival(_REGION, (), lambda: self._take_region(report, admit=admit)))

    def _take_region(self, report: RegionReport, *, admit: bool) -> list[LaneEffect]:
        if admit:
            if report.admission is None:
                # the group did not answer: the task fails, and Temporal tries it again later
                raise RuntimeError("the admission was lost")
            self._admit(report)
        for finished in report.finished:
            self._room.reported(finished.report)
            fact = fact_of(finished.node, finished.attempt, finished.report)
            self._perform(self._feed(finished.lane, fact))
        self._send_on(report)
        return self.carrier.go_on()

    def _admit(self, report: RegionReport) -> None:
        admission, driver = report.admission, self.driver
        assert admission is not None  # noqa: S101 - the caller looked
        assert driver is not None  # noqa: S101 - only whole runs are admitted
        if admission.policy is not None:
            driver.apply_policy(admission.policy)
            self.run_input = self.run_input.model_copy(update={"policy": admission.policy})
        if admission.queued:
            self._slot.queued = True
            if not self._slot.has_place:
                return
        elif not admission.granted:
            raise ApplicationError(
                admission.reason or "refused", type="Refused", non_retryable=True
            )
        self._perform(self._place_taken(_started_at()))

    def _send_on(self, report: RegionReport) -> None:
        """What the region started and did not finish runs as a regular activity, with full limits;
        what it did not come to goes into the next region."""
        unfinished = {
            entry if isinstance(entry, tuple) else (0, entry) for entry in report.unfinished
        }
        self._local = []
        for lane, start in self._running_local():
            if (lane, start.node) in unfinished:
                self._start_activity(lane, start)
            else:
                self._local.append((lane, start))

    def _running_local(self) -> list[tuple[int, StartNode]]:
        return [
            (lane, StartNode(int(key), run.attempt, run.execution_id))
            for lane, driver in self.carrier.lanes.items()
            for key, run in driver.state.running.items()
            if not run.waiting
            and (lane, int(key)) not in self._activities
            and (lane, int(key)) not in self._held
            and driver.plan.nodes[int(key)].placement is Placement.LOCAL
        ]

    # ---- sub-graphs: a chunk of a container's items is a child workflow

    def _start_chunk(self, lane: int, start: StartChunk) -> None:
        if self._slot.keeps(lane, start):
            return
        carrier, own_id = self.carrier, workflow.info().workflow_id
        child_id = chunk_id(
            own_id, carrier.lanes[lane].plan.nodes[start.node].id, start, self._item(lane)
        )
        run = chunk_input(self.run_input, carrier, lane, start, self._execution_id, own_id)

        key = (lane, start.node, start.attempt, start.start)

        def ended(done: asyncio.Task[ChunkEnd]) -> None:
            self._chunks.pop(key, None)
            self._forget_waits(child_id)
            error = asyncio.CancelledError() if done.cancelled() else done.exception()
            end = done.result() if error is None else chunk_lost(why_lost(error))
            take: Take = lambda: self._feed(  # noqa: E731
                lane, ChunkFinished(start.node, start.attempt, start.start, end, self.now())
            )
            self._inbox.append(_Arrival(_CHUNKS, (lane, start.node, start.start), take))

        turn = self._room.turn(_size_of_chunk(run))
        self._chunks[key] = Child(SUBGRAPH_WORKFLOW, lambda: run, ChunkEnd, child_id, ended, turn)

    def _cancel_chunk(self, lane: int, cancel: CancelChunk) -> None:
        self._slot.drop(lane, cancel)
        child = self._chunks.pop((lane, cancel.node, cancel.attempt, cancel.start), None)
        if child is not None:
            child.cancel()

    # ---- the error handler, a sub-graph and so a child workflow

    def _start_handler(self) -> None:
        driver = self.carrier.lanes[0]
        handler = driver.plan.error_handler
        assert handler is not None  # noqa: S101 - decide asked for it
        body = body_schema(driver.compiled.schema, handler.sub_graph)
        run = self.run_input.model_copy(
            update={
                "schema_text": body.text,
                "config": EngineConfig(strict_template=self.carrier.config.strict_template),
                "app_name": f"{self.run_input.app_name} (error handler)",
                "id_base": f"{self._execution_id}/{HANDLER_SUFFIX}",
                "state": None,
                "variables": Variables(),
                "debug": None,
                "fork": None,
                "waiting": (),
                "root_id": self.run_input.root_id or workflow.info().workflow_id,
            }
        )

        def seeded() -> RunInput:
            compiled = compiled_of(run)
            pool, reads = driver.state.pool, compiled.reads
            projected = pool if reads is None else pool.project(reads)
            given = run.model_copy(update={"pool": projected.to_json()})
            check_payload("What goes into the error handler is", given, given.pool)
            return given

        child_id = f"{workflow.info().workflow_id}/{HANDLER_SUFFIX}"
        self._handler = Child(GRAPH_WORKFLOW, seeded, RunResult, child_id, self._handler_ended)

    def _cancel_handler(self) -> None:
        if self._handler is not None:
            self._handler.cancel()

    def _handler_ended(self, done: asyncio.Task[RunResult]) -> None:
        take: Take = lambda: self._feed(0, _handler_fact(done, self.now()))  # noqa: E731
        self._inbox.append(_Arrival(_HANDLER, (), take))


def _size_of_chunk(run: RunInput) -> int:
    chunk = run.chunk
    assert chunk is not None  # noqa: S101 - made by chunk_input
    parts = (run.pool, list(chunk.repeat.items or ()), chunk.repeat.carry)
    return check_payload(f"What goes into the sub-graph of node {chunk.node_id} is", run, *parts)


def _handler_fact(done: asyncio.Task[RunResult], at: int) -> HandlerFinished:
    error = done.exception()
    if error is None:
        return HandlerFinished(at, outputs=done.result().outputs)
    return handler_failed(at, why_lost(error))


def _report_of(done: asyncio.Future[NodeReport], at: int) -> NodeReport:
    """What an activity brought; where Temporal ended it, what that means for the node."""
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if error is None:
        return done.result()
    cause = error.cause if isinstance(error, ActivityError) else error
    return lost_attempt(at, cause, timed_out=isinstance(cause, TemporalTimeoutError))


def _user(run: RunInput) -> str:
    """Whom a run belongs to, where it says so."""
    user = run.variables.system.get("user_id")
    return user if isinstance(user, str) else ""


def _started_at() -> int:
    """When the first workflow task began: a wait for the first worker is no activity of the run."""
    return (workflow.info().start_time - _EPOCH) // timedelta(milliseconds=1)
