"""A thread for the Temporal workers of one script, with an event loop of its own.

``asyncio.run`` cancels all tasks of its loop at once when the script's main function ends. The
SDK's worker does not survive that: it waits for evictions whose tasks are gone (seen: a script that
printed its result and never ended). So workers poll here, and are told to shut down in order.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import cast

from temporalio.worker import Worker


class WorkerThread:
    """Owns the thread, its loop, and the workers that it was given. Ended by ``aclose``.

    A daemon: a script that forgets its loop must not hang for it.
    """

    def __init__(self) -> None:
        self._workers: list[Worker] = []
        self._polling: set[asyncio.Task[None]] = set()
        self._stopping = asyncio.Event()
        started: Future[asyncio.AbstractEventLoop] = Future()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._hold(started)), name="xworkflow-workers", daemon=True
        )
        self._thread.start()
        self._loop = started.result()

    def start(self, build: Callable[[], Worker]) -> Future[None]:
        """Build a worker and have it poll. The future ends with it, and raises what it died of."""
        return asyncio.run_coroutine_threadsafe(self._poll(build), self._loop)

    async def aclose(self) -> None:
        """Shut the workers down, and wait until they and the thread have ended."""
        with suppress(RuntimeError):  # the loop is closed: it has ended already
            self._loop.call_soon_threadsafe(self._stopping.set)
        await asyncio.to_thread(self._thread.join)

    async def _hold(self, started: Future[asyncio.AbstractEventLoop]) -> None:
        started.set_result(asyncio.get_running_loop())
        await self._stopping.wait()
        await asyncio.gather(*(worker.shutdown() for worker in self._workers))
        # what belongs to a worker (its plugins) ends after its shutdown has
        await asyncio.gather(*self._polling, return_exceptions=True)

    async def _poll(self, build: Callable[[], Worker]) -> None:
        worker = build()
        self._workers.append(worker)
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._polling.add(task)
        task.add_done_callback(self._polling.discard)
        try:
            await worker.run()
        finally:
            self._workers.remove(worker)
