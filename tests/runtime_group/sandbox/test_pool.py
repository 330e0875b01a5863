"""The pool: reuse, bounds, order, replacement, and that no process outlives its owner."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.runtime_group.sandbox.test_wasm import ECHO, module
from xworkflow.errors import MisuseError, SandboxError
from xworkflow.ports import CodeResult, SandboxLimits, SandboxPool
from xworkflow.runtime_group.sandbox import (
    DefaultSandboxPool,
    LanguageStats,
    ProcessBudget,
    SandboxStats,
)

Run = Callable[..., Awaitable[CodeResult]]

LINUX = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
ONE = "const main = () => 1"
SPIN = "for (;;);"
SHORT = SandboxLimits(timeout_secs=0.3)
LIMITS = SandboxLimits(timeout_secs=20)


def is_running(process_id: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        state = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def descendants(process_id: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(entry.parent.name)] = int(entry.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):
            continue
    found = {process_id}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {process_id}


async def until(condition: Callable[[], bool]) -> None:
    """Let the event loop run until something is true; the test's time limit is the deadline."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_nothing_is_started_before_the_first_use(pool: DefaultSandboxPool) -> None:
    assert isinstance(pool, SandboxPool)
    assert pool.stats() == SandboxStats()


async def test_a_process_is_reused(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm() as first:
        await first.execute(ONE, {}, LIMITS)
    async with pool.js_vm() as second:
        await second.execute(ONE, {}, LIMITS)
        await second.execute(ONE, {}, LIMITS)
    assert first.process_id == second.process_id != os.getpid()
    await until(lambda: pool.stats().javascript.idle == 1)
    stats = pool.stats().javascript
    counts = (stats.idle, stats.created, stats.reused, stats.evicted, stats.killed)
    assert counts == (1, 1, 1, 0, 0)
    assert stats.waited_secs > 0
    assert stats.ran_secs > 0
    assert pool.stats().python == LanguageStats()


async def test_two_borrowers_never_share_a_process(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm() as first, pool.js_vm() as second:
        assert first.process_id != second.process_id


async def test_no_more_processes_than_allowed_and_waiters_are_served_in_order(
    pool: DefaultSandboxPool,
) -> None:
    first, second = await pool.acquire_js_vm(), await pool.acquire_js_vm()
    served: list[int] = []

    async def borrow(number: int) -> None:
        async with pool.js_vm() as vm:
            served.append(number)
            await vm.execute(ONE, {}, LIMITS)

    tasks = [asyncio.create_task(borrow(number)) for number in range(4)]
    await asyncio.sleep(0)
    assert not served
    await pool.release_js_vm(first)
    await asyncio.gather(*tasks)
    await pool.release_js_vm(second)
    assert served == [0, 1, 2, 3]
    assert pool.stats().javascript.created == 2


async def test_a_waiter_that_gives_up_does_not_take_its_turn_along(
    pool: DefaultSandboxPool,
) -> None:
    held = [await pool.acquire_js_vm(), await pool.acquire_js_vm()]
    waiters = [asyncio.create_task(pool.acquire_js_vm()) for _ in range(3)]
    await asyncio.sleep(0)
    waiters[0].cancel()
    for vm in held:
        await pool.release_js_vm(vm)
    for waiter in waiters[1:]:
        await pool.release_js_vm(await waiter)
    async with pool.js_vm() as one, pool.js_vm() as two:
        assert one.process_id != two.process_id


async def test_a_broken_process_is_replaced_and_only_its_call_fails(
    pool: DefaultSandboxPool,
) -> None:
    async with pool.js_vm() as bad, pool.js_vm() as good:
        outcomes = await asyncio.gather(
            bad.execute(SPIN, {}, SHORT),
            good.execute("const main = () => new Promise(r => setTimeout(r, 600, 7))", {}, LIMITS),
            return_exceptions=True,
        )
    assert isinstance(outcomes[0], SandboxError)
    assert not isinstance(outcomes[1], BaseException)
    assert outcomes[1].value == 7
    async with pool.js_vm() as one, pool.js_vm() as two:
        assert bad.process_id not in {one.process_id, two.process_id}
        assert (await one.execute(ONE, {}, LIMITS)).value == 1
    assert pool.stats().javascript.killed == 1


async def test_a_process_killed_from_outside_is_replaced(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm() as lent:
        os.kill(lent.process_id, signal.SIGKILL)
        with pytest.raises(SandboxError, match=r"^Memory limit exceeded$"):
            await lent.execute(ONE, {}, LIMITS)
    async with pool.js_vm() as second:
        await second.execute(ONE, {}, LIMITS)
    await until(lambda: pool.stats().javascript.idle == 1)
    os.kill(second.process_id, signal.SIGKILL)
    await asyncio.to_thread(os.waitid, os.P_PID, second.process_id, os.WEXITED | os.WNOWAIT)
    async with pool.js_vm() as third:
        assert third.process_id != second.process_id
        assert (await third.execute(ONE, {}, LIMITS)).value == 1


async def test_a_cancelled_call_ends_its_process(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm() as vm:
        call = asyncio.create_task(vm.execute(SPIN, {}, LIMITS))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call, 0.1)
    assert pool.stats().javascript.killed == 1
    async with pool.js_vm() as other:
        assert other.process_id != vm.process_id


async def test_the_event_loop_keeps_turning_while_scripts_spin(
    run_js: Run, run_python: Run
) -> None:
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.01)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await run_js(ONE)
    await run_python("def main():\n    pass")
    before = ticks
    await asyncio.gather(
        run_js(SPIN, limits=SHORT),
        run_python("while True: pass", limits=SHORT),
        return_exceptions=True,
    )
    ticker.cancel()
    assert ticks - before >= 10  # of 30 on an idle machine


async def test_a_worn_process_is_evicted() -> None:
    pool = DefaultSandboxPool(max_js_vms=1, max_reuse=2)
    ids: list[int] = []
    for _ in range(3):
        async with pool.js_vm() as vm:
            await vm.execute(ONE, {}, LIMITS)
            ids.append(vm.process_id)
    await pool.aclose()
    assert ids[0] == ids[1] != ids[2]
    assert pool.stats().javascript.evicted == 1


@LINUX
async def test_an_idle_process_is_evicted_in_the_end() -> None:
    pool = DefaultSandboxPool(idle_timeout_secs=0.01)
    async with pool.js_vm() as vm:
        pass
    await until(lambda: pool.stats().javascript.evicted == 1)
    await until(lambda: not is_running(vm.process_id))
    assert pool.stats().javascript.idle == 0
    await pool.aclose()


@LINUX
async def test_aclose_leaves_no_process_behind(pool: DefaultSandboxPool) -> None:
    before = descendants(os.getpid())
    async with pool.js_vm() as vm, pool.python_vm() as python_vm, pool.template_vm():
        await vm.execute(ONE, {}, LIMITS)
        await python_vm.execute("def main():\n    pass", {}, LIMITS)
    lent = await pool.acquire_js_vm()
    call = asyncio.create_task(lent.execute(SPIN, {}, LIMITS))
    waiting = [asyncio.create_task(pool.acquire_python_vm()) for _ in range(3)]
    await until(waiting[1].done)
    started = descendants(os.getpid()) - before
    assert len(started) >= 5
    await pool.aclose()
    await pool.aclose()
    await until(lambda: not any(map(is_running, started)))
    with pytest.raises(SandboxError, match=r"^Sandbox unavailable: the pool was closed$"):
        await call
    with pytest.raises(MisuseError, match="closed"):
        await waiting[2]
    with pytest.raises(MisuseError, match="closed"):
        await pool.acquire_js_vm()


@LINUX
async def test_processes_die_with_their_worker() -> None:
    worker = """
import asyncio
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

async def main():
    pool = DefaultSandboxPool()
    async with pool.js_vm() as vm, pool.python_vm() as idle:
        print(vm.process_id, idle.process_id, flush=True)
        await vm.execute("for (;;);", {}, SandboxLimits(timeout_secs=600))

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", worker, stdout=subprocess.PIPE
    )
    assert process.stdout
    ids = [int(word) for word in (await process.stdout.readline()).split()]
    family = descendants(process.pid)
    assert set(ids) < family
    process.kill()
    await process.wait()
    await until(lambda: not any(map(is_running, family)))


def test_a_pool_serves_a_new_event_loop_after_its_first_one_is_closed() -> None:
    pool = DefaultSandboxPool(max_js_vms=1)

    async def use() -> int:
        async with pool.js_vm() as vm:
            await vm.execute(ONE, {}, LIMITS)
            return vm.process_id

    async def use_and_close() -> int:
        process_id = await use()
        await pool.aclose()
        return process_id

    assert asyncio.run(use()) != asyncio.run(use_and_close())


@LINUX
def test_a_pool_can_be_closed_from_another_event_loop() -> None:
    pool = DefaultSandboxPool()

    async def use() -> int:
        async with pool.js_vm() as vm:
            return vm.process_id

    process_id = asyncio.run(use())
    asyncio.run(pool.aclose())
    assert not is_running(process_id)


async def test_a_process_that_ran_out_of_memory_is_not_used_again(
    pool: DefaultSandboxPool,
) -> None:
    async with pool.js_vm() as vm:
        with pytest.raises(SandboxError, match=r"^Memory limit exceeded$"):
            await vm.execute("const l = []; for (;;) l.push({a: [1]})", {}, LIMITS)
    assert pool.stats().javascript.killed == 1


async def test_a_second_live_event_loop_is_refused(pool: DefaultSandboxPool) -> None:
    async with pool.js_vm():
        with pytest.raises(MisuseError, match="one event loop"):
            await asyncio.to_thread(asyncio.run, pool.acquire_js_vm())


async def test_a_vm_is_useless_after_it_was_given_back(pool: DefaultSandboxPool) -> None:
    vm = await pool.acquire_js_vm()
    await pool.release_js_vm(vm)
    with pytest.raises(MisuseError, match="given back"):
        await pool.release_js_vm(vm)
    with pytest.raises(MisuseError, match="given back"):
        await vm.execute(ONE, {}, LIMITS)


async def test_a_warmed_pool_lends_without_starting_anything(pool: DefaultSandboxPool) -> None:
    await pool.warm(javascript=9, python=1)
    stats = pool.stats()
    assert (stats.javascript.created, stats.javascript.idle) == (2, 2)  # two are all it may have
    assert (stats.python.idle, stats.wasm.idle) == (1, 0)
    async with pool.js_vm() as one, pool.js_vm() as two:
        assert one.process_id != two.process_id
    assert pool.stats().javascript.created == 2


async def borrow(pool: DefaultSandboxPool, times: int) -> int:
    """Run a script again and again; returns how often it ran."""
    for _ in range(times):
        async with pool.js_vm() as vm:
            await vm.execute(ONE, {}, LIMITS)
    return times


async def test_an_idle_process_makes_room_for_another_pool() -> None:
    budget = ProcessBudget(1)
    first, second = DefaultSandboxPool(budget=budget), DefaultSandboxPool(budget=budget)
    await borrow(first, 1)
    await borrow(second, 1)
    await borrow(first, 1)
    assert budget.held == 1
    assert first.stats().javascript.evicted == 1
    await asyncio.gather(first.aclose(), second.aclose())
    assert budget.held == 0


async def test_a_pool_makes_room_for_its_own_other_languages() -> None:
    budget = ProcessBudget(1)
    pool = DefaultSandboxPool(budget=budget)
    await borrow(pool, 1)
    async with pool.python_vm() as vm:
        await vm.execute("def main():\n    pass", {}, LIMITS)
    await pool.aclose()


async def test_a_pool_that_came_late_gets_its_share_of_the_processes() -> None:
    budget = ProcessBudget(4)
    greedy, late = DefaultSandboxPool(budget=budget), DefaultSandboxPool(budget=budget)
    held = [await greedy.acquire_js_vm() for _ in range(4)]
    asking = [asyncio.create_task(late.acquire_js_vm()) for _ in range(4)]
    more = [asyncio.create_task(greedy.acquire_js_vm()) for _ in range(4)]
    await asyncio.sleep(0)
    for vm in held:
        await greedy.release_js_vm(vm)
    await until(lambda: late.stats().javascript.created == 2)
    await until(lambda: sum(task.done() for task in more) == 2)
    assert sum(task.done() for task in asking) == 2
    assert budget.held == 4
    for task in [*asking, *more]:
        task.cancel()
    await asyncio.gather(*asking, *more, return_exceptions=True)
    await asyncio.gather(greedy.aclose(), late.aclose())
    assert budget.held == 0


async def test_more_busy_pools_than_processes_take_turns() -> None:
    budget = ProcessBudget(1)
    pools = [DefaultSandboxPool(budget=budget) for _ in range(3)]
    assert await asyncio.gather(*(borrow(pool, 2) for pool in pools)) == [2, 2, 2]
    assert [pool.stats().javascript.created for pool in pools] == [2, 2, 2]
    await asyncio.gather(*(pool.aclose() for pool in pools))


def test_what_a_closed_event_loop_left_makes_room() -> None:
    budget = ProcessBudget(1)
    forgotten, other = DefaultSandboxPool(budget=budget), DefaultSandboxPool(budget=budget)
    asyncio.run(borrow(forgotten, 1))

    async def use_and_close() -> None:
        await borrow(other, 1)
        await other.aclose()

    asyncio.run(use_and_close())
    assert budget.held == 0
    asyncio.run(borrow(forgotten, 1))
    asyncio.run(forgotten.aclose())


async def test_closing_a_pool_ends_its_waiting_for_a_place() -> None:
    budget = ProcessBudget(1)
    first, second = DefaultSandboxPool(budget=budget), DefaultSandboxPool(budget=budget)
    held = await first.acquire_js_vm()
    waiting = asyncio.create_task(second.acquire_js_vm())
    await asyncio.sleep(0)
    await second.aclose()
    with pytest.raises(MisuseError, match="closed"):
        await waiting
    await first.release_js_vm(held)
    await borrow(first, 1)
    await first.aclose()
    assert budget.held == 0


@LINUX
async def test_an_interpreter_that_spins_dies_with_the_worker_too() -> None:
    worker = """
import asyncio
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

async def main():
    limits = SandboxLimits(timeout_secs=600)
    pool = DefaultSandboxPool()
    async with pool.python_vm() as vm:
        await vm.execute("def main():\\n    return 1", {}, limits)
        print(vm.process_id, flush=True)
        await vm.execute("def main():\\n    while True: pass", {}, limits)

asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", worker, stdout=subprocess.PIPE
    )
    assert process.stdout
    await process.stdout.readline()
    await until(lambda: len(descendants(process.pid)) == 2)
    family = descendants(process.pid)
    process.kill()
    await process.wait()
    await until(lambda: not any(map(is_running, family)))


@pytest.mark.parametrize("seconds", [1e15, 1e300])
async def test_a_time_limit_may_be_larger_than_a_clock_holds(
    pool: DefaultSandboxPool, seconds: float
) -> None:
    limits = SandboxLimits(timeout_secs=seconds)
    async with pool.js_vm() as js:
        assert (await js.execute("const main = () => 1", {}, limits)).value == 1
    async with pool.python_vm() as python:
        assert (await python.execute("def main():\n    return 1", {}, limits)).value == 1
    async with pool.wasm_vm() as wasm:
        assert (await wasm.execute(module(ECHO), {}, limits)).value == {}
