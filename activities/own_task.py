"""A block that is entered in one task and left from another."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any


class OwnTask:
    """Holds a block open in a task of its own, from ``start`` to ``stop``. Belongs to the event
    loop of its ``start``."""

    def __init__(self, block: AbstractAsyncContextManager[Any]) -> None:
        self._block = block
        self._task: asyncio.Task[None] | None = None
        self._entered = asyncio.Event()
        self._stopping = asyncio.Event()

    async def start(self, died: Callable[[], object] | None = None) -> None:
        """Returns when the block is entered; raises what kept it from that. May be awaited by
        several. ``died`` is called when the block ends later and nobody stopped it."""
        if self._task is None:
            self._task = asyncio.create_task(self._hold())
            self._task.add_done_callback(lambda _: self._tell(died))
        entered = asyncio.create_task(self._entered.wait())
        await asyncio.wait((self._task, entered), return_when=asyncio.FIRST_COMPLETED)
        entered.cancel()
        if self._task.done():
            self._task.result()

    async def stop(self) -> None:
        """Leave the block. Returns when that is done, whatever it died of before."""
        self._stopping.set()
        if self._task is not None:
            await asyncio.wait((self._task,))

    def raise_if_ended(self) -> bool:
        """Whether the block has ended, by itself or by ``stop``; raises what it died of."""
        if self._task is None or not self._task.done():
            return False
        self._task.result()
        return True

    def _tell(self, died: Callable[[], object] | None) -> None:
        if died is not None and self._entered.is_set() and not self._stopping.is_set():
            died()

    async def _hold(self) -> None:
        async with self._block:
            self._entered.set()
            await self._stopping.wait()
