"""The activities of a worker: one for every node type under its own name, and the local region."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from temporalio import activity
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from xworkflow.activities.admission import admit
from xworkflow.activities.attempt import attempt
from xworkflow.activities.lending import Lending
from xworkflow.activities.other_loop import in_loop
from xworkflow.activities.region import Region, without_plan
from xworkflow.domain.wire import LOCAL_REGION, NodeReport, NodeTask, RegionReport, RegionTask
from xworkflow.engine.cache import plans
from xworkflow.engine.compile import Compiled
from xworkflow.runtime_group.group import RuntimeGroup

HEARTBEAT_SECS: Final = 0.5
"""A cancel reaches an activity with the answer to its heartbeat. Short calls never send one."""


class NodeActivities:
    """The activities of one group. The group is shared, and owned by the worker's process.

    Nodes are executed in ``loop``, when the group belongs to another event loop than the worker's.
    ``lending.replace`` gives the activities that begin later another group.
    """

    def __init__(self, group: RuntimeGroup, loop: asyncio.AbstractEventLoop | None = None) -> None:
        self.lending = Lending(group)
        self._loop = loop

    def all(self) -> list[Callable[..., Awaitable[Any]]]:
        """What to register with a Temporal worker."""
        return [self.execute, self.local_region]

    @activity.defn(dynamic=True)
    async def execute(self, args: Sequence[RawValue]) -> NodeReport:
        """Run one attempt of a node. The activity's type is the node's type."""
        if len(args) != 1:
            raise ApplicationError(
                f"no activity '{activity.info().activity_type}' here", non_retryable=True
            )
        task: NodeTask = activity.payload_converter().from_payload(args[0].payload, NodeTask)
        with _heartbeats(), self.lending.lent() as group:
            tries = activity.info().attempt
            return await in_loop(self._loop, attempt(group, task, tries))

    @activity.defn(name=LOCAL_REGION)
    async def local_region(self, task: RegionTask) -> RegionReport:
        """Carry a local region; with ``admit``, ask the group for the run first. An empty one only
        lets its workflow take a breath."""
        if not (task.starts or task.admit):
            return RegionReport()
        compiled = plans.find(task.plan_key)
        if compiled is None:
            return without_plan(task)
        with self.lending.lent() as group:
            return await in_loop(self._loop, _carry(group, task, compiled))


async def _carry(group: RuntimeGroup, task: RegionTask, compiled: Compiled) -> RegionReport:
    admission = await admit(group, task, compiled) if task.admit else None
    return await Region(group, task, compiled).carry(admission)


@contextmanager
def _heartbeats() -> Generator[None]:
    """Heartbeats at intervals. A timer of the loop and no task: most activities end before it."""
    loop = asyncio.get_running_loop()

    def beat() -> None:
        nonlocal timer
        activity.heartbeat()
        timer = loop.call_later(HEARTBEAT_SECS, beat)

    timer = loop.call_later(HEARTBEAT_SECS, beat)
    try:
        yield
    finally:
        timer.cancel()
