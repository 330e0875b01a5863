"""The sandbox pool: overhead of a warm call, calls per second, pooled against cold, and hostile
neighbours.

    python benchmarks/sandbox.py [--seconds 3] [--only warm,rate,cold,mix]

Figures depend on the machine and on what else runs there: quote the cores with them.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from xworkflow.errors import SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, ProcessBudget, PythonTier2

WASM = """(module
  (memory (export "memory") 1)
  (func (export "alloc") (param i32) (result i32) (i32.const 4096))
  (func (export "dealloc") (param i32 i32))
  (func (export "main") (param $at i32) (param $size i32) (result i32)
    (i32.store (i32.const 0) (local.get $at))
    (i32.store (i32.const 4) (local.get $size))
    (i32.const 0)))"""
SCRIPTS = {
    "javascript": "function main({value}) { return { value } }",
    "python": "def main(value):\n    return {'value': value}",
    "cpython": "import tempfile\ndef main(value):\n    return {'value': value}",
    "wasm": WASM,
}
HOSTILE = [
    ("javascript", "function main() { for (;;); }"),
    ("javascript", "function main() { return new Array(1e9).fill(0).length }"),
    ("javascript", "function main() { return /(a+)+$/.test('a'.repeat(60) + 'b') }"),
    (
        "javascript",
        "function main() { const l = []; for (;;) l.push(new Uint8Array(1e7).fill(1)) }",
    ),
    ("javascript", "async function main() { for (;;) await null }"),
    ("python", "def main(value):\n    while True: pass"),
    ("python", "def main(value):\n    x = []\n    while True: x.append('x' * 1000)"),
    ("python", "def main(value):\n    return [0] * 10 ** 9"),
    ("python", "def main(value):\n    return main(value)"),
    (
        "wasm",
        WASM.replace("(i32.store (i32.const 0)", "(loop $l (br $l)) (i32.store (i32.const 0)"),
    ),
]
LIMITS = SandboxLimits(timeout_secs=2)
LENDERS: dict[str, Callable[[DefaultSandboxPool], Any]] = {
    "javascript": DefaultSandboxPool.js_vm,
    "python": DefaultSandboxPool.python_vm,
    "cpython": DefaultSandboxPool.python_vm,
    "wasm": DefaultSandboxPool.wasm_vm,
}


@asynccontextmanager
async def pool_of(**parts: Any) -> AsyncGenerator[DefaultSandboxPool]:
    pool = DefaultSandboxPool(
        budget=ProcessBudget(100), python_tier2=PythonTier2(), idle_timeout_secs=600, **parts
    )
    try:
        yield pool
    finally:
        await pool.aclose()


async def call(pool: DefaultSandboxPool, language: str, code: str, value: int) -> float:
    """Lend, run, give back; the seconds that took. Raises when the result is wrong."""
    began = time.perf_counter()
    async with LENDERS[language](pool) as vm:
        result = await vm.execute(code, {"value": value}, LIMITS)
    if result.value != {"value": value}:
        raise AssertionError(f"{language} gave {result.value}")
    return time.perf_counter() - began


async def warm_call(language: str, seconds: float) -> None:
    """One call at a time, each with the pause that a process needs to make itself clean."""
    async with pool_of() as pool:
        times: list[float] = []
        end = time.perf_counter() + seconds
        await call(pool, language, SCRIPTS[language], 0)
        while time.perf_counter() < end:
            await asyncio.sleep(0.01)
            times.append(await call(pool, language, SCRIPTS[language], 1))
        median, p99 = statistics.median(times), statistics.quantiles(times, n=100)[98]
        print(
            f"warm call  {language:<11} median {median * 1000:6.2f} ms   p99 {p99 * 1000:6.2f} ms"
        )


async def rate(language: str, seconds: float, callers: int) -> None:
    """Calls per second, and the CPU time of a call in worker and child: less a matter of what else
    runs on the machine. No process wears out meanwhile."""
    async with pool_of(max_reuse=10**9) as pool:
        count = 0
        processes: set[int] = set()

        async def run_until(end: float) -> None:
            nonlocal count
            while time.perf_counter() < end:
                async with LENDERS[language](pool) as vm:
                    await vm.execute(SCRIPTS[language], {"value": count}, LIMITS)
                    processes.add(vm.process_id)
                count += 1

        used = 0.0
        for length in (1.0, seconds):  # the first round starts the processes
            count = 0
            used = cpu_secs(processes)
            end = time.perf_counter() + length
            await asyncio.gather(*(run_until(end) for _ in range(callers)))
        used = cpu_secs(processes) - used
        print(
            f"rate       {language:<11} {count / seconds:7.0f} calls/s, {callers} callers,"
            f" {used / count * 1000:.2f} ms of CPU a call"
        )


def cpu_secs(processes: set[int]) -> float:
    """CPU time so far of these processes and of this one (Linux)."""
    ticks = 0
    for process in processes:
        fields = (
            Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        )
        ticks += sum(map(int, fields[11:15]))  # with the forks that it waited for
    return ticks / os.sysconf("SC_CLK_TCK") + time.process_time()


async def cold(language: str) -> None:
    colds: list[float] = []
    warm: list[float] = []
    for _ in range(5):
        async with pool_of() as pool:
            colds.append(await call(pool, language, SCRIPTS[language], 1))
            for _ in range(20):
                await asyncio.sleep(0.01)
                warm.append(await call(pool, language, SCRIPTS[language], 1))
    ratio = statistics.median(colds) / statistics.median(warm)
    print(
        f"cold       {language:<11} {statistics.median(colds) * 1000:6.1f} ms,"
        f" pooled {statistics.median(warm) * 1000:5.2f} ms: {ratio:.0f} times"
    )


async def mix(*, hostile: bool) -> None:
    """200 code nodes at once, 10 of them hostile: the others all right, and how long they took."""
    async with pool_of() as pool:
        await pool.warm(javascript=8, python=8, wasm=4)
        languages = ("javascript", "python", "wasm")
        good = [(languages[n % 3], SCRIPTS[languages[n % 3]]) for n in range(190)]
        attacks = HOSTILE if hostile else []

        async def attack(language: str, code: str) -> str:
            try:
                await call(pool, language, code, 0)
            except SandboxError as error:
                return error.code
            return "no error"

        began = time.perf_counter()
        codes = [asyncio.create_task(attack(*each)) for each in attacks]
        times = await asyncio.gather(*(call(pool, *each, n) for n, each in enumerate(good)))
        ended = [await code for code in codes]
        took = time.perf_counter() - began
        p99 = statistics.quantiles(times, n=100)[98]
        print(
            f"mix        {len(times)} right, {len(ended)} hostile: median"
            f" {statistics.median(times) * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, all {took:.2f} s"
        )
        if ended:
            print(f"           {', '.join(ended)}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--callers", type=int, default=16)
    parser.add_argument("--only", default="warm,rate,cold,mix")
    parser.add_argument("--languages", default=",".join(SCRIPTS))
    options = parser.parse_args()
    languages = options.languages.split(",")
    print(f"{os.cpu_count()} cores")
    for part in options.only.split(","):
        match part:
            case "warm":
                for language in languages:
                    await warm_call(language, options.seconds)
            case "rate":
                for language in languages:
                    await rate(language, options.seconds, options.callers)
            case "cold":
                for language in languages:
                    await cold(language)
            case "mix":
                await mix(hostile=False)
                await mix(hostile=True)
            case _:
                parser.error(f"no part '{part}'")


if __name__ == "__main__":
    asyncio.run(main())
