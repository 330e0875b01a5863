"""``GovernorWorkflow``: the ledger of one group, the same for all its worker processes.

One for each group with a governor, started by the first broker that needs it. It costs nothing
while no run holds a place: no timer, no task. Brokers speak to it by one update at a time
(activities/governor_broker.py), whose handler never waits, so exchanges come one after another.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, FailureError

from xworkflow.domain.governing import (
    DOUBT_ACTIVITY,
    EXCHANGE_UPDATE,
    GOVERNOR_WORKFLOW,
    SWEEP_ACTIVITY,
    USAGE_QUERY,
    YIELD_SIGNAL,
    Exchange,
    GroupUsage,
    Reply,
    Resolved,
    RunAsks,
    RunEnds,
    Swept,
)
from xworkflow.domain.ledger import Ledger
from xworkflow.domain.wire import SLOT_SIGNAL, SlotGranted

SWEEP_SECS: Final = 8.0
"""A place whose run was terminated comes back after at most twice this."""
_MAX_EVENTS: Final = 4_000
_MAX_UPDATES: Final = 1_500
"""Temporal refuses the 2,001st update of a history."""
_EPOCH: Final = datetime.fromtimestamp(0, UTC)


@workflow.defn(name=GOVERNOR_WORKFLOW)
class GovernorWorkflow:
    """Gives places to runs and parts of budgets to brokers. Never ends by itself."""

    @workflow.init
    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._updates = 0
        self._telling: set[asyncio.Task[None]] = set()
        self._sweep_at: int | None = None
        self._wakes_at: int | None = None

    @workflow.run
    async def run(self, ledger: Ledger) -> None:
        """Give places out, and look after old holders, until the history is long."""
        del ledger  # __init__ has it
        self._give_out()
        while not self._is_long():
            self._wakes_at = self._due()
            try:
                await workflow.wait_condition(self._is_disturbed, timeout=self._pause())
            except TimeoutError:
                await self._sweep()
                await self._resolve_doubts()
                self._give_out()
        await workflow.wait_condition(
            lambda: workflow.all_handlers_finished() and not self._telling
        )
        workflow.continue_as_new(self._ledger.renewed())

    @workflow.update(name=EXCHANGE_UPDATE)
    def exchange(self, given: Exchange) -> Reply:
        """What a broker says, and the answer to it."""
        self._updates += 1
        reply = self._ledger.exchange(given, _now())
        self._give_out()
        return reply

    @workflow.signal(name=YIELD_SIGNAL)
    def yield_slot(self, end: RunEnds) -> None:
        """A run only waits for people now."""
        self._ledger.release(end)
        self._give_out()

    @workflow.query(name=USAGE_QUERY)
    def usage(self) -> GroupUsage:
        """What the group uses right now."""
        return self._ledger.usage(_now())

    # ---- places

    def _give_out(self) -> None:
        for ask in self._ledger.grants(_now()):
            task = asyncio.create_task(self._tell(ask))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)

    async def _tell(self, ask: RunAsks) -> None:
        """Tell a run that it has its place; one that is over gives it back."""
        run = workflow.get_external_workflow_handle(ask.run)
        try:
            await run.signal(SLOT_SIGNAL, SlotGranted(turn=ask.turn))
        except FailureError:
            self._ledger.release(RunEnds(run=ask.run))
            self._give_out()

    # ---- time

    def _due(self) -> int | None:
        """When something has to be looked at without being asked; None while nobody is there.

        A sweep that was planned stays so when its holders have ended: planning it again for each
        run would cost two events.
        """
        if self._sweep_at is None and (self._ledger.holders or self._ledger.waiting):
            self._sweep_at = _now() + int(SWEEP_SECS * 1000)
        ledger = self._ledger
        moments = (self._sweep_at, ledger.next_window(_now()), ledger.next_doubt())
        return min((at for at in moments if at is not None), default=None)

    def _pause(self) -> timedelta | None:
        if self._wakes_at is None:
            return None
        return timedelta(milliseconds=max(1, self._wakes_at - _now()))

    def _is_disturbed(self) -> bool:
        """Whether the wait has to be given up: it lasts too long, or the history is long."""
        due = self._due()
        sooner = due is not None and (self._wakes_at is None or due < self._wakes_at)
        return sooner or self._is_long()

    async def _sweep(self) -> None:
        """Take back the places of runs that are over and did not say so."""
        if self._sweep_at is None or self._sweep_at > _now():
            return
        self._sweep_at = None
        old = self._ledger.old_holders(_now(), int(SWEEP_SECS * 1000))
        if not old:
            return
        try:
            swept: Swept = await workflow.execute_activity(
                SWEEP_ACTIVITY,
                old,
                result_type=Swept,
                start_to_close_timeout=timedelta(seconds=10),
                schedule_to_close_timeout=timedelta(seconds=20),
                retry_policy=RetryPolicy(maximum_attempts=2),
            )
        except ActivityError:
            return  # the next one will find them
        for run in swept.over:
            self._ledger.release(RunEnds(run=run))

    async def _resolve_doubts(self) -> None:
        """Find out which runs have a place out of the lease of a process that died."""
        for doubt in self._ledger.doubts(_now()):
            try:
                found: Resolved = await workflow.execute_activity(
                    DOUBT_ACTIVITY,
                    doubt,
                    result_type=Resolved,
                    start_to_close_timeout=timedelta(seconds=30),
                    schedule_to_close_timeout=timedelta(seconds=60),
                )
            except ActivityError:
                continue  # its places stay taken until somebody finds out
            self._ledger.resolve(doubt, found.holders, _now())

    def _is_long(self) -> bool:
        info = workflow.info()
        return (
            info.get_current_history_length() > _MAX_EVENTS
            or self._updates >= _MAX_UPDATES
            or info.is_continue_as_new_suggested()
        )


def _now() -> int:
    return (workflow.now() - _EPOCH) // timedelta(milliseconds=1)
