"""Watching a run to its end, and what Ctrl-C means meanwhile.

The first Ctrl-C detaches, a second one soon after stops the run, and a third gives up waiting for
a stop that nobody carries out. A run that waits for a person is watched on where somebody sits at a
terminal; a script hears of it, and goes on.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Sequence
from contextlib import aclosing
from typing import Literal

from xworkflow.cli.place import Place
from xworkflow.cli.printing import print_note
from xworkflow.cli.progress import Progress
from xworkflow.cli.run_result import Watched
from xworkflow.cli.silence import Silence
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.history import HistoryFeed
from xworkflow.client.standing import Standing
from xworkflow.client.status import ExecutionStatus, Paused, WaitingForInput
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.ports import StreamStore

SECOND_CTRL_C_SECS = 2.0


async def watch(  # noqa: PLR0913 - what it shows, and until when
    handle: WorkflowHandle,
    place: Place,
    *,
    quiet: bool,
    stay: bool | None = None,
    past: Standing | None = None,
    streams: StreamStore | None = None,
) -> Watched:
    """Show the run's progress to its end, or until the user leaves it.

    Without ``stay`` (None: without a terminal) also until it waits for a person, or is paused, and
    nothing goes on by itself. What ``past`` has seen is not shown again.

    From here on Ctrl-C never interrupts the command itself: what is left is its orderly end.
    """
    stays = at_terminal() if stay is None else stay
    interrupted, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    silence = Silence(handle)
    leaves = () if stays else (WaitingForInput, Paused)
    progress = Progress(quiet=quiet, live=streams is not None)
    follower = Follower(handle, place, progress, leaves=leaves, past=past)
    watching = asyncio.create_task(_to_the_end(handle, follower, silence, streams))
    try:
        if await _wait(watching, interrupted) == "interrupted":
            _print_way_back(handle.execution_id, place)
            if await _wait(watching, interrupted, SECOND_CTRL_C_SECS) == "interrupted":
                print_note("stopping the run")
                await handle.cancel()
                await _wait(watching, interrupted)
        return watching.result() if watching.done() else watched_of(handle, place)
    finally:
        silence.end()
        watching.cancel()


async def _wait(
    watching: asyncio.Task[Watched], interrupted: asyncio.Event, seconds: float | None = None
) -> Literal["ended", "interrupted", "nothing"]:
    """What comes first: the run's end, the next Ctrl-C, or nothing in this time."""
    interrupted.clear()
    waiting = asyncio.create_task(interrupted.wait())
    await asyncio.wait({watching, waiting}, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    if watching.done():
        return "ended"
    return "interrupted" if interrupted.is_set() else "nothing"


def at_terminal() -> bool:
    """Whether somebody sits there who can answer."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _print_way_back(execution_id: str, place: Place) -> None:
    print_note(
        f"detached: the run goes on. Come back with: "
        f"xworkflow runs show {execution_id}{place.as_option}"
    )
    if place.embedded:
        print_note("Its server and worker end with this command; `xworkflow dev` carries it on.")
    print_note(f"Ctrl-C again within {SECOND_CTRL_C_SECS:.0f} s stops the run.")


class Follower:
    """Shows what happens in a run, batch by batch, and knows when only people can go on.

    ``leaves`` are the statuses at which nothing more is to be shown; none at a terminal.
    """

    def __init__(
        self,
        handle: WorkflowHandle,
        place: Place,
        progress: Progress,
        *,
        leaves: tuple[type[ExecutionStatus], ...] = (),
        past: Standing | None = None,
    ) -> None:
        self.watched = watched_of(handle, place)
        self._handle = handle
        self._place = place
        self._progress = progress
        self._leaves = leaves
        self._past = past or Standing()
        self._standing = Standing()
        self._shown: set[str] = set()
        self._stop: tuple[object, ...] = ()

    async def take(self, feed: HistoryFeed, new: Sequence[GraphEngineEvent]) -> bool:
        """Show the events of a batch; whether to leave the run as it is."""
        for event in new:
            past = event.seq < self._past.seen.get(feed.workflow_id, 0)
            self._progress.show(event, past=past)
        if feed.workflow_id == self._handle.execution_id:
            self.watched.result = feed.result
        self._standing.take(feed, new)
        stop = self._standing.stop
        if not stop or (*stop, self._standing.is_quiet) == self._stop:
            return False
        # what was read may be long past: a run that stands still says so itself
        self._stop = (*stop, self._standing.is_quiet)
        status = await self._handle.status()
        if isinstance(status, WaitingForInput):
            where = self._place.as_option
            self._progress.ask(status.waiting, self._handle.execution_id, where, self._shown)
        if self._standing.is_quiet and isinstance(status, self._leaves):
            self.watched.status = status
            return True
        return False

    def end_text(self) -> None:
        """The last line of an answer that was printed while it came is over."""
        self.watched.printed = self._progress.end_text()


async def _to_the_end(
    handle: WorkflowHandle,
    follower: Follower,
    silence: Silence,
    streams: StreamStore | None,
) -> Watched:
    async with aclosing(handle.read(follow=True, live=streams)) as batches:
        async for feed, new in batches:
            if new:
                silence.broken(new)
            if await follower.take(feed, new):
                return follower.watched
    follower.end_text()
    follower.watched.status = await handle.wait()
    return follower.watched


def watched_of(handle: WorkflowHandle, place: Place) -> Watched:
    url = place.run_url(handle.execution_id, handle.first_run_id)
    return Watched(handle.execution_id, handle.first_run_id, url)
