"""``Slot``: the place that a run holds with its group's governor.

A run that is queued begins when it hears that it has a place. Where its group says so, a run gives
its place back while it only waits for people, and asks again before anything that it starts after
that: what is to start meanwhile is kept here. Runs of groups without a governor never notice.
"""

from __future__ import annotations

from contextlib import suppress

from temporalio import workflow
from temporalio.exceptions import FailureError

from xworkflow.domain.commands import CancelChunk, CancelNode, StartChunk, StartNode
from xworkflow.domain.governing import YIELD_SIGNAL, RunEnds, governor_id
from xworkflow.domain.wire import RunInput, SlotGranted
from xworkflow.engine.carrier import LaneEffect
from xworkflow.workflows.children import in_background


class Slot:
    """``turn`` counts how often the run has asked; ``away`` is set while it has no place."""

    def __init__(self, run: RunInput, execution_id: str) -> None:
        self.turn = run.slot_turn
        self.away = run.slot_away
        self.queued = False
        self.asking = False
        self._granted = -1
        self._group_id = run.group_id
        self._run = execution_id
        self._kept: list[LaneEffect] = []

    def granted(self, told: SlotGranted) -> None:
        """It may be told before it knows that it was queued."""
        self._granted = max(self._granted, told.turn)

    @property
    def has_place(self) -> bool:
        """Whether the place that was asked for last is there."""
        return self._granted >= self.turn

    def keeps(self, lane: int, effect: StartNode | StartChunk) -> bool:
        """Whether a start has to wait for a place; then it is kept."""
        if self.away:
            self._kept.append((lane, effect))
        return self.away

    def drop(self, lane: int, cancel: CancelNode | CancelChunk) -> None:
        self._kept = [
            (of, start)
            for of, start in self._kept
            if (of, getattr(start, "node", None)) != (lane, cancel.node)
        ]

    @property
    def is_needed(self) -> bool:
        return self.away and not self.asking and bool(self._kept)

    def give_back(self, hearer: str) -> None:
        """Tell the governor, through the workflow that hears of it, that the run only waits."""
        self.away = True
        in_background(self._tell(hearer, RunEnds(run=self._run, turn=self.turn)))

    def ask(self) -> None:
        self.turn += 1
        self.asking = True

    def take(self) -> list[LaneEffect]:
        """The run has its place: what was kept may start."""
        self.away = self.asking = self.queued = False
        kept, self._kept = self._kept, []
        return kept

    async def _tell(self, hearer: str, end: RunEnds) -> None:
        to = hearer or governor_id(self._group_id or "")
        governor = workflow.get_external_workflow_handle(to)
        with suppress(FailureError):  # a governor that is gone has forgotten the place as well
            await governor.signal(YIELD_SIGNAL, end)
