"""What a plain script needs: a server, and a worker in this process for each live group.

``WorkflowRunner`` comes here when it was given no client. The server is the configured one, or the
embedded one of this machine; both end when ``asyncio.run`` does. ``close()`` ends them earlier, and
is for those who run an event loop in another way.
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
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import cache

from temporalio.client import Client

from xworkflow.domain.wire import task_queue
from xworkflow.embedded.data_dir import default_data_dir
from xworkflow.embedded.server import start_server
from xworkflow.embedded.worker_thread import WorkerThread
from xworkflow.runtime_group.group import RuntimeGroup, default_group
from xworkflow.worker import build_worker

Connect = Callable[[str | None], Awaitable[Client]]
"""The client's own way to connect to an address; handed in, as this room knows no client."""

SANDBOX_VARIABLE = "XWORKFLOW_WORKFLOW_SANDBOX"


@dataclass(frozen=True, slots=True)
class _Served:
    """A group, and the worker that serves it until ``polling`` ends."""

    group: RuntimeGroup
    queue: str
    polling: Future[None]


@dataclass(slots=True, eq=False)
class Session:
    """One event loop's server and workers. Nodes run in that loop, where their group is used."""

    client: Client
    stack: contextlib.AsyncExitStack
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.get_running_loop)
    workers: WorkerThread = field(default_factory=WorkerThread)
    served: list[_Served] = field(default_factory=list[_Served])
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    keeper: asyncio.Task[None] | None = None

    def serve(self, group: RuntimeGroup) -> str:
        """The task queue of a group, with a worker on it."""
        self.served = [served for served in self.served if not served.polling.done()]
        for served in self.served:
            if served.group.has_the_parts_of(group):
                return served.queue
        queue = self._free_queue(group)
        polling = self.workers.start(
            lambda: build_worker(
                self.client,
                group,
                queue=queue,
                sandboxed=os.environ.get(SANDBOX_VARIABLE) == "1",
                node_loop=self.loop,
            )
        )
        self.served.append(_Served(group, queue, polling))
        return queue

    def _free_queue(self, group: RuntimeGroup) -> str:
        """The group's own queue, where any other worker of that group may carry its runs on; a new
        one where that would give them to a worker of another group."""
        queue = task_queue(group.group_id)
        if _is_known_elsewhere(group) and all(other.queue != queue for other in self.served):
            return queue
        return f"{queue}-{uuid.uuid4()}"

    async def keep(self) -> None:
        """Wait for ``close()`` or the end of the loop, which cancels this; then end everything, in
        order."""
        try:
            await self.closing.wait()
        finally:
            if _sessions.get(self.loop) is self:
                del _sessions[self.loop]
            await self.workers.aclose()
            for served in self.served:
                await served.group.rest()
            await self.stack.aclose()


def _is_known_elsewhere(group: RuntimeGroup) -> bool:
    """Whether a worker of another process can be one of this group: it is named, or the default."""
    is_default = group is default_group() and not group.node_executor_registry.foreign_types()
    return group.group_id is not None or is_default


_sessions: dict[asyncio.AbstractEventLoop, Session] = {}
_starting: dict[asyncio.AbstractEventLoop, asyncio.Task[Session]] = {}


async def serve(
    group: RuntimeGroup, connect: Connect, configured: str | None
) -> tuple[Client, str]:
    """A client, and the task queue on which a worker in this process serves the group.

    ``configured`` is the address of the environment's server; without one the embedded is used.
    """
    session = await _session(connect, configured)
    return session.client, session.serve(group)


async def close() -> None:
    """End what ``serve`` has started in this event loop. Groups can be used again."""
    session = _sessions.get(asyncio.get_running_loop())
    if session is not None and session.keeper is not None:
        session.closing.set()
        await asyncio.wait((session.keeper,))


async def _session(connect: Connect, configured: str | None) -> Session:
    """The loop's session; opened once, however many ask at the same time."""
    loop = asyncio.get_running_loop()
    found = _sessions.get(loop)
    if found is not None and not found.closing.is_set():
        return found
    opening = _starting.get(loop)
    if opening is None:
        opening = _starting[loop] = asyncio.create_task(_open(connect, configured))
        opening.add_done_callback(lambda _: _starting.pop(loop))
    return await asyncio.shield(opening)


async def _open(connect: Connect, configured: str | None) -> Session:
    async with contextlib.AsyncExitStack() as stack:
        if configured is None:
            server = await stack.enter_async_context(start_server(default_data_dir(), ui=True))
            client = await connect(server.address)
        else:
            client = await connect(configured)
        session = Session(client, stack.pop_all())
    _settle_at_exit()
    session.keeper = asyncio.create_task(session.keep())
    _sessions[session.loop] = session
    return session


@cache
def _settle_at_exit() -> None:
    atexit.register(_settle)


def _settle() -> None:
    """Runs once, when the interpreter is about to end.

    The SDK's threads may abort an interpreter that ends right after its loop (sdk-python#300): drop
    what holds them, and give them time to end.
    """
    gc.collect()
    time.sleep(0.3)
