"""A worker of a queue that many in a process need. The SDK has one for each client and queue.

It polls from the first block that needs it to the end of the last one.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from threading import Lock
from typing import Any, Final

from temporalio.client import Client
from temporalio.worker import Worker

from xworkflow.activities.other_loop import in_loop_of


@asynccontextmanager
async def shared_worker(
    client: Client, queue: str, make: Callable[[], Worker]
) -> AsyncGenerator[None]:
    """Have a queue polled for the length of a block; ``make`` is asked where nobody polls it yet.

    A worker that dies cancels the blocks, as the SDK's own do.
    """
    shared = await _join((client, queue), make)
    try:
        yield
    finally:
        await _leave((client, queue), shared)
    shared.raise_if_it_died()


class _Shared:
    """A worker that polls from now on in this event loop, and the tasks that need it."""

    def __init__(self, worker: Worker) -> None:
        self.users: list[asyncio.Task[Any] | None] = []
        self.is_ending = False
        self.loop = asyncio.get_running_loop()
        self._worker = worker
        self._polling = self.loop.create_task(worker.run())
        self._polling.add_done_callback(self._ended)

    @property
    def has_ended(self) -> bool:
        return self._polling.done()

    async def end(self) -> None:
        if not self._polling.done():
            await self._worker.shutdown()
        await asyncio.wait({self._polling})

    def raise_if_it_died(self) -> None:
        if self._polling.done() and not self._polling.cancelled():
            self._polling.result()

    def _ended(self, polling: asyncio.Task[None]) -> None:
        if not polling.cancelled() and polling.exception() is not None:
            for user in self.users:
                if user is not None:
                    user.get_loop().call_soon_threadsafe(user.cancel)


_Key = tuple[Client, str]
_running: Final[dict[_Key, _Shared]] = {}
_lock: Final = Lock()
"""A script's workers poll in a thread of their own, and may have the client of another's."""


async def _join(key: _Key, make: Callable[[], Worker]) -> _Shared:
    while True:
        with _lock:
            shared = _running.get(key)
            if shared is None or shared.has_ended:
                shared = _running[key] = _Shared(make())
            if not shared.is_ending:
                shared.users.append(asyncio.current_task())
                return shared
        # perhaps another thread is ending it
        await asyncio.sleep(0.01)


async def _leave(key: _Key, shared: _Shared) -> None:
    with _lock:
        shared.users.remove(asyncio.current_task())
        shared.is_ending = not shared.users
    if shared.is_ending:
        try:
            await in_loop_of(shared.loop, shared.end())
        finally:
            with _lock:
                if _running.get(key) is shared:
                    del _running[key]
