"""Starting a run on Temporal: the one place that knows how."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.client.priority import priority_of
from xworkflow.client.search_attributes import search_attributes
from xworkflow.client.tracing import traced_start
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.wire import GRAPH_WORKFLOW, RunInput
from xworkflow.errors import InfrastructureError, InputError

TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A workflow task whose worker died is given to another after this; the default is 10 s."""


async def start_run(
    client: Client, given: RunInput, execution_id: str, queue: str
) -> WorkflowHandle[Any, RunResult] | None:
    """Start a run; None when one with this id is there already, which then is the same run.

    Raises InputError for what the server refuses, else InfrastructureError.
    """
    try:
        with traced_start(client, given, execution_id) as run:
            return await client.start_workflow(
                GRAPH_WORKFLOW,
                run,
                id=execution_id,
                task_queue=queue,
                result_type=RunResult,
                task_timeout=TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                # a worker of this very client, if there is one, gets the first task at once
                request_eager_start=True,
                static_summary=run.app_name or None,
                priority=priority_of(run),
                search_attributes=await search_attributes(client, run),
            )
    except WorkflowAlreadyStartedError:
        return None
    except RPCError as error:
        reason = error.message
        if "size exceeds limit" in reason:
            reason = f"Temporal takes 2 MB for its file, packed, and its inputs ({reason})"
        text = f"the run cannot be started: {reason}"
        if error.status is RPCStatusCode.INVALID_ARGUMENT:  # too large, or an id too long
            raise InputError((text,)) from None
        raise InfrastructureError(text) from None
