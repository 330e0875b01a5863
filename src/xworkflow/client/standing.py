"""Where a run stands, as its histories tell it: no worker is asked.

Takes the batches of ``WorkflowHandle.read``, from the first one on. Histories are read ahead of
whoever takes the batches: what a ``Standing`` tells counts only once it has caught up.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING

from xworkflow.client.history import HistoryFeed
from xworkflow.client.status import ExecutionStatus, Paused, Running, WaitingForInput
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.state import RunState
from xworkflow.domain.wire import Waiting
from xworkflow.engine.waiting import waiting_of

if TYPE_CHECKING:
    from xworkflow.client.handle import WorkflowHandle


class Standing:
    """What an open run waits for, its sub-graphs included."""

    def __init__(self) -> None:
        self._feeds: dict[str, HistoryFeed] = {}
        self.seen: dict[str, int] = {}
        """How many events of each workflow were taken."""

    def take(self, feed: HistoryFeed, new: Sequence[GraphEngineEvent]) -> None:
        """A history was read a step further."""
        if new:
            self.seen[feed.workflow_id] = new[-1].seq + 1
        if feed.closed is not None and feed.closed.next_run_id is None:
            self._feeds.pop(feed.workflow_id, None)
        else:
            self._feeds[feed.workflow_id] = feed

    @property
    def is_caught_up(self) -> bool:
        """Whether all events that were read have been taken."""
        return all(
            feed.carrier is None or self.seen.get(name, 0) == feed.carrier.events
            for name, feed in self._feeds.items()
        )

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """The questions that wait for a person."""
        return tuple(
            waiting
            for feed in self._feeds.values()
            if feed.carrier is not None
            for waiting in waiting_of(feed.carrier, feed.workflow_id)
        )

    @property
    def status(self) -> ExecutionStatus:
        """Running, WaitingForInput or Paused."""
        if any(_is_held(state) for state in self._states()):
            return Paused()
        waiting = self.waiting
        return WaitingForInput(waiting) if waiting else Running()

    @property
    def stop(self) -> tuple[object, ...]:
        """What it waits for, to be told from what it waited for before; empty when it runs, or
        when there is more to take."""
        if not self.is_caught_up:
            return ()
        pauses = [state.debug.pauses for state in self._states() if state.debug is not None]
        held = [*pauses, "held"] if any(_is_held(state) for state in self._states()) else []
        return (*held, *(waiting.token for waiting in self.waiting))

    @property
    def is_quiet(self) -> bool:
        """Whether nothing goes on by itself: all that is in flight waits for a person, or is held
        by a pause."""
        children, wanted = len(self._feeds) - 1, 0
        for state in self._states():
            if state.phase != "running":
                return False
            for key, run in state.running.items():
                progress = state.repeats.get(key)
                if progress is not None:
                    wanted += len(progress.open)
                elif key not in state.asked and not (run.waiting and state.paused):
                    return False
        return children == wanted

    @property
    def needs_somebody(self) -> bool:
        """Whether it stands until a command or an answer comes: no time limit of a form or of a
        gather lets it go on."""
        timed = any(waiting.timeout_at is not None for waiting in self.waiting)
        return self.is_quiet and not timed and not any(state.joins for state in self._states())

    def _states(self) -> list[RunState]:
        return [
            driver.state
            for feed in self._feeds.values()
            if feed.carrier is not None
            for driver in feed.carrier.lanes.values()
        ]


async def read_standing(handle: WorkflowHandle) -> Standing:
    """Where a run stands now."""
    standing = Standing()
    async with aclosing(handle.read(follow=False)) as batches:
        async for feed, new in batches:
            standing.take(feed, new)
    return standing


def _is_held(state: RunState) -> bool:
    at_breakpoint = state.debug is not None and state.debug.pause is not None
    return state.phase == "running" and (state.paused or at_breakpoint)
