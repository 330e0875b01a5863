"""How commands that serve until they are stopped hear of it, and of other signals."""

from __future__ import annotations

import asyncio
import contextlib
import signal


def stop_requested() -> asyncio.Event:
    """An event that Ctrl-C and SIGTERM set from now on, instead of ending the process."""
    return heard(signal.SIGINT, signal.SIGTERM)


def heard(*numbers: signal.Signals) -> asyncio.Event:
    """An event that any of these signals sets from now on, instead of its usual effect."""
    event = asyncio.Event()
    for number in numbers:
        asyncio.get_running_loop().add_signal_handler(number, event.set)
    return event


async def set_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, but not longer than this."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    return event.is_set()
