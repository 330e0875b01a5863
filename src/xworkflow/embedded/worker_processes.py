"""Several workers of one task queue, each a process of its own with a group of its own.

One Python process carries what one core can carry. Workers know nothing of each other: Temporal
hands each task to one of them, and the runs of one that has died to the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from xworkflow.embedded.worker_process import Crashed, start_worker
from xworkflow.errors import InfrastructureError


@asynccontextmanager
async def start_workers(
    command: Sequence[str], count: int, *, crashed: Crashed
) -> AsyncGenerator[None]:
    """Keep ``count`` workers running for the length of a block, all of them ready from its start.

    They start at the same time and stop at the same time; their standard error is that of this
    process. Raises InfrastructureError, with none left, when the first child of one does not get
    ready.
    """
    ready: list[asyncio.Future[None]] = [
        asyncio.get_running_loop().create_future() for _ in range(count)
    ]
    keepers = [asyncio.create_task(_keep(command, crashed, worker)) for worker in ready]
    try:
        await asyncio.gather(*ready)
        yield
    finally:
        for keeper in keepers:
            keeper.cancel()
        await asyncio.gather(*keepers, return_exceptions=True)


async def _keep(command: Sequence[str], crashed: Crashed, ready: asyncio.Future[None]) -> None:
    """Keep one worker until cancelled. ``ready`` ends with its first child's start."""
    try:
        async with start_worker(command, log=None, crashed=crashed):
            ready.set_result(None)
            await asyncio.Event().wait()
    except (InfrastructureError, OSError) as error:
        ready.set_exception(error)
