"""Memory of the sandboxes (spec/runtime.md 8.3): no growth from run to run, and little for one."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from tests.runtime_group.sandbox.test_pool import is_running
from tests.runtime_group.sandbox.test_wasm import ECHO, module
from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import JsRuntime, SandboxLimits, WasmRuntime
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")

LIMITS = SandboxLimits(timeout_secs=20)
WARM_UPS, RUNS = 5, 25
MIB = 1 << 20
BYTES_LEFT_OF_A_RUN = 2048
SCRIPTS = {
    "javascript": """function main({ text, n }) {
      globalThis.kept = Array.from({ length: 1000 }, (_, i) => ({ i, text: text + i }));
      return { n, length: kept.length }
    }""",
    "wasm": module(f"(drop (memory.grow (i32.const 16))) {ECHO}"),
}


@pytest.fixture
async def one() -> AsyncIterator[DefaultSandboxPool]:
    """One process for each language."""
    pool = DefaultSandboxPool(max_js_vms=1, max_wasm_vms=1)
    yield pool
    await pool.aclose()


def vm_of(
    pool: DefaultSandboxPool, language: str
) -> AbstractAsyncContextManager[JsRuntime | WasmRuntime]:
    return pool.js_vm() if language == "javascript" else pool.wasm_vm()


async def run(pool: DefaultSandboxPool, language: str, n: int) -> int:
    """One run; gives the process that carried it."""
    inputs: Mapping[str, JsonValue] = {"text": "x" * 1000, "n": n}
    async with vm_of(pool, language) as vm:
        await vm.execute(SCRIPTS[language], inputs, LIMITS)
        return vm.process_id


async def settled(pool: DefaultSandboxPool) -> None:
    """Wait until every process has made itself clean."""
    async with asyncio.timeout(20):
        while sum((s.created - s.idle) for s in (pool.stats().javascript, pool.stats().wasm)):
            await asyncio.sleep(0.005)


def own_bytes(process_id: int) -> int:
    """Resident memory of a process that no file backs."""
    _, resident, shared, *_ = Path(f"/proc/{process_id}/statm").read_text().split()
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")


def peak_bytes(process_id: int) -> int:
    """The most resident memory that a process ever had."""
    lines = Path(f"/proc/{process_id}/status").read_text().splitlines()
    (peak,) = (line.split()[1] for line in lines if line.startswith("VmHWM:"))
    return int(peak) * 1024


@pytest.mark.parametrize("language", SCRIPTS)
async def test_25_runs_after_5_warm_ups_do_not_double_the_memory(
    one: DefaultSandboxPool, language: str
) -> None:
    tracemalloc.start()
    try:
        processes = {await run(one, language, n) for n in range(WARM_UPS)}
        await settled(one)
        (process,) = processes
        gc.collect()
        before, parent_before = own_bytes(process), tracemalloc.get_traced_memory()[0]
        for n in range(RUNS):
            processes.add(await run(one, language, n))
        await settled(one)
        gc.collect()
        after, parent_after = own_bytes(process), tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert processes == {process}
    assert after < 2 * before
    assert parent_after - parent_before < RUNS * BYTES_LEFT_OF_A_RUN


@pytest.mark.parametrize("language", SCRIPTS)
async def test_one_run_takes_at_most_50_megabytes(one: DefaultSandboxPool, language: str) -> None:
    async with vm_of(one, language) as vm:
        before = peak_bytes(vm.process_id)
        await vm.execute(SCRIPTS[language], {"text": "x" * 1000, "n": 1}, LIMITS)
        assert peak_bytes(vm.process_id) - before <= 50 * MIB


async def test_a_process_that_keeps_the_memory_of_a_script_is_replaced(
    one: DefaultSandboxPool,
) -> None:
    """V8 keeps the pages of a large heap, also when the heap is gone."""
    large = "function main() { return Array.from({ length: 4e6 }, (_, i) => [i]).length }"
    limits = SandboxLimits(timeout_secs=20, max_memory_bytes=400 * MIB)
    async with one.js_vm() as vm:
        assert (await vm.execute(large, {}, limits)).value == 4e6
        first = vm.process_id
    second = await run(one, "javascript", 1)
    assert second != first
    assert own_bytes(second) < 100 * MIB
    assert one.stats().javascript.evicted == 1


async def test_hundreds_of_isolates_leave_nothing_in_their_process(one: DefaultSandboxPool) -> None:
    """The first isolate of a process is kept, so what all share must not grow with the others."""
    async with one.js_vm() as vm:
        for _ in range(100):
            await vm.execute("const main = () => 1", {}, LIMITS)
        before = own_bytes(vm.process_id)
        for _ in range(300):
            await vm.execute("const main = () => 1", {}, LIMITS)
        assert own_bytes(vm.process_id) - before < 4 * MIB


@pytest.mark.parametrize(
    "code",
    [
        "function main({ text }) { text.on_chunk(() => new Promise(() => 0)) }",
        "function main({ text }) { text.on_chunk(() => { for (;;); }) }",
    ],
)
async def test_a_stream_in_progress_ends_within_two_seconds_of_shutdown(code: str) -> None:
    pool = DefaultSandboxPool(max_js_vms=1)
    await pool.warm(javascript=1)
    vm = await pool.acquire_js_vm()
    call = asyncio.create_task(
        vm.execute(code, {"text": "ab"}, LIMITS, streams={"text": ["a", "b"]})
    )
    await asyncio.sleep(0)
    began = time.monotonic()
    await pool.aclose()
    assert time.monotonic() - began < 2
    assert not is_running(vm.process_id)
    with pytest.raises(SandboxError):
        await call
