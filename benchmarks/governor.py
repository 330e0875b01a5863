"""What a governor costs when it refuses nothing: runs of ten http nodes, with and without.

    python benchmarks/governor.py [--rounds 40] [--address HOST:PORT] [--redis redis://HOST:PORT]

Rounds alternate, so quote the median of their ratios. ``places`` counts concurrent runs alone,
``all`` every budget, too; ``none`` is a named group without a governor; ``redis`` counts what
``all`` does, in the Redis that was named. Then: what an exchange
costs by itself, how many calls per second a budget lets through, and what an idle group costs.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import statistics
import sys
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from drawing import chain, end, http, start
from temporalio.client import Client

from xworkflow.activities.governor_broker import GovernorBroker
from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.activities.redis_worker import governed_by_redis
from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.governing import Budget, Kind, RunAsks, UsageQuota, WorkerSlots
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.embedded.server import start_server
from xworkflow.ports import AdmittingGovernor
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker, workflow_runner
from xworkflow.workflows import YieldsWorkflow

MUCH = 10**9
WARM_UP = 3
QUOTAS: dict[str, UsageQuota | None] = {
    "none": None,
    "places": UsageQuota(concurrent_runs=100_000),
    "all": UsageQuota(
        concurrent_runs=100_000,
        runs=Budget(limit=MUCH),
        http_calls=Budget(limit=MUCH),
        llm_requests=Budget(limit=MUCH),
        llm_tokens=Budget(limit=MUCH),
        sandbox_ms=Budget(limit=MUCH),
    ),
}


def group_of(name: str) -> RuntimeGroup:
    return RuntimeGroup(group_id=f"{name}-{uuid.uuid4().hex[:8]}", usage_quota=QUOTAS.get(name))


async def timed_run(client: Client, group: RuntimeGroup, schema: WorkflowSchema) -> float:
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    began = time.perf_counter()
    handle = await builder.user_inputs({"n": 1}).client(client).run()
    await handle.wait()
    return time.perf_counter() - began


@asynccontextmanager
async def in_redis(client: Client, group: RuntimeGroup, url: str) -> AsyncGenerator[RuntimeGroup]:
    """The group with its ledger in Redis."""
    quota = QUOTAS["all"] or UsageQuota()
    governor = RedisGovernor(url, client, group.group_id or "", quota)
    runner = workflow_runner(sandboxed=False)
    async with governed_by_redis(client, governor, YieldsWorkflow, runner, None):
        yield group.replaced(resource_governor=governor)


async def compare(client: Client, url: str, rounds: int, redis: str | None) -> None:
    """Times of single runs, the groups in turn."""
    nodes = [http(f"call{i}", f"{url}/ok") for i in range(10)]
    schema = chain("ten", start("n"), *nodes, end(out="call9.body"))
    groups = {name: group_of(name) for name in QUOTAS}
    async with AsyncExitStack() as stack:
        if redis is not None:
            other = in_redis(client, group_of("redis"), redis)
            groups["redis"] = await stack.enter_async_context(other)
        for group in groups.values():
            await stack.enter_async_context(build_worker(client, group))
        times: dict[str, list[float]] = {name: [] for name in groups}
        for round_ in range(rounds + WARM_UP):
            for name, group in groups.items():
                taken = await timed_run(client, group, schema)
                if round_ >= WARM_UP:
                    times[name].append(taken)
        for name, found in times.items():
            ratios = [a / b for a, b in zip(found, times["none"], strict=True)]
            print(
                f"{name:8} {statistics.median(found) * 1000:7.1f} ms   "
                f"ratio {statistics.median(ratios):.3f}"
            )
    for group in groups.values():
        await group.aclose()


async def per_second(count: int, work: Callable[[int], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await asyncio.gather(*(work(i) for i in range(count)))
    return count / (time.perf_counter() - began)


async def many_processes(group_id: str, governors: Sequence[AdmittingGovernor]) -> float:
    """Admissions per second where each process asks for one run after another."""

    async def ask(process: int) -> None:
        for i in range(40):
            await governors[process].admit(group_id, RunAsks(run=f"{process}-{i}", turn=1))

    began = time.perf_counter()
    await asyncio.gather(*(ask(process) for process in range(len(governors))))
    return 40 * len(governors) / (time.perf_counter() - began)


async def exchanges(client: Client) -> None:
    """The ledger and its broker alone."""
    group = group_of("all")
    name, quota = group.group_id or "", group.usage_quota or UsageQuota()
    broker = GovernorBroker(client, name, quota)
    async with build_worker(client, group):
        await broker.admit(name, RunAsks(run="warm"))
        alone: list[float] = []
        for _ in range(50):
            began = time.perf_counter()
            await broker.admit(name, RunAsks(run="warm", turn=1))  # out of no lease
            alone.append((time.perf_counter() - began) * 1000)
        print(f"one exchange by itself: {statistics.median(alone):.1f} ms")
        rate = await per_second(1000, lambda i: broker.admit(name, RunAsks(run=f"many-{i}")))
        print(f"1,000 admissions at once: {rate:.0f} per second")

        brokers = [GovernorBroker(client, name, quota) for _ in range(16)]
        print(f"16 processes: {await many_processes(name, brokers):.0f} admissions per second")
        for other in brokers:
            await other.aclose()

        async def call(_: int) -> None:
            (await broker.reserve({Kind.LLM_TOKENS: 100}, patience_secs=5)).settle(
                {Kind.LLM_TOKENS: 80}
            )

        await call(0)
        began = time.perf_counter()
        for i in range(10_000):
            await call(i)
        each = (time.perf_counter() - began) / 10_000
        print(f"a call under a lease: {each * 1e6:.1f} µs")
        await broker.aclose()
    await group.aclose()


async def redis_calls(client: Client, url: str) -> None:
    """Redis and its governors alone: one of them, then four that share a group."""
    quota = QUOTAS["all"] or UsageQuota()
    name = f"redis-{uuid.uuid4().hex[:8]}"
    governors = [RedisGovernor(url, client, name, quota) for _ in range(4)]
    first = governors[0]
    alone: list[float] = []
    for i in range(200):
        began = time.perf_counter()
        await first.admit(name, RunAsks(run=f"alone-{i}"))
        alone.append((time.perf_counter() - began) * 1000)
    print(f"redis: one admission by itself: {statistics.median(alone):.2f} ms")
    rate = await per_second(1000, lambda i: first.admit(name, RunAsks(run=f"many-{i}")))
    print(f"redis: 1,000 admissions at once: {rate:.0f} per second")

    async def call(governor: RedisGovernor) -> None:
        (await governor.reserve({Kind.LLM_TOKENS: 100}, patience_secs=5)).settle(
            {Kind.LLM_TOKENS: 80}
        )

    others = [RedisGovernor(url, client, name, quota) for _ in range(16)]
    print(f"redis: 16 processes: {await many_processes(name, others):.0f} admissions per second")
    for other in others:
        await other.aclose()
    began = time.perf_counter()
    for _ in range(1_000):
        await call(first)
    print(f"redis: a call by itself: {time.perf_counter() - began:.2f} ms")
    rate = await per_second(4_000, lambda i: call(governors[i % 4]))
    print(f"redis: 4,000 calls at once: {rate:.0f} per second")
    for governor in governors:
        await governor.aclose()


async def idle(address: str, name: str, pollers: int, count: int) -> None:
    """Memory and CPU of groups that do nothing; in a process of its own, as memory is reused."""
    client = await connect(address)
    slots = WorkerSlots(pollers=pollers)
    async with AsyncExitStack() as stack:
        first = group_of(name).replaced(worker_slots=slots)
        await stack.enter_async_context(build_worker(client, first))
        await asyncio.sleep(1)
        before = _resident_mb()
        groups = [group_of(name).replaced(worker_slots=slots) for _ in range(count)]
        for group in groups:
            await stack.enter_async_context(build_worker(client, group))
        await asyncio.sleep(5)
        grown, cpu = _resident_mb() - before, time.process_time()
        await asyncio.sleep(10)
        cpu = time.process_time() - cpu
        print(
            f"{count} idle groups, {name}, {pollers} pollers: {grown / count * 1000:.0f} KB and "
            f"{cpu / 10 / count * 1e6:.0f} µs of CPU per second for each",
            flush=True,
        )
        os._exit(0)  # a hundred workers have nothing to hand back


def _resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


async def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--groups", type=int, default=50)
    parser.add_argument("--address")
    parser.add_argument("--redis")
    parser.add_argument("--idle", help=argparse.SUPPRESS)
    parser.add_argument("--pollers", type=int, default=5, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.idle is not None:
        await idle(arguments.address, arguments.idle, arguments.pollers, arguments.groups)
        return
    async with AsyncExitStack() as stack:
        address = arguments.address
        if address is None:
            address = (await stack.enter_async_context(start_server())).address
        client = await connect(address)
        with MockServer((MockResponse("GET", "/ok", response_body="fine"),)) as web:
            await compare(client, web.url, arguments.rounds, arguments.redis)
        await exchanges(client)
        if arguments.redis is not None:
            await redis_calls(client, arguments.redis)
        if not arguments.groups:
            return
        for name, pollers in (("none", 5), ("places", 5), ("none", 1), ("places", 1)):
            given = ["--address", address, "--idle", name, "--pollers", str(pollers)]
            command = [sys.executable, __file__, *given, "--groups", str(arguments.groups)]
            await (await asyncio.create_subprocess_exec(*command)).wait()


if __name__ == "__main__":
    asyncio.run(main())
