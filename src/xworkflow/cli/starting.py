"""Starting a run, or joining the one that has its id already."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from xworkflow.cli.configured import configuration_file, configured_group
from xworkflow.cli.local_secrets import local_secrets
from xworkflow.cli.place import Place, unusable, worker_at
from xworkflow.cli.printing import print_note
from xworkflow.cli.streams import KEPT_DAYS, open_streams, stream_store_url
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.wire import task_queue
from xworkflow.errors import InfrastructureError
from xworkflow.ports import StreamStore

if TYPE_CHECKING:
    from xworkflow.cli.run import Order
    from xworkflow.domain.schema import WorkflowSchema


@contextlib.asynccontextmanager
async def started(order: Order, place: Place, *, quiet: bool) -> AsyncGenerator[WorkflowHandle]:
    """A run that was started just now, and a worker that carries it."""
    context = replace(WorkflowContext.default(), execution_id=order.execution_id)
    parts = parts_of_group(order.group_id)
    context.update_runtime_group(lambda group: group.replaced(**parts))
    print_secrets_stay(order.schema, place)
    builder = WorkflowRunner.builder(order.schema).context(context).user_inputs(order.inputs)
    if order.query is not None:
        builder.system_vars({"query": order.query, "files": []})
    builder.options(stream=order.live, priority=order.priority)
    if order.debug is not None:
        builder.debug(order.debug)
    async with worker_for(place, task_queue(order.group_id), live=order.live):
        handle = await builder.client(place.client).run()
        if not quiet:
            print_note(f"run {handle.execution_id} of {order.schema.name}")
        yield handle


def parts_of_group(group_id: str | None) -> dict[str, Any]:
    """What this machine knows of a run's group. A named group is asked by its runs; the limits of
    the default group travel with them."""
    parts: dict[str, Any] = {"secret_store": local_secrets(), "group_id": group_id}
    table = configured_group(group_id)
    if table is not None and group_id is None:
        parts |= {"quota": table.quota, "security_policy": table.policy(None)}
    return parts


@contextlib.asynccontextmanager
async def joined(handle: WorkflowHandle, place: Place) -> AsyncGenerator[WorkflowHandle]:
    """A run that was there before, with a worker when it is not over."""
    print_note(f"run {handle.execution_id} is there already: joined; it keeps its file and inputs")
    if await handle.is_over():
        yield handle
        return
    async with worker_for(place):
        yield handle


@contextlib.asynccontextmanager
async def live_streams(wanted: bool) -> AsyncGenerator[StreamStore | None]:
    """The database in which the run's worker keeps what models say; None where nobody looks."""
    if not wanted:
        yield None
        return
    store = open_streams(stream_store_url())
    try:
        yield store
        await store.delete_older_than(KEPT_DAYS)
    finally:
        await store.aclose()


def print_secrets_stay(schema: WorkflowSchema, place: Place) -> None:
    """Say what workers of another machine will miss."""
    if schema.secret_values and not place.embedded:
        print_note(
            f"secret variables ({', '.join(sorted(schema.secret_values))}) stay on this "
            f"machine: the workers at {place.address} need them from their own credential provider"
        )


@contextlib.asynccontextmanager
async def worker_for(
    place: Place, queue: str | None = None, *, live: bool = False
) -> AsyncGenerator[None]:
    """A worker of our own with the embedded server; elsewhere one must be there.

    ``queue`` is the task queue of the run, the default group's if none is given.
    """
    queue = queue or task_queue(None)
    if place.embedded and (queue == task_queue(None) or configuration_file() is not None):
        async with worker_at(place.address, stream_store=stream_store_url() if live else None):
            yield
        return
    await require_poller(place, queue)
    yield


async def require_poller(place: Place, queue: str) -> None:
    """Raises InfrastructureError when no worker would take a run from a task queue."""
    request = DescribeTaskQueueRequest(
        namespace=place.client.namespace,
        task_queue=TaskQueue(name=queue),
        task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
    )
    try:
        answer = await place.client.workflow_service.describe_task_queue(request)
    except RPCError as error:
        raise unusable(place.address, error) from None
    if not answer.pollers:
        raise InfrastructureError(
            f"no worker polls '{queue}' at {place.address}: "
            f"start one with `xworkflow worker --address {place.address}`"
        )
