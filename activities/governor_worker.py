"""The worker of ledgers: one in each process that serves governed groups, beside the groups' own.

A ledger is a workflow that needs nothing of its group, so one worker carries those of all groups: a
group that idles has no worker for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkflowRunner

from xworkflow.activities.governor_broker import GOVERNOR_QUEUE, GovernorBroker
from xworkflow.activities.other_loop import in_loop_of
from xworkflow.activities.run_ends import is_over
from xworkflow.activities.shared_worker import shared_worker
from xworkflow.domain.governing import (
    DOUBT_ACTIVITY,
    SWEEP_ACTIVITY,
    Doubt,
    Resolved,
    Swept,
)
from xworkflow.domain.wire import GRAPH_WORKFLOW, RegionReport

_SIDE_BY_SIDE: Final = 16
_CACHED: Final = 1000
_POLLERS: Final = 5


@asynccontextmanager
async def ledger_worker(
    client: Client,
    broker: GovernorBroker,
    ledger: type,
    runner: WorkflowRunner,
    loop: asyncio.AbstractEventLoop | None,
) -> AsyncGenerator[None]:
    """Poll for ledgers for the length of a block; at its end the broker, which works in ``loop``,
    tells its ledger what is left to tell.

    Blocks of the same client share a worker.
    """
    async with shared_worker(client, GOVERNOR_QUEUE, lambda: _worker(client, ledger, runner)):
        try:
            yield
        finally:
            await in_loop_of(loop, broker.aclose())


def _worker(client: Client, ledger: type, runner: WorkflowRunner) -> Worker:
    sweep = Sweep(client)
    return Worker(
        client,
        task_queue=GOVERNOR_QUEUE,
        workflows=[ledger],
        activities=[sweep.sweep, sweep.doubt],
        workflow_runner=runner,
        max_cached_workflows=_CACHED,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=_POLLERS),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=2),
    )


class Sweep:
    """Looks after the runs that the ledger cannot see."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @activity.defn(name=SWEEP_ACTIVITY)
    async def sweep(self, runs: Sequence[str]) -> Swept:
        """Which of the runs are over, or were never heard of."""
        over = await self._each(runs, lambda run: is_over(self._client, run))
        return Swept(over=over)

    @activity.defn(name=DOUBT_ACTIVITY)
    async def doubt(self, doubt: Doubt) -> Resolved:
        """Which open runs have a place out of a dead broker's lease: their histories say so.

        That they are open is asked of Temporal's visibility, which lags behind; but the broker has
        been silent for 16 s.
        """
        query = (
            f"WorkflowType = '{GRAPH_WORKFLOW}' AND ExecutionStatus = 'Running' "
            f"AND TaskQueue = '{doubt.queue}'"
        )
        known = frozenset(doubt.known)
        found = [run.id async for run in self._client.list_workflows(query) if run.id not in known]
        holders = await self._each(found, lambda run: self._has_lease(run, doubt.broker))
        return Resolved(holders=holders)

    async def _has_lease(self, run: str, broker: str) -> bool:
        """Whether a run began with a place of a broker: it says so in its first marker."""
        run_id = (await self._client.get_workflow_handle(run).describe()).raw_info.first_run_id
        handle = self._client.get_workflow_handle(run, run_id=run_id or None)
        async for event in handle.fetch_history_events(page_size=20):
            if event.HasField("marker_recorded_event_attributes"):
                details = event.marker_recorded_event_attributes.details
                (report,) = await self._client.data_converter.decode(
                    details["result"].payloads, [RegionReport]
                )
                return report.admission is not None and report.admission.lease == broker
        return False

    async def _each(
        self, runs: Sequence[str], is_one: Callable[[str], Awaitable[bool]]
    ) -> tuple[str, ...]:
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def look(run: str) -> bool:
            async with places:
                return await is_one(run)

        found = await asyncio.gather(*(look(run) for run in runs))
        return tuple(run for run, yes in zip(runs, found, strict=True) if yes)
