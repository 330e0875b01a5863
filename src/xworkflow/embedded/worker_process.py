"""A worker as a supervised child process of this one.

The child prints a line that ends with ``worker ready`` on its standard output when it polls. When
it ends without being asked it is started again; runs do not notice, they continue where they were.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

from xworkflow.embedded.tether import tethered
from xworkflow.errors import InfrastructureError

READY_LINE = b"worker ready"
READY_SECS = 30.0
STOP_SECS = 10.0  # longer than the worker's own graceful shutdown
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.1, 5.0
_LAST_LINES = 10


def worker_command(
    address: str,
    task_queue: str,
    *,
    stream_store: str | None = None,
    config: Path | None = None,
) -> list[str]:
    """The worker that polls one task queue of one server; ``stream_store`` is a database's URL.

    With a ``config`` it serves the groups of that file instead, each on its own queue.
    """
    command = [sys.executable, "-m", "xworkflow.worker", "--address", address]
    if config is None:
        command += ["--task-queue", task_queue]
    else:
        command += ["--config", str(config), "--local"]
    return command if stream_store is None else [*command, "--stream-store", stream_store]


Crashed = Callable[[int], None]
"""Told of the exit code with which a child has ended without being asked."""


class WorkerProcess:
    """Owns one child at a time. Made by ``start_worker``; ``restarts`` counts its crashes."""

    def __init__(self, command: Sequence[str], log: Path | None, crashed: Crashed | None) -> None:
        self.restarts = 0
        self._command = command
        self._log = log
        self._crashed = crashed
        self._child: Process | None = None
        self._ready = asyncio.Event()
        self._settled = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The process id of the present child; None between two of them."""
        return self._child.pid if self._child else None

    async def wait_ready(self) -> None:
        """Wait until the present child polls; after a crash, until the next one does."""
        await self._ready.wait()

    async def first_ready(self) -> bool:
        """Wait until the first child polls (True), or has ended before (False)."""
        await self._settled.wait()
        return self._ready.is_set()

    async def supervise(self) -> None:
        """Keep a child running until cancelled. The pause between crashes doubles, up to 5 s."""
        pause = _FIRST_PAUSE_SECS
        while True:
            code = await self._run_child()
            if self._crashed is not None and self._settled.is_set():
                self._crashed(code)
            pause = (
                _FIRST_PAUSE_SECS if self._ready.is_set() else min(2 * pause, _LONGEST_PAUSE_SECS)
            )
            self._ready.clear()
            self._settled.set()
            self.restarts += 1
            await asyncio.sleep(pause)

    async def _run_child(self) -> int:
        """Run one child to its end, and return its exit code; stop it when cancelled."""
        with ExitStack() as stack:
            log = stack.enter_context(self._log.open("ab")) if self._log else None
            child = await asyncio.create_subprocess_exec(
                *tethered(self._command),
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the parent, which decides what it means
            )
        self._child = child
        try:
            await self._watch(child.stdout)
            return await child.wait()
        finally:
            self._child = None
            await _stop(child)

    async def _watch(self, output: asyncio.StreamReader | None) -> None:
        while output and (line := await output.readline()):
            if line.strip().endswith(READY_LINE):
                self._ready.set()
                self._settled.set()

    def last_words(self) -> str:
        """The last lines that a child wrote to its log, which may be this process's own stderr."""
        if self._log is None:
            return "see above"
        lines = self._log.read_text(errors="replace").splitlines()
        return "\n".join(lines[-_LAST_LINES:]) or "it printed nothing"


@asynccontextmanager
async def start_worker(
    command: Sequence[str], *, log: Path | None, crashed: Crashed | None = None
) -> AsyncGenerator[WorkerProcess]:
    """Keep a worker (``worker_command``) running for the length of a block, ready from its start.

    Its standard error goes to ``log``, or is that of this process. Raises InfrastructureError when
    the first child does not get ready.
    """
    worker = WorkerProcess(command, log, crashed)
    supervision = asyncio.create_task(worker.supervise())
    try:
        await _first_ready(worker, supervision)
        yield worker
    finally:
        supervision.cancel()
        with suppress(asyncio.CancelledError):
            await supervision


async def _first_ready(worker: WorkerProcess, supervision: asyncio.Task[None]) -> None:
    ready = asyncio.create_task(worker.first_ready())
    # the supervision never ends by itself: when it does, its error is the one to show
    await asyncio.wait(
        {ready, supervision}, timeout=READY_SECS, return_when=asyncio.FIRST_COMPLETED
    )
    if supervision.done():
        supervision.result()
    if not ready.done() or not ready.result():
        ready.cancel()
        raise InfrastructureError(f"the worker does not start: {worker.last_words()}")


async def _stop(child: Process) -> None:
    if child.returncode is not None:
        return
    child.terminate()
    try:
        async with asyncio.timeout(STOP_SECS):
            await child.communicate()
    except TimeoutError:
        child.kill()
        await child.communicate()
