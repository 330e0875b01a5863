"""Watching a run to its end, and what Ctrl-C means meanwhile.

The first Ctrl-C detaches, a second one soon after stops the run, and a third gives up waiting for
a stop that nobody carries out.
"""

from __future__ import annotations

import asyncio
import signal
from contextlib import aclosing
from typing import Literal

from xworkflow.cli.place import Place
from xworkflow.cli.printing import print_note
from xworkflow.cli.progress import Progress
from xworkflow.cli.run_result import Watched
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.wire import task_queue
from xworkflow.ports import StreamStore

SECOND_CTRL_C_SECS = 2.0

IDLE_SECS = 10.0
"""So long a run may wait for a worker without a word: a dead worker looks alive for minutes."""


async def watch(
    handle: WorkflowHandle, place: Place, *, quiet: bool, streams: StreamStore | None = None
) -> Watched:
    """Show the run's progress to its end, or until the user leaves it.

    From here on Ctrl-C never interrupts the command itself: what is left is its orderly end.
    """
    interrupted, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, interrupted.set)
    hint = loop.call_later(IDLE_SECS, _print_idle)
    progress = Progress(quiet=quiet, live=streams is not None)
    watching = asyncio.create_task(_to_the_end(handle, place, progress, hint, streams))
    try:
        if await _wait(watching, interrupted) == "interrupted":
            _print_way_back(handle.execution_id, place)
            if await _wait(watching, interrupted, SECOND_CTRL_C_SECS) == "interrupted":
                print_note("stopping the run")
                await handle.cancel()
                await _wait(watching, interrupted)
        return watching.result() if watching.done() else _watched(handle, place)
    finally:
        hint.cancel()
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


def _print_way_back(execution_id: str, place: Place) -> None:
    where = "" if place.embedded else f" --address {place.address}"
    print_note(
        f"detached: the run goes on. Come back with: xworkflow runs show {execution_id}{where}"
    )
    if place.embedded:
        print_note("Its server and worker end with this command; `xworkflow dev` carries it on.")
    print_note(f"Ctrl-C again within {SECOND_CTRL_C_SECS:.0f} s stops the run.")


def _print_idle() -> None:
    queue = task_queue(None)
    print_note(f"no worker has taken the run yet; it waits in '{queue}' until one does")


async def _to_the_end(
    handle: WorkflowHandle,
    place: Place,
    progress: Progress,
    hint: asyncio.TimerHandle,
    streams: StreamStore | None,
) -> Watched:
    watched = _watched(handle, place)
    async with aclosing(handle.read(follow=True, live=streams)) as batches:
        async for feed, new in batches:
            for event in new:
                hint.cancel()
                progress.show(event)
            if feed.workflow_id == handle.execution_id:
                watched.result = feed.result
    watched.printed = progress.end_text()
    watched.status = await handle.wait()
    return watched


def _watched(handle: WorkflowHandle, place: Place) -> Watched:
    url = place.run_url(handle.execution_id, handle.first_run_id)
    return Watched(handle.execution_id, handle.first_run_id, url)
