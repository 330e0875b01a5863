"""A bounded set of warm processes of one engine, lent in the order of asking.

A slot is in one of four states: its process starts, is lent, resets itself after a use, or is idle.
Every way out of a state ends in ``_offer`` (a clean process) or ``_free`` (an empty slot), and both
serve the longest waiting caller first; nothing else wakes one.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, deque
from collections.abc import Coroutine, Sequence
from typing import Any, Literal

from xworkflow.errors import MisuseError
from xworkflow.runtime_group.sandbox import metrics
from xworkflow.runtime_group.sandbox.budget import ProcessBudget, Share
from xworkflow.runtime_group.sandbox.metrics import EndReason
from xworkflow.runtime_group.sandbox.process import Engine, SandboxProcess
from xworkflow.runtime_group.sandbox.stats import LanguageStats

_Waiter = asyncio.Future[SandboxProcess | None]
"""Resolves to a clean process, or to None: a free slot, in which the waiter starts one itself."""


class ProcessSlots:
    """At most ``size`` processes of one engine, used from one event loop; owns all of them."""

    def __init__(  # noqa: PLR0913 - what a pool is made of
        self,
        engine: Engine,
        *,
        size: int,
        max_reuse: int,
        idle_timeout_secs: float,
        budget: ProcessBudget,
        share: Share,
        arguments: Sequence[str] = (),
    ) -> None:
        self._engine: Engine = engine
        self._size = size
        self._max_reuse = max_reuse
        self._idle_timeout_secs = idle_timeout_secs
        self._budget = budget
        self._share = share
        self._arguments = arguments
        self._placed: set[SandboxProcess] = set()
        self._idle: list[SandboxProcess] = []
        self._lent: set[SandboxProcess] = set()
        self._resetting: set[SandboxProcess] = set()
        self._used = 0
        self._waiters: deque[_Waiter] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._sweep: asyncio.TimerHandle | None = None
        self._counts: Counter[str] = Counter()
        self._waited_secs = 0.0
        self._ran_secs = 0.0
        self._lockdown: tuple[str, ...] = ()
        self._closed = False

    def stats(self) -> LanguageStats:
        return LanguageStats(
            idle=len(self._idle),
            **self._counts,
            waited_secs=self._waited_secs,
            ran_secs=self._ran_secs,
            lockdown=self._lockdown,
        )

    def count_idle(self) -> int:
        return len(self._idle)

    def give_up_idle(self) -> None:
        """End the process that has been idle for longest; another pool needs its place."""
        if self._idle and not self._closed:
            self._discard(self._idle.pop(0), "evicted")

    async def acquire(self) -> SandboxProcess:
        """Lend a clean process, waiting for a free slot without limit.

        A process that is just resetting itself is worth waiting for: that takes milliseconds, and a
        new one a tenth of a second. Raises SandboxError when the engine does not start.
        """
        self._refuse_when_closed()
        asked = time.monotonic()
        process = await self._acquire()
        waited = time.monotonic() - asked
        self._waited_secs += waited
        metrics.lent(self._engine, waited, is_new=process.uses == 0)
        return process

    async def warm(self, processes: int) -> None:
        """Have this many processes ready, within the bounds of these slots."""
        self._refuse_when_closed()
        missing = min(processes, self._size) - len(self._placed)
        for process in await asyncio.gather(*(self._acquire_new() for _ in range(missing))):
            self._lent.discard(process)
            self._offer(process)

    async def _acquire_new(self) -> SandboxProcess:
        self._used += 1
        return await self._start()

    async def _acquire(self) -> SandboxProcess:
        if process := self._pop_idle():
            return self._lend(process)
        if self._used < self._size and len(self._resetting) <= len(self._waiters):
            return await self._acquire_new()
        return await self._wait()

    def release(self, process: SandboxProcess) -> None:
        """Take a process back; it is clean again, or replaced, before anyone else gets it."""
        if self._closed or process not in self._lent:
            return  # lent by the slots before these, which ended it
        self._lent.discard(process)
        self._ran_secs += process.take_ran_secs()
        if process.broken:
            self._discard(process, "killed")
        elif process.uses >= self._max_reuse or self._budget.is_over_its_share(self._share):
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
        await asyncio.gather(*(self._end(process, "closed") for process in processes))
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def abandon(self) -> None:
        """End all processes after their event loop was closed."""
        for processes in (self._idle, self._lent, self._resetting):
            for process in processes:
                process.abandon()
                self._give_place(process, "closed")
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
        process = await self._new_process()
        self._lent.add(process)
        try:
            await process.wait_started()
        except BaseException:
            self._lent.discard(process)
            self._discard(process, "killed")
            raise
        self._counts["created"] += 1
        self._lockdown = process.lockdown
        return process

    async def _new_process(self) -> SandboxProcess:
        """Raises SandboxError, and MisuseError when the pool was closed meanwhile."""
        try:
            await self._budget.take(self._share)
        except BaseException:
            self._refuse_when_closed()
            self._free()
            raise
        try:
            self._refuse_when_closed()
            process = SandboxProcess(self._engine, self._arguments)
        except BaseException:
            self._budget.give(self._share)
            self._free()
            raise
        self._placed.add(process)
        metrics.started(self._engine)
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
        if not clean:
            self._discard(process, "killed")
        elif process.grown:
            self._discard(process, "evicted")
        else:
            self._offer(process)

    def _offer(self, process: SandboxProcess) -> None:
        if self._serve_waiter(process):
            return
        if self._budget.is_asked_for():
            self._discard(process, "evicted")
        else:
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
        self._spawn(self._end(process, why))
        self._free()

    async def _end(self, process: SandboxProcess, why: EndReason) -> None:
        await process.aclose()
        self._give_place(process, why)

    def _give_place(self, process: SandboxProcess, why: EndReason) -> None:
        """Hand the place in the budget back, once for each process."""
        if process in self._placed:
            self._placed.discard(process)
            self._budget.give(self._share)
            metrics.ended(self._engine, why)

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
