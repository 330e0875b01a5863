"""A bounded set of warm processes of one engine, lent in the order of asking.

A slot is in one of four states: its process starts, is lent, resets itself after a use, or is idle.
Every way out of a state ends in ``_offer`` (a clean process) or ``_free`` (an empty slot), and both
serve the longest waiting caller first; nothing else wakes one.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Coroutine
from typing import Any, Literal

from xworkflow.errors import MisuseError
from xworkflow.runtime_group.sandbox.process import Engine, SandboxProcess
from xworkflow.runtime_group.sandbox.stats import LanguageStats

_Waiter = asyncio.Future[SandboxProcess | None]
"""Resolves to a clean process, or to None: a free slot, in which the waiter starts one itself."""


class ProcessSlots:
    """At most ``size`` processes of one engine, used from one event loop; owns all of them."""

    def __init__(
        self, engine: Engine, *, size: int, max_reuse: int, idle_timeout_secs: float
    ) -> None:
        self._engine: Engine = engine
        self._size = size
        self._max_reuse = max_reuse
        self._idle_timeout_secs = idle_timeout_secs
        self._idle: list[SandboxProcess] = []
        self._lent: set[SandboxProcess] = set()
        self._resetting: set[SandboxProcess] = set()
        self._used = 0
        self._waiters: deque[_Waiter] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._counts: Counter[str] = Counter()
        self._closed = False

    def stats(self) -> LanguageStats:
        return LanguageStats(idle=len(self._idle), **self._counts)

    async def acquire(self) -> SandboxProcess:
        """Lend a clean process, waiting for a free slot without limit.

        A process that is just resetting itself is worth waiting for: that takes milliseconds, and a
        new one a tenth of a second. Raises SandboxError when the engine does not start.
        """
        self._refuse_when_closed()
        if process := self._pop_idle():
            return self._lend(process)
        if self._used < self._size and len(self._resetting) <= len(self._waiters):
            self._used += 1
            return await self._start()
        return await self._wait()

    def release(self, process: SandboxProcess) -> None:
        """Take a process back; it is clean again, or replaced, before anyone else gets it."""
        if self._closed or process not in self._lent:
            return  # lent by the slots before these, which ended it
        self._lent.discard(process)
        if process.broken:
            self._discard(process, "killed")
        elif process.uses >= self._max_reuse:
            self._discard(process, "evicted")
        else:
            self._resetting.add(process)
            self._spawn(self._reset(process))

    async def aclose(self) -> None:
        """End all processes, lent ones too, and fail all waiters. Idempotent."""
        self._closed = True
        if self._sweep:
            self._sweep.cancel()
        while self._waiters:
            self._waiters.popleft().cancel()
        processes = [*self._idle, *self._lent, *self._resetting]
        self._idle.clear()
        await asyncio.gather(*(process.aclose() for process in processes))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self) -> None:
        """End all processes after their event loop was closed."""
        for processes in (self._idle, self._lent, self._resetting):
            for process in processes:
                process.abandon()
            processes.clear()
        self._waiters.clear()
        self._tasks.clear()

    def _lend(self, process: SandboxProcess) -> SandboxProcess:
        self._lent.add(process)
        if process.uses:
            self._counts["reused"] += 1
        return process

    def _pop_idle(self) -> SandboxProcess | None:
        """The idle process used last; those that died meanwhile give their slots back."""
        while self._idle:
            process = self._idle.pop()
            if process.is_sound():
                return process
            self._discard(process, "killed")
        return None

    async def _start(self) -> SandboxProcess:
        """Start a process in a slot that the caller holds; gives the slot back on failure."""
        try:
            process = SandboxProcess(self._engine)
        except BaseException:
            self._free()
            raise
        self._lent.add(process)
        try:
            await process.wait_started()
        except BaseException:
            self._lent.discard(process)
            self._discard(process, "killed")
            raise
        self._counts["created"] += 1
        return process

    async def _wait(self) -> SandboxProcess:
        waiter: _Waiter = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            process = await waiter
        except asyncio.CancelledError:
            self._refuse_when_closed()
            self._give_up(waiter)
            raise
        return await self._start() if process is None else self._lend(process)

    def _give_up(self, waiter: _Waiter) -> None:
        """A cancelled caller may have been served in the same moment: pass that on."""
        if waiter.cancelled():
            self._waiters.remove(waiter)
        elif process := waiter.result():
            self._offer(process)
        else:
            self._free()

    async def _reset(self, process: SandboxProcess) -> None:
        clean = await process.wait_reset()
        self._resetting.discard(process)
        if self._closed:
            return
        if clean:
            self._offer(process)
        else:
            self._discard(process, "killed")

    def _offer(self, process: SandboxProcess) -> None:
        if not self._serve_waiter(process):
            process.idle_since = asyncio.get_running_loop().time()
            self._idle.append(process)
            self._schedule_sweep()

    def _free(self) -> None:
        if not self._serve_waiter(None):
            self._used -= 1

    def _serve_waiter(self, given: SandboxProcess | None) -> bool:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(given)
                return True
        return False

    def _discard(self, process: SandboxProcess, why: Literal["killed", "evicted"]) -> None:
        self._counts[why] += 1
        self._spawn(process.aclose())
        self._free()

    def _schedule_sweep(self) -> None:
        if self._sweep is None and self._idle:
            loop = asyncio.get_running_loop()
            oldest = min(process.idle_since for process in self._idle)
            self._sweep = loop.call_at(oldest + self._idle_timeout_secs, self._evict_idle)

    def _evict_idle(self) -> None:
        self._sweep = None
        latest = asyncio.get_running_loop().time() - self._idle_timeout_secs
        for process in [each for each in self._idle if each.idle_since <= latest]:
            self._idle.remove(process)
            self._discard(process, "evicted")
        self._schedule_sweep()

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refuse_when_closed(self) -> None:
        if self._closed:
            raise MisuseError("the sandbox pool is closed; make a new one")
