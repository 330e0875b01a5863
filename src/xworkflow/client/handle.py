"""``WorkflowHandle``: one run, from outside. All handles of it, in any process, see the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import (
    Client,
    WorkflowContinuedAsNewError,
    WorkflowExecutionStatus,
    WorkflowFailureError,
    WorkflowQueryFailedError,
)
from temporalio.client import WorkflowHandle as TemporalHandle
from temporalio.exceptions import ApplicationError, CancelledError, TerminatedError
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.client.history import HistoryFeed
from xworkflow.client.status import ExecutionStatus, Failed, Running, Stopped, status_of
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import OUTPUTS_QUERY, STATE_QUERY, VARIABLES_QUERY, RunSnapshot
from xworkflow.errors import InfrastructureError, InputError, RunError


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
        """Wait for the end. Never raises for a run that failed: that is a status."""
        try:
            result: RunResult = await self._temporal().result(follow_runs=True)
        except WorkflowFailureError as error:
            return _failed(error.cause)
        except WorkflowContinuedAsNewError:  # pragma: no cover - follow_runs follows them
            return Running()
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None
        return status_of(result)

    wait_or_paused = wait

    async def status(self) -> ExecutionStatus:
        """The status now; does not wait for a running run."""
        try:
            description = await self._client.get_workflow_handle(self.execution_id).describe()
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None
        if description.status in (
            WorkflowExecutionStatus.RUNNING,
            WorkflowExecutionStatus.CONTINUED_AS_NEW,
        ):
            return Running()
        return await self.wait()

    async def events(
        self, *, after: int = -1, follow: bool = True
    ) -> AsyncIterator[GraphEngineEvent]:
        """The run's events in order, from the history alone: no worker needs to run.

        ``after`` skips events up to that ``seq``. With ``follow`` the iterator ends with the run,
        else with what has happened so far. There are none when the run was started with
        ``collect_events(False)``.
        """
        if not self._collect_events:
            return
        async for _, new in self.read(follow=follow):
            for event in new:
                if event.seq > after:
                    yield event
        self._events_active = not follow

    def events_active(self) -> bool:
        """Whether this handle may still bring events: not after it has read the last of them."""
        return self._events_active

    async def read(
        self, *, follow: bool = True
    ) -> AsyncIterator[tuple[HistoryFeed, list[GraphEngineEvent]]]:
        """The feed after each history event, with the run's events that it brought."""
        run_id = self.first_run_id or await self._find_first_run()
        while run_id is not None:
            feed = HistoryFeed(self._client.data_converter, self.execution_id)
            handle = self._client.get_workflow_handle(self.execution_id, run_id=run_id)
            run_id = None
            try:
                async for event in handle.fetch_history_events(wait_new_event=follow):
                    yield feed, await feed.take(event)
            except RPCError as error:
                raise _unreachable(error, self.execution_id) from None
            if feed.closed is not None:
                run_id = feed.closed.next_run_id

    async def state(self) -> RunSnapshot:
        """The run's state by query; needs a worker."""
        return await self._query(STATE_QUERY, RunSnapshot)

    async def outputs(self) -> dict[str, JsonValue]:
        """The outputs collected so far, by query; needs a worker."""
        return await self._query(OUTPUTS_QUERY, dict)

    async def variables(self, node_id: str | None = None) -> dict[str, Any]:
        """The variables of a node or namespace, or all, by query; needs a worker."""
        return await self._query(VARIABLES_QUERY, dict, node_id)

    async def cancel(self) -> None:
        """Ask the run to stop; it ends as ``Stopped``, and its error handler still runs."""
        try:
            await self._client.get_workflow_handle(self.execution_id).cancel()
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise _unreachable(error, self.execution_id) from None

    def _temporal(self) -> TemporalHandle[Any, RunResult]:
        if self._started is not None:
            # the very handle that the start gave: interceptors may have changed it, as those of the
            # time-skipping environment do
            return self._started
        return self._client.get_workflow_handle(
            self.execution_id, run_id=self.first_run_id, result_type=RunResult
        )

    async def _query(self, name: str, wanted: type[Any], *args: Any) -> Any:  # noqa: ANN401
        handle = self._client.get_workflow_handle(self.execution_id)
        try:
            return await handle.query(name, args=list(args), result_type=wanted)
        except WorkflowQueryFailedError as error:
            raise RunError(str(error)) from None
        except RPCError as error:
            raise _unreachable(error, self.execution_id) from None

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


def _unreachable(error: RPCError, execution_id: str) -> InfrastructureError | InputError:
    if error.status is RPCStatusCode.NOT_FOUND:
        return InputError((f"there is no run '{execution_id}'",))
    return InfrastructureError(f"the Temporal server does not answer: {error.message}")
