"""Several workers of one task queue, each a process of its own with a group of its own.

One Python process carries what one core can carry. Workers know nothing of each other: Temporal
hands each task to one of them, and the runs of one that has died to the others.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from xworkflow.embedded.worker_process import Crashed, WorkerProcess, start_worker
from xworkflow.errors import InfrastructureError


@dataclass(frozen=True, slots=True)
class WorkerProcesses:
    """The workers that are kept running."""

    workers: Sequence[WorkerProcess]

    def send(self, number: signal.Signals) -> None:
        """Send all of them a signal. One that has just died gets what it says at its start."""
        for worker in self.workers:
            if worker.pid is not None:
                with suppress(ProcessLookupError):
                    os.kill(worker.pid, number)


@asynccontextmanager
async def start_workers(
    command: Sequence[str], count: int, *, crashed: Crashed
) -> AsyncGenerator[WorkerProcesses]:
    """Keep ``count`` workers running for the length of a block, all of them ready from its start.

    They start at the same time and stop at the same time; their standard error is that of this
    process. Raises InfrastructureError, with none left, when the first child of one does not get
    ready.
    """
    ready: list[asyncio.Future[WorkerProcess]] = [
        asyncio.get_running_loop().create_future() for _ in range(count)
    ]
    keepers = [asyncio.create_task(_keep(command, crashed, worker)) for worker in ready]
    try:
        yield WorkerProcesses(await asyncio.gather(*ready))
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(
    command: Sequence[str], crashed: Crashed, ready: asyncio.Future[WorkerProcess]
) -> None:
    """Keep one worker until cancelled. ``ready`` ends with its first child's start."""
    try:
        async with start_worker(command, log=None, crashed=crashed) as worker:
            ready.set_result(worker)
            await asyncio.Event().wait()
    except (InfrastructureError, OSError) as error:
        ready.set_exception(error)
