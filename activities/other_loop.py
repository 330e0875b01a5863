"""Work in another event loop than the worker's own, and thread.

A worker inside of a script polls in a thread of its own, but what the script's objects do (pools,
providers, executors) belongs to the loop in which the script uses them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, TypeVar

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

T = TypeVar("T")


async def in_loop(loop: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, T]) -> T:
    """Await ``work`` in another loop; None is this one. Called inside an activity.

    A cancel of the activity cancels the work. When the loop ends first, the attempt is lost, and
    Temporal gives it to the next worker.
    """
    if loop is None:
        return await work
    try:
        future = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:  # the loop is closed
        work.close()
        raise _lost() from None
    try:
        return await asyncio.wrap_future(future)
    except asyncio.CancelledError:
        if activity.is_cancelled():
            raise
        raise _lost() from None


async def in_loop_of(
    loop: asyncio.AbstractEventLoop | None, work: Coroutine[Any, Any, None]
) -> None:
    """Await ``work`` in another loop, outside of any activity; a closed loop has lost it."""
    if loop is None or loop is asyncio.get_running_loop():
        await work
        return
    try:
        future = asyncio.run_coroutine_threadsafe(work, loop)
    except RuntimeError:
        work.close()
        return
    with suppress(TimeoutError, asyncio.CancelledError):
        await asyncio.wait_for(asyncio.wrap_future(future), timeout=3.0)


def _lost() -> ApplicationError:
    return ApplicationError(
        "the process that carried this node has ended", category=ApplicationErrorCategory.BENIGN
    )
