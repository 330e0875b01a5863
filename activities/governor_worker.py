"""The worker of a group's ledger: polls beside the group's own, in every process of the group."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from weakref import WeakKeyDictionary

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import PollerBehaviorSimpleMaximum, Worker, WorkflowRunner

from xworkflow.activities.governor_broker import GovernorBroker, governor_queue
from xworkflow.activities.other_loop import in_loop_of
from xworkflow.activities.own_task import OwnTask
from xworkflow.activities.run_ends import is_over
from xworkflow.domain.governing import (
    DOUBT_ACTIVITY,
    SWEEP_ACTIVITY,
    Doubt,
    Resolved,
    Swept,
)
from xworkflow.domain.wire import GRAPH_WORKFLOW, RegionReport

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
    polled = _polled.setdefault(client, {})
    queue = governor_queue(broker.group_id)
    polling = polled.get(queue)
    if polling is None:
        polling = polled[queue] = _Polling(OwnTask(_worker(client, queue, ledger, runner)))
    polling.users += 1
    try:
        await polling.task.start()
        try:
            yield
        finally:
            await in_loop_of(loop, broker.aclose())
    finally:
        polling.users -= 1
        if not polling.users:
            del polled[queue]
            await polling.task.stop()


@dataclass(eq=False)
class _Polling:
    """One worker is enough for all brokers of a group in this process."""

    task: OwnTask
    users: int = 0


_polled: WeakKeyDictionary[Client, dict[str, _Polling]] = WeakKeyDictionary()


def _worker(client: Client, queue: str, ledger: type, runner: WorkflowRunner) -> Worker:
    sweep = Sweep(client)
    return Worker(
        client,
        task_queue=queue,
        workflows=[ledger],
        activities=[sweep.sweep, sweep.doubt],
        workflow_runner=runner,
        max_cached_workflows=4,
        sticky_queue_schedule_to_start_timeout=timedelta(seconds=1),
        workflow_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=2),
        activity_task_poller_behavior=PollerBehaviorSimpleMaximum(maximum=1),
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
