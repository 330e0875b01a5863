"""Carries out what the scheduler decides: activities, local regions, timers, child workflows.

Order is everything here. What arrives is put into an inbox, and the inbox is taken once per
activation, sorted by what each arrival is about and not by when its callback happened to run. So
the order of facts follows from the history alone, and a reader of the history feeds its own driver
in the same order (client/history.py). The rule, in both places: before each batch, drain if the
history is long; then timers, finished activities (both by plan index), the error handler, a stop,
and last a region's report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from temporalio import workflow
from temporalio.exceptions import (
    ActivityError,
    ApplicationError,
    CancelledError,
    ChildWorkflowError,
    TerminatedError,
    WorkflowAlreadyStartedError,
)
from temporalio.exceptions import TimeoutError as TemporalTimeoutError

from xworkflow.domain.commands import (
    CancelHandler,
    CancelNode,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartHandler,
    StartNode,
    StartTimer,
)
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
from xworkflow.domain.plan import Placement
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.state import dump_state
from xworkflow.domain.wire import (
    GRAPH_WORKFLOW,
    HANDLER_SUFFIX,
    LOCAL_REGION,
    ChildEnd,
    NodeReport,
    NodeStart,
    RegionReport,
    RegionTask,
    RunInput,
    Variables,
    activity_id,
    handler_failed,
    lost_attempt,
)
from xworkflow.engine.compile import CompileError, body_schema
from xworkflow.engine.driver import Driver, Effect, fact_of
from xworkflow.engine.start import compiled_of, first_state
from xworkflow.workflows.context import context_of
from xworkflow.workflows.details import Details
from xworkflow.workflows.options import (
    LOST_WORKER_RETRY,
    ONCE,
    region_timeout,
    start_to_close,
)
from xworkflow.workflows.tracing import RunTrace

_EPOCH = datetime.fromtimestamp(0, UTC)
_TIMERS, _NODES, _HANDLER, _STOP, _REGION = range(5)


@dataclass(frozen=True, slots=True)
class _Arrival:
    """Something for the inbox: where it stands in a batch, and what to do with it."""

    rank: int
    index: int
    take: Callable[[], list[Effect]]


class Shell:
    """One history of one run. Raises CompileError for a schema that cannot be run."""

    def __init__(self, run: RunInput) -> None:
        self.run_input = run
        self.context = context_of(run)
        compiled = compiled_of(run)
        self._execution_id = self.context.execution_id
        self.driver = Driver(compiled, first_state(run, compiled, self._execution_id))
        self._config = self.driver.state.config
        self._inbox: list[_Arrival] = []
        self._activities: dict[int, workflow.ActivityHandle[NodeReport]] = {}
        self._local: list[StartNode] = []
        self._region_runs = False
        self._regions = 0
        self._handler: workflow.ChildWorkflowHandle[Any, RunResult] | None = None
        self._handler_stopped = False
        self._result: RunResult | None = None
        self._continues = False
        self._details = Details(self.driver.plan)
        self._trace = RunTrace(run, self._execution_id)

    async def carry(self) -> RunResult | None:
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
                self._inbox.append(_Arrival(_STOP, 0, self._stop))
            self._take_batch()
        self._trace.end(self._result)
        return self._result

    def next_input(self) -> RunInput:
        """The input of the next history: the same run, with its state."""
        return self.run_input.model_copy(
            update={
                "state": dump_state(self.driver.state),
                "id_base": self._execution_id,
                "pool": None,
                "variables": Variables(),
            }
        )

    def _now(self) -> int:
        return self.context.time_provider.now_millis()

    # ---- facts in

    def _begin(self) -> None:
        run = self.run_input
        if run.state is not None:
            self._perform(self._feed(Resumed(_started_at())))
        elif run.group_id is not None and run.policy is None and run.pool is None:
            self._start_region((), admit=True)
        else:
            self._perform(self._feed(RunStarted(_started_at())))
        self._after_batch()

    def _take_batch(self) -> None:
        batch, self._inbox = sorted(self._inbox, key=lambda a: (a.rank, a.index)), []
        self._drain_if_long()
        for arrival in batch:
            self._perform(arrival.take())
        self._after_batch()

    def _after_batch(self) -> None:
        if self._result is None and self._local and not self._region_runs:
            starts, self._local = tuple(self._local), []
            self._start_region(starts, admit=False)
        workflow.set_current_details(self._details.render(self.driver.state))

    def _feed(self, fact: Fact) -> list[Effect]:
        return self.driver.feed(fact)

    def _drain_if_long(self) -> None:
        info, options = workflow.info(), self.run_input.options
        long = (
            info.get_current_history_length() > options.continue_as_new_after_events
            or info.get_current_history_size() > options.continue_as_new_after_bytes
        )
        if long and not self.driver.state.draining:
            # the run's own time: after a region the workflow's clock shows when that ended, which a
            # reader of the history does not know
            self._perform(self._feed(DrainRequested(self.driver.state.now)))

    def _stop(self) -> list[Effect]:
        return self._feed(AbortRequested(self._now(), "cancelled"))

    # ---- effects out

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartNode():
                    self._start_node(effect)
                case StartTimer():
                    self._start_timer(effect)
                case CancelNode():
                    self._cancel(effect)
                case StartHandler():
                    self._start_handler()
                case CancelHandler():
                    self._cancel_handler()
                case FinishRun():
                    self._result = effect.result
                case ContinueAsNew():
                    self._continues = True
                case Emit():
                    # never stored: events are made again by whoever reads the history
                    self._trace.tell(self.driver.plan, effect.event)

    def _start_node(self, start: StartNode) -> None:
        if self.driver.placement(start) is Placement.LOCAL:
            self._local.append(start)
        else:
            self._start_activity(start)

    def _start_activity(self, start: StartNode) -> None:
        task = self.driver.task(start, self._execution_id)
        handle = workflow.start_activity(
            task.node_type,
            task,
            activity_id=activity_id(task.node_id, start.attempt),
            result_type=NodeReport,
            start_to_close_timeout=start_to_close(task.timeout_secs, self._config),
            heartbeat_timeout=timedelta(seconds=self.run_input.options.heartbeat_timeout_secs),
            retry_policy=LOST_WORKER_RETRY,
            summary=task.title or task.node_id,
        )
        self._activities[start.node] = handle
        handle.add_done_callback(lambda done: self._node_ended(start, done))

    def _node_ended(self, start: StartNode, done: asyncio.Future[NodeReport]) -> None:
        self._activities.pop(start.node, None)
        report = _report_of(done, self._now())
        take: Callable[[], list[Effect]] = lambda: self._feed(  # noqa: E731 - one line of work
            fact_of(start.node, start.attempt, report)
        )
        self._inbox.append(_Arrival(_NODES, start.node, take))

    def _start_timer(self, timer: StartTimer) -> None:
        """Timers are never cancelled: one that nobody waits for changes nothing when it fires, and
        a reader finds the n-th timer of a history by counting."""
        take: Callable[[], list[Effect]] = lambda: self._feed(  # noqa: E731
            TimerFired(timer.node, timer.attempt, self._now())
        )
        arrival = _Arrival(_TIMERS, timer.node, take)
        loop = asyncio.get_running_loop()
        loop.call_later(timer.delay_ms / 1000, lambda: self._inbox.append(arrival))

    def _cancel(self, cancel: CancelNode) -> None:
        handle = self._activities.pop(cancel.node, None)
        if handle is not None:
            handle.cancel()
        self._local = [start for start in self._local if start.node != cancel.node]

    # ---- local regions

    def _start_region(self, starts: tuple[StartNode, ...], *, admit: bool) -> None:
        task = RegionTask(
            plan_key=self.driver.compiled.key,
            state=dump_state(self.driver.region_state(list(starts))),
            starts=tuple(
                NodeStart(node=s.node, attempt=s.attempt, execution_id=s.execution_id)
                for s in starts
            ),
            admit=admit,
            execution_id=self._execution_id,
            fixed_timestamp=self.run_input.options.fixed_timestamp,
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
        self, starts: tuple[StartNode, ...], done: asyncio.Future[RegionReport], *, admit: bool
    ) -> None:
        self._region_runs = False
        if done.cancelled() or done.exception() is not None:
            lost = RegionReport(unfinished=tuple(start.node for start in starts))
            self._inbox.append(_Arrival(_REGION, 0, lambda: self._take_region(lost, admit=admit)))
        else:
            report = done.result()
            self._inbox.append(_Arrival(_REGION, 0, lambda: self._take_region(report, admit=admit)))

    def _take_region(self, report: RegionReport, *, admit: bool) -> list[Effect]:
        if admit:
            if report.admission is None:
                # the group did not answer: the task fails, and Temporal tries it again later
                raise RuntimeError("the admission was lost")
            self._admit(report)
        for finished in report.finished:
            fact = fact_of(finished.node, finished.attempt, finished.report)
            self._perform(self._feed(fact))
        self._send_on(report)
        return []

    def _admit(self, report: RegionReport) -> None:
        admission = report.admission
        assert admission is not None  # noqa: S101 - the caller looked
        if admission.policy is not None:
            self.driver.apply_policy(admission.policy)
            self._config = self.driver.state.config
            self.run_input = self.run_input.model_copy(update={"policy": admission.policy})
        if not admission.granted:
            raise ApplicationError(
                admission.reason or "refused", type="Refused", non_retryable=True
            )
        self._perform(self._feed(RunStarted(_started_at())))

    def _send_on(self, report: RegionReport) -> None:
        """What the region started and did not finish runs as a regular activity, with full limits;
        what it did not come to goes into the next region."""
        unfinished = set(report.unfinished)
        self._local = []
        for start in self._running_local():
            if start.node in unfinished:
                self._start_activity(start)
            else:
                self._local.append(start)

    def _running_local(self) -> list[StartNode]:
        state = self.driver.state
        return [
            StartNode(int(key), run.attempt, run.execution_id)
            for key, run in state.running.items()
            if not run.waiting
            and int(key) not in self._activities
            and self.driver.plan.nodes[int(key)].placement is Placement.LOCAL
        ]

    # ---- the error handler, a sub-graph and so a child workflow

    def _start_handler(self) -> None:
        handler = self.driver.plan.error_handler
        assert handler is not None  # noqa: S101 - decide asked for it
        body = body_schema(self.driver.compiled.schema, handler.sub_graph)
        run = self.run_input.model_copy(
            update={
                "schema_text": body.text,
                "config": EngineConfig(strict_template=self._config.strict_template),
                "app_name": f"{self.run_input.app_name} (error handler)",
                "id_base": f"{self._execution_id}/{HANDLER_SUFFIX}",
                "state": None,
                "variables": Variables(),
            }
        )
        task = asyncio.create_task(self._run_handler(run))
        task.add_done_callback(self._handler_ended)

    def _cancel_handler(self) -> None:
        self._handler_stopped = True
        if self._handler is not None:
            self._handler.cancel()

    async def _run_handler(self, run: RunInput) -> dict[str, Any]:
        compiled = compiled_of(run)
        pool, reads = self.driver.state.pool, compiled.reads
        seeded = pool if reads is None else pool.project(reads)
        self._handler = await workflow.start_child_workflow(
            GRAPH_WORKFLOW,
            run.model_copy(update={"pool": seeded.to_json()}),
            id=f"{workflow.info().workflow_id}/{HANDLER_SUFFIX}",
            result_type=RunResult,
            task_timeout=workflow.info().task_timeout,
            static_summary=run.app_name,
        )
        if self._handler_stopped:
            # not before: a child that never started would leave no event for readers
            self._handler.cancel()
        return (await self._handler).outputs

    def _handler_ended(self, done: asyncio.Future[dict[str, Any]]) -> None:
        take: Callable[[], list[Effect]] = lambda: self._feed(  # noqa: E731
            _handler_fact(done, self._now())
        )
        self._inbox.append(_Arrival(_HANDLER, 0, take))


_CHILD_ENDS: dict[type[BaseException], ChildEnd] = {
    CancelledError: ChildEnd.CANCELLED,
    TerminatedError: ChildEnd.TERMINATED,
    TemporalTimeoutError: ChildEnd.TIMED_OUT,
    WorkflowAlreadyStartedError: ChildEnd.NOT_STARTED,
}


def _handler_fact(done: asyncio.Future[dict[str, Any]], at: int) -> HandlerFinished:
    """How the handler ended. Any other error than these is ours, and fails the workflow task."""
    error = done.exception()
    if error is None:
        return HandlerFinished(at, outputs=done.result())
    if isinstance(error, ChildWorkflowError) and error.cause is not None:
        error = error.cause
    if isinstance(error, ApplicationError):
        return handler_failed(at, error.message)
    if isinstance(error, CompileError):
        return handler_failed(at, str(error))
    end = _CHILD_ENDS.get(type(error))
    if end is None:
        raise error
    return handler_failed(at, end.value)


def _report_of(done: asyncio.Future[NodeReport], at: int) -> NodeReport:
    """What an activity brought; where Temporal ended it, what that means for the node."""
    error = asyncio.CancelledError() if done.cancelled() else done.exception()
    if error is None:
        return done.result()
    cause = error.cause if isinstance(error, ActivityError) else error
    return lost_attempt(at, cause, timed_out=isinstance(cause, TemporalTimeoutError))


def _started_at() -> int:
    """When the first workflow task began: a wait for the first worker is no activity of the run."""
    return (workflow.info().start_time - _EPOCH) // timedelta(milliseconds=1)
