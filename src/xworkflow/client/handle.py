"""``WorkflowHandle``: one run, from outside. All handles of it, in any process, see the same."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import aclosing, suppress
from datetime import timedelta
from typing import Any, Final, TypeVar, cast

from pydantic_core import to_json
from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowContinuedAsNewError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.client import WorkflowHandle as TemporalHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.client.forking import ForkOrder, Origin, origin_of, plan_fork
from xworkflow.client.history import HistoryFeed
from xworkflow.client.hold_ups import HoldUp, hold_ups
from xworkflow.client.run_log import RunLog
from xworkflow.client.standing import Standing, read_standing
from xworkflow.client.starting import start_run
from xworkflow.client.status import (
    ExecutionStatus,
    Failed,
    Paused,
    Running,
    Stopped,
    WaitingForInput,
    status_of,
)
from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import (
    ABORT_SIGNAL,
    ANSWER_UPDATE,
    DEBUG_QUERY,
    DEBUG_UPDATE,
    OUTPUTS_QUERY,
    PAUSE_SIGNAL,
    RESUME_SIGNAL,
    SAFE_STOP_SIGNAL,
    STATE_QUERY,
    VARIABLES_QUERY,
    VARIABLES_UPDATE,
    WAITING_QUERY,
    AnswerReceipt,
    DebugReport,
    RunSnapshot,
    Waiting,
)
from xworkflow.errors import InfrastructureError, InputError, RunError
from xworkflow.ports import StreamStore

T = TypeVar("T")

MOST_BYTES_OF_AN_UPDATE: Final = 1_900_000
"""A payload holds 2 MB."""

_STATUS_TIMEOUT: Final = timedelta(seconds=2)
"""So long a worker may take to tell where a run stands; the histories know it, too."""


class WorkflowHandle:
    """A run by its id. Holds no resources; the client belongs to whoever made it."""

    def __init__(
        self,
        client: Client,
        execution_id: str,
        *,
        run_id: str | None = None,
        started: TemporalHandle[Any, RunResult] | None = None,
        collect_events: bool = True,
    ) -> None:
        self._client = client
        self.execution_id = execution_id
        self.first_run_id = run_id if started is None else started.first_execution_run_id
        self._started = started
        self._events_active = collect_events
        self._collect_events = collect_events

    async def wait(self) -> ExecutionStatus:
        """Wait for the end, through pauses and questions. Never raises for a run that failed: that
        is a status."""
        try:
            result: RunResult = await self._temporal().result(follow_runs=True)
        except WorkflowFailureError as error:
            return _failed(error.cause)
        except WorkflowContinuedAsNewError:  # pragma: no cover - follow_runs follows them
            return Running()
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None
        return status_of(result)

    async def wait_or_paused(self) -> ExecutionStatus:
        """Wait until the run is over, waits for a person, or is paused (spec/graph.md 5.6)."""
        status = await self.status()
        if not isinstance(status, Running):
            return status
        standing, told = Standing(), ()
        async with aclosing(self.read()) as batches:
            async for feed, new in batches:
                standing.take(feed, new)
                if standing.stop == told:
                    continue
                told = standing.stop
                # what was read may be long past: the run itself knows whether it still stands there
                status = await self.status() if told else status
                if not isinstance(status, Running):
                    return status
        return await self.wait()

    async def status(self) -> ExecutionStatus:
        """The status now; does not wait for a running run.

        A worker is asked where an open run stands; where none answers, its history is.
        """
        if await self.is_over():
            return await self.wait()
        handle = self._client.get_workflow_handle(self.execution_id)
        try:
            state = await handle.query(
                STATE_QUERY, result_type=RunSnapshot, rpc_timeout=_STATUS_TIMEOUT
            )
        except (WorkflowQueryFailedError, RPCError):
            return (await read_standing(self)).status
        match state.status:
            case "waiting_for_input":
                return WaitingForInput(state.waiting)
            case "paused" | "debug_paused":
                return Paused()
            case "finished":
                return await self.wait()
            case _:
                return Running()

    async def events(
        self, *, after: str = "", follow: bool = True, live: StreamStore | None = None
    ) -> AsyncIterator[GraphEngineEvent]:
        """The run's events in order, from the histories alone: no worker needs to run.

        Those of sub-graphs are among them. ``after`` is the ``cursor`` of the last event that was
        seen, by whatever handle in whatever process: the rest follows, nothing twice. With
        ``follow`` the iterator ends with the run, else with what has happened so far. With ``live``
        (the stream store of the run's group) the pieces of what models say come while they are
        said, else when their node has ended; each comes once either way. There are none when the
        run was started with ``collect_events(False)``.
        """
        if not self._collect_events:
            return
        if follow and not await self.is_over():
            async with aclosing(self.read(after=after, live=live)) as batches:
                async for _, new in batches:
                    for event in new:
                        yield event
        else:
            log = RunLog(self._client, self.execution_id, after)
            try:
                whole = await log.whole(self.first_run_id or await self._find_first_run())
            except RPCError as error:
                raise _unreachable(error, self.execution_id) from None
            for event in whole:
                yield event
        self._events_active = not follow

    def events_active(self) -> bool:
        """Whether this handle may still bring events: not after it has read the last of them."""
        return self._events_active

    async def read(
        self, *, follow: bool = True, after: str = "", live: StreamStore | None = None
    ) -> AsyncGenerator[tuple[HistoryFeed, list[GraphEngineEvent]]]:
        """The feed after each history event, with the run's events that it brought. Feeds of
        sub-graphs are told from the run's own by their ``workflow_id``."""
        run_id = self.first_run_id or await self._find_first_run()
        log = RunLog(self._client, self.execution_id, after)
        try:
            async with aclosing(log.follow(run_id, wait=follow, live=live)) as batches:
                async for batch in batches:
                    yield batch
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

    async def hold_ups(self) -> tuple[HoldUp, ...]:
        """Each thing that keeps an open run from going on: a worker that has gone,
        attempts that failed. Needs no worker."""
        try:
            return await hold_ups(self._client, self.execution_id)
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

    async def state(self) -> RunSnapshot:
        """The run's state by query; needs a worker."""
        return await self._query(STATE_QUERY, RunSnapshot)

    async def outputs(self) -> dict[str, JsonValue]:
        """The outputs collected so far, by query; needs a worker."""
        return await self._query(OUTPUTS_QUERY, dict)

    async def variables(self, node_id: str | None = None) -> dict[str, Any]:
        """The variables of a node or namespace, or all, by query; needs a worker."""
        return await self._query(VARIABLES_QUERY, dict, node_id)

    async def waiting(self) -> list[Waiting]:
        """The questions that wait for a person, those of sub-graphs included; needs a worker."""
        return await self._query(WAITING_QUERY, list[Waiting])

    async def answer(
        self, waiting: Waiting | str, answer: HumanAnswer | None = None, **fields: JsonValue
    ) -> AnswerReceipt:
        """Answer a question: one of ``waiting()``, or by the id of its node.

        ``fields`` are those of HumanAnswer (``form_data``, ``decision``, ``action``, ``user``).
        Raises InputError with the reasons when the answer is refused; the first one wins.
        """
        given = answer or HumanAnswer.model_validate(fields)
        if isinstance(waiting, str):
            workflow_id, known = self.execution_id, {"node_id": waiting}
        else:
            workflow_id = waiting.workflow_id
            known = {"node_id": waiting.node_id, "token": waiting.token}
        given = given.model_copy(update=known)
        return await self._update(ANSWER_UPDATE, given, AnswerReceipt, workflow_id=workflow_id)

    async def update_variables(self, values: Mapping[str, JsonValue]) -> None:
        """Write variables, keyed ``node.variable``; nodes that start later see them."""
        await self._update(VARIABLES_UPDATE, dict(values), list)

    async def debug(self) -> DebugReport:
        """Where the debugger stands, by query; needs a worker."""
        return await self._query(DEBUG_QUERY, DebugReport)

    async def debug_command(self, command: DebugCommand) -> DebugReport:
        """Say something to the debugger. Raises InputError when it cannot be done now."""
        return await self._update(DEBUG_UPDATE, command, DebugReport)

    async def pause(self) -> None:
        """Ask the run to start nothing new until ``resume``."""
        await self._signal(PAUSE_SIGNAL)

    async def resume(self) -> None:
        """Let a paused run go on."""
        await self._signal(RESUME_SIGNAL)

    async def safe_stop(self) -> None:
        """Let running nodes end, then end the run; a fork can go on from there."""
        await self._signal(SAFE_STOP_SIGNAL)

    async def abort(self, reason: str | None = None) -> None:
        """Fail the run with a reason; its error handler still runs."""
        await self._signal(ABORT_SIGNAL, reason)

    async def cancel(self) -> None:
        """Ask the run to stop; it ends as ``Stopped``, and its error handler still runs."""
        try:
            await self._client.get_workflow_handle(self.execution_id).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unreachable(error, self.execution_id) from None

    async def fork(  # noqa: PLR0913 - the choices of a fork, each independent
        self,
        *,
        from_node: str | None = None,
        set: Mapping[str, JsonValue] | None = None,  # noqa: A002 - the word of the command
        schema: WorkflowSchema | None = None,
        config: EngineConfig | None = None,
        force: bool = False,
        execution_id: str | None = None,
    ) -> WorkflowHandle:
        """Start a new run that reuses the results of this one, and runs ``from_node`` and all that
        stands behind it again; without a node, all that has not finished.

        ``set`` writes variables, keyed ``node.variable``; ``schema`` goes on with a changed file.
        This run is not touched, and may be over or not. Raises ValidationFailed with all the
        reasons why it cannot be done; ``force`` lets those pass that only make it unsafe.
        """
        order = ForkOrder(from_node, set or {}, schema, config, force, execution_id=execution_id)
        plan = plan_fork(await self.origin(), order)
        started = await start_run(self._client, plan.run, plan.execution_id, plan.task_queue)
        return WorkflowHandle(self._client, plan.execution_id, started=started)

    async def origin(self) -> Origin:
        """What this run has done so far, as a fork needs it; from the histories alone."""
        try:
            run_id = self.first_run_id or await self._find_first_run()
            return await origin_of(self._client, self.execution_id, run_id)
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

    def _temporal(self) -> TemporalHandle[Any, RunResult]:
        if self._started is not None:
            # the very handle that the start gave: interceptors may have changed it, as those of the
            # time-skipping environment do
            return self._started
        return self._client.get_workflow_handle(
            self.execution_id, run_id=self.first_run_id, result_type=RunResult
        )

    async def _signal(self, name: str, *args: JsonValue) -> None:
        handle = self._client.get_workflow_handle(self.execution_id)
        try:
            await handle.signal(name, args=list(args))
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

    async def _update(
        self,
        name: str,
        arg: object,
        wanted: type[T],
        *,
        workflow_id: str | None = None,
    ) -> T:
        handle = self._client.get_workflow_handle(workflow_id or self.execution_id)
        _check_size(arg)
        try:
            return await handle.execute_update(name, args=[arg], result_type=wanted)  # pyright: ignore[reportUnknownMemberType]
        except WorkflowUpdateFailedError as error:
            cause = error.cause
            if not isinstance(cause, ApplicationError):
                raise InputError((str(cause),)) from None
            problems = cast("list[str]", cause.details[0]) if cause.details else [cause.message]
            raise InputError(tuple(problems)) from None
        except RPCError as error:
            raise await self._unheard(error, workflow_id or self.execution_id) from None

    async def _unheard(self, error: RPCError, workflow_id: str) -> InfrastructureError | InputError:
        """Why an update was not answered. One that was on its way when its workflow ended is not
        found, like a workflow that never was."""
        if error.status is RPCStatusCode.NOT_FOUND:
            with suppress(RPCError):
                await self._client.get_workflow_handle(workflow_id).describe()
                return InputError((f"run '{self.execution_id}' is over",))
        return _unreachable(error, self.execution_id)

    async def _query(self, name: str, wanted: type[Any], *args: Any) -> Any:  # noqa: ANN401
        handle = self._client.get_workflow_handle(self.execution_id)
        try:
            return await handle.query(name, args=list(args), result_type=wanted)
        except WorkflowQueryFailedError as error:
            raise RunError(str(error)) from None
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

    async def is_over(self) -> bool:
        """Whether the run has ended, by whatever end."""
        try:
            description = await self._client.get_workflow_handle(self.execution_id).describe()
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None
        return description.status not in (
            WorkflowExecutionStatus.RUNNING,
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
        )

    async def _find_first_run(self) -> str:
        """The first history of the run: the present one names it in its first event."""
        handle = self._client.get_workflow_handle(self.execution_id)
        try:
            async for event in handle.fetch_history_events(page_size=1):
                if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_STARTED:
                    attributes = event.workflow_execution_started_event_attributes
                    return attributes.first_execution_run_id
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None
        raise InfrastructureError(f"the history of run '{self.execution_id}' is empty")


def _failed(cause: BaseException | None) -> ExecutionStatus:
    if isinstance(cause, ApplicationError):
        if cause.details:
            return status_of(RunResult.model_validate(cause.details[0]))
        return Failed(cause.message, cause.type or "InternalError")
    if isinstance(cause, CancelledError):
        return Stopped("cancelled")
    if isinstance(cause, TerminatedError):
        return Stopped(cause.message or "terminated")
    return Failed(str(cause), "Timeout")


def _check_size(said: object) -> None:
    """Raises InputError for what the run's acceptance, which repeats it, could not hold."""
    try:
        size = len(to_json(said))
    except ValueError:
        return  # no JSON: who writes it as a message says so
    if size > MOST_BYTES_OF_AN_UPDATE:
        most = MOST_BYTES_OF_AN_UPDATE
        raise InputError((f"what is said has {size} bytes, and an update has {most} at most",))


def _unreachable(error: RPCError, execution_id: str) -> InfrastructureError | InputError:
    if error.status is RPCStatusCode.NOT_FOUND and "already completed" in error.message:
        return InputError((f"run '{execution_id}' is over",))
    if error.status is RPCStatusCode.NOT_FOUND:
        return InputError((f"there is no run '{execution_id}'",))
    return InfrastructureError(f"the Temporal server does not answer: {error.message}")
