"""A local region: many pure nodes carried in one local activity, by the same ``decide``.

A region is a slice: after 200 ms or 256 KB of results it starts nothing more, and what has not
ended after 800 ms is given up and runs again as a regular activity with its full limits. All of it
is pure, so doing it again is harmless. (While a long local activity runs, a workflow answers no
query and sees no cancel; so it must not be long.)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import Final

from xworkflow.activities.attempt import attempt
from xworkflow.domain.commands import StartNode
from xworkflow.domain.plan import Placement
from xworkflow.domain.state import load_state
from xworkflow.domain.wire import Admission, NodeReport, RegionNode, RegionReport, RegionTask
from xworkflow.engine.carrier import Carrier, LaneEffect, SingleRun
from xworkflow.engine.compile import Compiled
from xworkflow.engine.driver import fact_of
from xworkflow.engine.start import carrier_of
from xworkflow.runtime_group.group import RuntimeGroup

SLICE_SECS: Final = 0.2
GIVE_UP_SECS: Final = 0.8
SLICE_BYTES: Final = 256 * 1024
WIDTH: Final = 8
"""Nodes that a region runs at once; the others wait for a place, or for the next region."""


class Region:
    """One region, for one call. Ends with nothing left running."""

    def __init__(self, group: RuntimeGroup, task: RegionTask, compiled: Compiled) -> None:
        self._group = group
        self._task = task
        self._carrier = _carrier(task, compiled)
        self._began = time.monotonic()
        self._waiting: deque[tuple[int, StartNode]] = deque()
        self._running: dict[asyncio.Task[NodeReport], tuple[int, StartNode]] = {}
        self._finished: list[RegionNode] = []
        self._bytes = 0

    async def carry(self, admission: Admission | None) -> RegionReport:
        """Start what was asked for, or the whole run when it was just admitted."""
        if admission is not None:
            driver = self._carrier.lanes[0]
            if admission.policy is not None:
                driver.apply_policy(admission.policy)
            # with every node an activity there is nothing for a region to do
            if admission.granted and not driver.compiled.options.all_activities:
                self._take(self._carrier.begin(int(time.time() * 1000)))
        self._waiting.extend(
            (s.lane, StartNode(s.node, s.attempt, s.execution_id)) for s in self._task.starts
        )
        try:
            await self._run()
        finally:
            unfinished = await self._give_up()
        return RegionReport(
            admission=admission, finished=tuple(self._finished), unfinished=unfinished
        )

    async def _run(self) -> None:
        while True:
            self._start_waiting()
            left = self._began + GIVE_UP_SECS - time.monotonic()
            if not self._running or left <= 0 or self._is_full:
                return
            done, _ = await asyncio.wait(
                self._running, timeout=left, return_when=asyncio.FIRST_COMPLETED
            )
            # in the order of their start, not of a set
            for task in [t for t in self._running if t in done]:
                if not self._is_full:  # the others run again, in the next region
                    self._end(*self._running.pop(task), task.result())

    def _start_waiting(self) -> None:
        while self._waiting and len(self._running) < WIDTH and self._in_slice():
            lane, start = self._waiting.popleft()
            task = self._carrier.lanes[lane].task(start, self._task.execution_id)
            if self._task.fixed_timestamp is not None:
                task = task.model_copy(update={"fixed_timestamp": self._task.fixed_timestamp})
            self._running[asyncio.create_task(attempt(self._group, task))] = (lane, start)

    def _in_slice(self) -> bool:
        return time.monotonic() - self._began < SLICE_SECS and not self._is_full

    @property
    def _is_full(self) -> bool:
        """What a workflow task says, all its regions' reports and its own result, must fit one
        message of 4 MB."""
        return self._bytes >= SLICE_BYTES

    def _end(self, lane: int, start: StartNode, report: NodeReport) -> None:
        finished = RegionNode(node=start.node, attempt=start.attempt, report=report, lane=lane)
        self._finished.append(finished)
        self._bytes += len(report.model_dump_json())
        self._take(self._carrier.feed(lane, fact_of(start.node, start.attempt, report)))

    def _take(self, effects: list[LaneEffect]) -> None:
        for lane, effect in effects:
            if isinstance(effect, StartNode) and self._is_local(effect):
                self._waiting.append((lane, effect))
        # nodes that were dropped meanwhile (a sibling failed) start nothing
        lanes = self._carrier.lanes
        self._waiting = deque((lane, start) for lane, start in self._waiting if lane in lanes)

    def _is_local(self, start: StartNode) -> bool:
        return self._carrier.compiled.plan.nodes[start.node].placement is Placement.LOCAL

    async def _give_up(self) -> tuple[int | tuple[int, int], ...]:
        """Cancel what still runs, and wait until it has let go of its VM.

        What a full region did not come to is as new: it goes into the next one.
        """
        single = self._task.run is None
        given_up: list[int | tuple[int, int]] = [
            start.node if single else (lane, start.node)
            for lane, start in self._running.values()
            if not self._is_full
        ]
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        return tuple(given_up)


def _carrier(task: RegionTask, compiled: Compiled) -> Carrier:
    if task.run is not None:
        return carrier_of(task.run, compiled, task.execution_id, in_region=True)
    return SingleRun(compiled, load_state(task.state), in_region=True)


def without_plan(task: RegionTask) -> RegionReport:
    """The report of a process that does not have the plan: everything runs as activities."""
    if task.run is None:
        return RegionReport(unfinished=tuple(start.node for start in task.starts))
    return RegionReport(unfinished=tuple((start.lane, start.node) for start in task.starts))
