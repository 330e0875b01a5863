"""The pool of sandbox processes that all runs of a group share."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final
from weakref import WeakValueDictionary

from xworkflow.errors import MisuseError
from xworkflow.ports import (
    JsRuntime,
    PythonRuntime,
    SandboxLimits,
    TemplateRuntime,
    WasmRuntime,
)
from xworkflow.runtime_group.sandbox.budget import ProcessBudget, Share, process_budget
from xworkflow.runtime_group.sandbox.process import Engine, SandboxProcess
from xworkflow.runtime_group.sandbox.slots import ProcessSlots
from xworkflow.runtime_group.sandbox.stats import SandboxStats
from xworkflow.runtime_group.sandbox.vms import (
    CachedWasmVm,
    CodeVm,
    LentVm,
    TemplateVm,
    TieredPythonVm,
    WasmCompilerVm,
    WasmVm,
)
from xworkflow.runtime_group.sandbox.wasm_cache import WasmCache

_REMEMBERED_SCRIPTS: Final = 1000


@dataclass(frozen=True, slots=True)
class PythonTier2:
    """Leave to run Python scripts in CPython, in a locked-down process, when monty cannot.

    Linux with seccomp and Landlock only: elsewhere such a script fails. ``packages`` is a directory
    of packages (``pip install --target``) that scripts may import; they can read all of it.
    """

    packages: Path | None = None


class DefaultSandboxPool:
    """Lends VMs in child processes: started at need, kept warm, replaced when a script broke one.

    Nothing is started by the constructor. A pool serves the event loop that uses it first; when
    that one is closed, the next one to use it starts afresh. ``aclose`` ends every process; so does
    the death of the worker. ``max_*_vms`` bound the processes of each language, ``max_reuse`` the
    scripts that one of them runs, and ``idle_timeout_secs`` how long it waits for the next. All
    pools of a worker process share one ``budget`` of processes fairly. ``python_tier2`` lets
    CPython run what monty cannot. ``wasm_cache`` is a directory that keeps compiled WebAssembly
    modules for all workers of this user; made at need, and refused (MisuseError) when others can
    enter it.
    """

    def __init__(  # noqa: PLR0913 - bounds and ages, all with defaults
        self,
        max_js_vms: int = 8,
        max_wasm_vms: int = 4,
        max_python_vms: int = 8,
        max_template_vms: int = 4,
        *,
        max_reuse: int = 1000,
        idle_timeout_secs: float = 60.0,
        budget: ProcessBudget | None = None,
        python_tier2: PythonTier2 | None = None,
        wasm_cache: Path | None = None,
    ) -> None:
        self.max_js_vms = max_js_vms
        self.max_wasm_vms = max_wasm_vms
        self.max_python_vms = max_python_vms
        self.max_template_vms = max_template_vms
        self._max_reuse = max_reuse
        self._idle_timeout_secs = idle_timeout_secs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._budget = budget or process_budget()
        self._share = Share(self._count_idle, self._give_up_idle, self._abandon)
        self.python_tier2 = python_tier2
        self._compiling: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._needs_tier2: OrderedDict[bytes, None] = OrderedDict()
        self._compiled = None if wasm_cache is None else WasmCache(wasm_cache)
        self._slots = self._new_slots()

    def stats(self) -> SandboxStats:
        """Counters since the pool began to serve its event loop."""
        return SandboxStats(**{engine: slots.stats() for engine, slots in self._slots.items()})

    async def warm(
        self,
        *,
        javascript: int = 0,
        python: int = 0,
        cpython: int = 0,
        wasm: int = 0,
        template: int = 0,
    ) -> None:
        """Start processes beforehand, so that the first scripts do not wait for one.

        No more than the bounds allow. Raises SandboxError when an engine does not start.
        """
        wanted: dict[Engine, int] = {
            "javascript": javascript,
            "python": python,
            "cpython": cpython,
            "wasm": wasm,
            "template": template,
        }
        await asyncio.gather(
            *(self._bound_slots(engine).warm(number) for engine, number in wanted.items())
        )

    async def acquire_js_vm(self) -> JsRuntime:
        return CodeVm(await self._bound_slots("javascript").acquire())

    async def release_js_vm(self, vm: JsRuntime) -> None:
        self._take_back(vm)

    async def acquire_python_vm(self) -> PythonRuntime:
        process = await self._bound_slots("python").acquire()
        return TieredPythonVm(process, self) if self.python_tier2 else CodeVm(process)

    async def release_python_vm(self, vm: PythonRuntime) -> None:
        self._take_back(vm)

    async def acquire_wasm_vm(self) -> WasmRuntime:
        process = await self._bound_slots("wasm").acquire()
        return WasmVm(process) if self._compiled is None else CachedWasmVm(process, self)

    async def release_wasm_vm(self, vm: WasmRuntime) -> None:
        self._take_back(vm)

    async def acquire_template_vm(self) -> TemplateRuntime:
        return TemplateVm(await self._bound_slots("template").acquire())

    async def release_template_vm(self, vm: TemplateRuntime) -> None:
        self._take_back(vm)

    @asynccontextmanager
    async def js_vm(self) -> AsyncGenerator[JsRuntime]:
        vm = await self.acquire_js_vm()
        try:
            yield vm
        finally:
            await self.release_js_vm(vm)

    @asynccontextmanager
    async def python_vm(self) -> AsyncGenerator[PythonRuntime]:
        vm = await self.acquire_python_vm()
        try:
            yield vm
        finally:
            await self.release_python_vm(vm)

    @asynccontextmanager
    async def wasm_vm(self) -> AsyncGenerator[WasmRuntime]:
        vm = await self.acquire_wasm_vm()
        try:
            yield vm
        finally:
            await self.release_wasm_vm(vm)

    @asynccontextmanager
    async def template_vm(self) -> AsyncGenerator[TemplateRuntime]:
        vm = await self.acquire_template_vm()
        try:
            yield vm
        finally:
            await self.release_template_vm(vm)

    def is_known(self, code: str) -> bool:
        """Whether a script is known to need Python's second tier."""
        return sha256(code.encode("utf-8", "replace")).digest() in self._needs_tier2

    def remember(self, code: str) -> None:
        """Note that a script ran in Python's second tier after it had failed in the first."""
        self._needs_tier2[sha256(code.encode("utf-8", "replace")).digest()] = None
        if len(self._needs_tier2) > _REMEMBERED_SCRIPTS:
            self._needs_tier2.popitem(last=False)

    async def compiled(self, code: str, limits: SandboxLimits) -> bytes:
        """A compiled WebAssembly module: from disk, else made by a process of its own.

        Raises SandboxError.
        """
        kept = self._compiled
        if kept is None:
            raise MisuseError("this pool keeps no compiled modules")
        async with self._compiling.setdefault(code, asyncio.Lock()):
            found = await asyncio.to_thread(kept.load, code)
            if found is None:
                slots = self._bound_slots("wasm_compiler")
                process = await slots.acquire()
                try:
                    found = await WasmCompilerVm(process).compile(code, limits)
                finally:
                    slots.release(process)
                await asyncio.to_thread(kept.store, code, found)
            return found

    async def exchange(self, process: SandboxProcess) -> SandboxProcess:
        """Take a process back, then lend one of Python's second tier.

        In this order: a borrower that held one place while it waits for another could wait for
        ever.
        """
        self._slots[process.engine].release(process)
        return await self._bound_slots("cpython").acquire()

    async def rest(self) -> None:
        """End all processes and wait until they are gone; the next use starts new ones."""
        resting, self._slots = self._slots, self._new_slots()
        if self._loop is not None and self._loop.is_closed():
            for slots in resting.values():
                slots.abandon()
        self._loop = None
        await asyncio.gather(*(slots.aclose() for slots in resting.values()), self._leave())

    async def aclose(self) -> None:
        """End all processes and wait until they are gone; the pool cannot be used again."""
        if self._loop is not None and self._loop.is_closed():
            self._abandon()
        await asyncio.gather(*(slots.aclose() for slots in self._slots.values()), self._leave())

    def _new_slots(self) -> dict[Engine, ProcessSlots]:
        sizes: dict[Engine, int] = {
            "javascript": self.max_js_vms,
            "python": self.max_python_vms,
            "cpython": self.max_python_vms if self.python_tier2 else 0,
            "wasm": self.max_wasm_vms,
            "wasm_compiler": self.max_wasm_vms if self._compiled else 0,
            "template": self.max_template_vms,
        }
        return {
            engine: ProcessSlots(
                engine,
                size=size,
                max_reuse=1 if engine == "wasm_compiler" else self._max_reuse,
                idle_timeout_secs=self._idle_timeout_secs,
                budget=self._budget,
                share=self._share,
                arguments=self._arguments_of(engine),
            )
            for engine, size in sizes.items()
        }

    async def _leave(self) -> None:
        """Wake who waits for a place; a coroutine, to come after the slots know that they close."""
        self._budget.leave(self._share)

    def _arguments_of(self, engine: Engine) -> tuple[str, ...]:
        tier2 = self.python_tier2
        packages = tier2.packages if tier2 and engine == "cpython" else None
        return (str(packages.resolve()),) if packages else ()

    def _count_idle(self) -> int:
        return sum(slots.count_idle() for slots in self._slots.values())

    def _give_up_idle(self) -> None:
        max(self._slots.values(), key=ProcessSlots.count_idle).give_up_idle()

    def _bound_slots(self, engine: Engine) -> ProcessSlots:
        """The slots, bound to the running event loop. Raises MisuseError for a second live loop."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._move_to(loop)
        return self._slots[engine]

    def _move_to(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._loop is not None:
            if not self._loop.is_closed():
                raise MisuseError("a sandbox pool serves one event loop; make a pool for each")
            self._abandon()
            self._slots = self._new_slots()
        self._loop = loop

    def _abandon(self) -> None:
        for slots in self._slots.values():
            slots.abandon()

    def _take_back(self, vm: JsRuntime | PythonRuntime | WasmRuntime | TemplateRuntime) -> None:
        if not isinstance(vm, LentVm):
            raise MisuseError("this VM does not come from this pool")
        if process := vm.hand_back():
            self._slots[process.engine].release(process)
