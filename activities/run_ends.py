"""Which runs begin and end in this process: told by an interceptor, so that no history grows by it.

That a run ends is only a hint, as the server may yet refuse its last workflow task. So its governor
hears of it when the server says that the run is over. What a process that dies does not tell is
found by the governor's sweep.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, Final, cast

from temporalio import workflow
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
)

from xworkflow.domain.wire import GRAPH_WORKFLOW
from xworkflow.ports import ResourceGovernor

ENDED: Final = "xworkflow_run_ended"
_PAUSES_SECS: Final = (0.002, 0.02, 0.1, 0.5, 2.0)


class RunEndsWatch(Interceptor):
    """Tells a group's governor of the runs that end in this process. Works in ``loop``."""

    def __init__(
        self,
        client: Client,
        governor: Callable[[], ResourceGovernor | None],
        group_id: str,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._client = client
        self._governor = governor
        self._group_id = group_id
        self._loop = loop
        self._watching: set[asyncio.Task[None]] = set()

    def workflow_interceptor_class(
        self,
        input: WorkflowInterceptorClassInput,  # noqa: A002 - the SDK's name
    ) -> type[WorkflowInboundInterceptor] | None:
        input.unsafe_extern_functions[ENDED] = self._ended  # pyright: ignore[reportUnknownMemberType]
        return _TellsItsEnd

    def _ended(self, workflow_id: str) -> None:
        """Called in the thread of a workflow."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._watch, workflow_id)

    def _watch(self, workflow_id: str) -> None:
        task = self._loop.create_task(self._tell(workflow_id))
        self._watching.add(task)
        task.add_done_callback(self._watching.discard)

    async def _tell(self, workflow_id: str) -> None:
        for pause in _PAUSES_SECS:
            await asyncio.sleep(pause)
            if await is_over(self._client, workflow_id):
                governor = self._governor()
                if governor is not None:
                    await governor.record_workflow_end(self._group_id, workflow_id)
                return


class _TellsItsEnd(WorkflowInboundInterceptor):
    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:  # noqa: A002, ANN401
        try:
            result = await super().execute_workflow(input)
        except (workflow.ContinueAsNewError, GeneratorExit):
            raise  # it goes on: in a new history, or elsewhere, as this cache has dropped it
        except BaseException:
            _tell_end()
            raise
        _tell_end()
        return result


def _tell_end() -> None:
    info = workflow.info()
    whole = info.workflow_type == GRAPH_WORKFLOW and info.parent is None
    if whole and not workflow.unsafe.is_replaying():
        functions = cast("Mapping[str, Callable[[str], None]]", workflow.extern_functions())  # pyright: ignore[reportUnknownMemberType]
        functions[ENDED](info.workflow_id)


async def is_over(client: Client, workflow_id: str) -> bool:
    """Whether a run has ended, or is not known any more. False when the server does not say."""
    try:
        found = await client.get_workflow_handle(workflow_id).describe()
    except RPCError as error:
        return error.status is RPCStatusCode.NOT_FOUND
    return found.status is not WorkflowExecutionStatus.RUNNING
