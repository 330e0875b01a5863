"""What belongs beside a group's worker when its ledger is in Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from temporalio import activity
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkflowRunner

from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.activities.other_loop import in_loop, in_loop_of
from xworkflow.activities.shared_worker import shared_worker
from xworkflow.domain.governing import YIELDED_ACTIVITY, YIELDS_WORKFLOW, RunEnds
from xworkflow.domain.wire import task_queue

_FEW: Final = PollerBehaviorSimpleMaximum(maximum=2)


@asynccontextmanager
async def governed_by_redis(
    client: Client,
    governor: RedisGovernor,
    yields: type,
    runner: WorkflowRunner,
    loop: asyncio.AbstractEventLoop | None,
) -> AsyncGenerator[None]:
    """Sweep for the length of a block, and close the governor at its end; it works in ``loop``.

    ``yields`` is the workflow that hears of places given back. It is started, and polled for, where
    the group's runs give theirs back while they wait for people.
    """
    try:
        await in_loop_of(loop, _start(governor))
        if governor.usage_quota.yields:
            async with _hearing(client, governor, yields, runner, loop):
                yield
        else:
            yield
    finally:
        await in_loop_of(loop, governor.aclose())


async def _start(governor: RedisGovernor) -> None:
    governor.start()


@asynccontextmanager
async def _hearing(
    client: Client,
    governor: RedisGovernor,
    yields: type,
    runner: WorkflowRunner,
    loop: asyncio.AbstractEventLoop | None,
) -> AsyncGenerator[None]:
    queue = f"{task_queue(governor.group_id)}-yields"
    await client.start_workflow(
        YIELDS_WORKFLOW,
        id=governor.yields_to,
        task_queue=queue,
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        static_summary=f"Hears that runs of group {governor.group_id} wait for people",
    )
    hearers = _hearers.setdefault((client, queue), _Hearers())
    hearers.there.append((governor, loop))

    def worker() -> Worker:
        return Worker(
            client,
            task_queue=queue,
            workflows=[yields],
            activities=[hearers.yielded],
            workflow_runner=runner,
            max_cached_workflows=4,
            workflow_task_poller_behavior=_FEW,
            activity_task_poller_behavior=_FEW,
        )

    try:
        async with shared_worker(client, queue, worker):
            yield
    finally:
        hearers.there.remove((governor, loop))
        if not hearers.there:
            del _hearers[client, queue]


class _Hearers:
    """The governors of one group in this process: the newest hears, and each may end."""

    def __init__(self) -> None:
        self.there: list[tuple[RedisGovernor, asyncio.AbstractEventLoop | None]] = []

    @activity.defn(name=YIELDED_ACTIVITY)
    async def yielded(self, ends: Sequence[RunEnds]) -> None:
        """Runs only wait for people now. A Redis that is away is tried again, as often as it
        takes."""
        governor, loop = self.there[-1]
        await in_loop(loop, governor.release(ends))


_hearers: Final[dict[tuple[Client, str], _Hearers]] = {}
