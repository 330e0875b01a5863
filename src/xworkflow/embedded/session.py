"""What a plain script needs: a server, and a worker in this process for each live group.

``WorkflowRunner`` comes here when it was given no client. The server is the configured one, or the
embedded one of this machine; both end with the script's event loop. ``close()`` ends them earlier.
"""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import gc
import os
import time
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from temporalio.client import Client
from temporalio.worker import Worker

from xworkflow.domain.wire import task_queue
from xworkflow.embedded.data_dir import default_data_dir
from xworkflow.embedded.server import start_server
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import build_worker

Connect = Callable[[str | None], Awaitable[Client]]
"""The client's own way to connect to an address; handed in, as this room knows no client."""

SANDBOX_VARIABLE = "XWORKFLOW_WORKFLOW_SANDBOX"


@dataclass(slots=True)
class _Served:
    """A group and the worker that serves it. The group is kept: its identity is the key."""

    group: RuntimeGroup
    queue: str
    task: asyncio.Task[None]


@dataclass(slots=True)
class Session:
    """One event loop's server and workers."""

    client: Client
    stack: contextlib.AsyncExitStack
    served: dict[int, _Served] = field(default_factory=dict[int, _Served])

    def serve(self, group: RuntimeGroup) -> str:
        """The task queue of a group, with a worker on it."""
        known = self.served.get(id(group))
        if known is not None and not known.task.done():
            return known.queue
        queue = self._queue_for(group)
        sandboxed = os.environ.get(SANDBOX_VARIABLE) == "1"
        worker = build_worker(self.client, group, queue=queue, sandboxed=sandboxed)
        self.served[id(group)] = _Served(group, queue, asyncio.create_task(_run(worker, group)))
        return queue

    def _queue_for(self, group: RuntimeGroup) -> str:
        """A named group's own queue, so that another worker may carry its runs on; one of its own
        for each further group object, as two must never serve each other's runs."""
        queue = task_queue(group.group_id)
        is_default = group.group_id is not None or not group.has_own_limits
        if is_default and all(served.queue != queue for served in self.served.values()):
            return queue
        return f"{queue}-{uuid.uuid4()}"

    async def aclose(self) -> None:
        """End the workers, their groups, and the server where this process started it."""
        for served in self.served.values():
            served.task.cancel()
        await asyncio.gather(*(s.task for s in self.served.values()), return_exceptions=True)
        self.served.clear()
        await self.stack.aclose()


_sessions: WeakKeyDictionary[asyncio.AbstractEventLoop, Session] = WeakKeyDictionary()
_starting: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


async def serve(
    group: RuntimeGroup, connect: Connect, configured: str | None
) -> tuple[Client, str]:
    """A client, and the task queue on which a worker in this process serves the group.

    ``configured`` is the address of the environment's server; without one the embedded is used.
    """
    session = await _session(connect, configured)
    return session.client, session.serve(group)


async def close() -> None:
    """End what ``serve`` has started in this event loop."""
    session = _sessions.pop(asyncio.get_running_loop(), None)
    if session is not None:
        await session.aclose()


async def _session(connect: Connect, configured: str | None) -> Session:
    loop = asyncio.get_running_loop()
    async with _starting.setdefault(loop, asyncio.Lock()):
        found = _sessions.get(loop)
        if found is None:
            found = _sessions[loop] = await _open(connect, configured)
            _settle_at_exit()
        return found


async def _open(connect: Connect, configured: str | None) -> Session:
    stack = contextlib.AsyncExitStack()
    if configured is not None:
        return Session(await connect(configured), stack)
    server = await stack.enter_async_context(start_server(default_data_dir(), ui=True))
    return Session(await connect(server.address), stack)


async def _run(worker: Worker, group: RuntimeGroup) -> None:
    try:
        await worker.run()
    finally:
        with contextlib.suppress(Exception):
            await group.aclose()


_settled = False


def _settle_at_exit() -> None:
    """The SDK's threads may abort an interpreter that ends right after its loop (sdk-python#300):
    drop what holds them, and give them time to end."""
    global _settled  # noqa: PLW0603 - once per process
    if not _settled:
        _settled = True
        atexit.register(_settle)


def _settle() -> None:
    gc.collect()
    time.sleep(0.3)
