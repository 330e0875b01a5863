"""The worker of a group's ledger: polls beside the group's own, in every process of the group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Final

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkflowRunner

from xworkflow.activities.governor_broker import GovernorBroker, governor_queue
from xworkflow.activities.other_loop import in_loop_of
from xworkflow.activities.run_ends import is_over
from xworkflow.domain.governing import SWEEP_ACTIVITY, Swept

_SIDE_BY_SIDE: Final = 16


@asynccontextmanager
async def ledger_worker(
    client: Client,
    broker: GovernorBroker,
    ledger: type,
    runner: WorkflowRunner,
    loop: asyncio.AbstractEventLoop | None,
) -> AsyncGenerator[None]:
    """Poll for the ledger for the length of a block; at its end the broker, which works in
    ``loop``, tells the ledger what is left to tell.

    Few pollers: exchanges come one at a time from each process.
    """
    worker = Worker(
        client,
        task_queue=governor_queue(broker.group_id),
        workflows=[ledger],
        activities=[Sweep(client).sweep],
        workflow_runner=runner,
        max_cached_workflows=4,
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=2),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=1),
    )
    async with worker:
        try:
            yield
        finally:
            await in_loop_of(loop, broker.aclose())


class Sweep:
    """Looks after runs that hold a place for long."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name=SWEEP_ACTIVITY)
    async def sweep(self, runs: Sequence[str]) -> Swept:
        """Which of the runs are over, or were never heard of."""
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def look(run: str) -> bool:
            async with places:
                return await is_over(self._client, run)

        over = await asyncio.gather(*(look(run) for run in runs))
        return Swept(over=tuple(run for run, ended in zip(runs, over, strict=True) if ended))
