"""Groups are held to their quotas, over all workers, by a ledger in Redis."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.redis_server import RedisServer, redis_server
from tests.workflows.bench import Bench
from tests.workflows.crowd import Crowd, Processes, begin
from tests.workflows.drawing import chain, code, end, graph, http, node, start
from tests.workflows.in_redis import in_redis
from tests.workflows.overlap import most_at_once
from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.client.status import Completed, Failed, Stopped
from xworkflow.domain.governing import Budget, GroupUsage, Kind, UsageQuota
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import GroupWorker

pytestmark = pytest.mark.temporal

INLINE = chain("inline", start("n"), end(n="start.n"))


@pytest.fixture
def web() -> Iterator[MockServer]:
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/slow", response_body="fine", delay_secs=0.15),
        MockResponse("GET", "/never", delay_secs=60),
    )
    with MockServer(responses) as server:
        yield server


@pytest.fixture
def redis(redis_program: Path) -> Iterator[RedisServer]:
    with redis_server(redis_program) as server:
        yield server


@asynccontextmanager
async def governed(bench: Bench, quota: UsageQuota, url: str) -> AsyncGenerator[Bench]:
    """A bench of a named group of its own."""
    group = RuntimeGroup(group_id=f"group-{bench.queue}", usage_quota=quota)
    async with in_redis(bench.client, group, url, bench.queue) as with_governor:
        found = Bench(bench.client, bench.queue, with_governor)
        async with found.worker(sandboxed=True):
            yield found
    await group.aclose()


async def usage(bench: Bench) -> GroupUsage:
    governor = bench.group.resource_governor
    assert isinstance(governor, RedisGovernor)
    return await governor.usage()


async def until_free(bench: Bench, secs: float = 5) -> GroupUsage:
    """Wait until no run holds a place."""
    until = time.monotonic() + secs
    while (found := await usage(bench)).running and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return found


def fetch(web: MockServer, path: str = "/slow") -> Any:
    return chain("fetch", start("n"), http("h", web.url + path), end(body="h.body"))


def approval(web: MockServer) -> Any:
    asks = node("ask", "human-input", resume_mode="approval", prompt_template="May I?")
    return graph(
        "approval",
        [start("n"), asks, http("h", web.url + "/ok"), code("c"), end(body="h.body", n="c.n")],
        "start > ask",
        "ask:approve > h",
        "h > c",
        "c > end",
        "ask:reject > end",
    )


async def requested(web: MockServer, count: int = 1) -> None:
    while len(web.requests) < count:
        await asyncio.sleep(0.01)


async def test_a_run_over_the_quota_is_refused_and_the_place_comes_back(
    idle_bench: Bench, web: MockServer, redis_url: str
) -> None:
    async with governed(idle_bench, UsageQuota(concurrent_runs=1), redis_url) as bench:
        first = await bench.start(fetch(web, "/never"), {"n": 1})
        await requested(web)
        second = await bench.start(INLINE, {"n": 1})
        refused = Failed("Concurrent workflow limit exceeded: 1/1", "Refused")
        assert await second.wait() == refused
        await first.cancel()
        assert isinstance(await first.wait(), Stopped)
        assert (await until_free(bench)).running == ()
        third = await bench.start(INLINE, {"n": 1})
        assert await third.wait() == Completed({"n": 1})


async def test_runs_that_wait_for_a_place_all_run_and_never_too_many_at_once(
    idle_bench: Bench, web: MockServer, redis_url: str
) -> None:
    quota = UsageQuota(concurrent_runs=2, when_full="wait")
    async with governed(idle_bench, quota, redis_url) as bench:
        handles = [await bench.start(fetch(web), {"n": 1}) for _ in range(8)]
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert statuses == [Completed({"body": "fine"})] * 8
        found = await until_free(bench)
    assert (found.running, found.waiting, found.most_running) == ((), 0, 2)
    assert await most_at_once(bench.client, [h.execution_id for h in handles]) <= 2


@pytest.mark.slow
async def test_the_place_of_a_terminated_run_comes_back_within_half_a_minute(
    idle_bench: Bench, web: MockServer, redis_url: str
) -> None:
    async with governed(idle_bench, UsageQuota(concurrent_runs=3), redis_url) as bench:
        handle = await bench.start(fetch(web, "/never"), {"n": 1})
        await requested(web)
        await bench.client.get_workflow_handle(handle.execution_id).terminate()
        began = time.monotonic()
        assert (await until_free(bench, 40)).running == ()
        assert time.monotonic() - began < 30


async def test_a_run_that_waits_for_a_person_may_leave_its_place_to_others(
    idle_bench: Bench, web: MockServer, redis_url: str
) -> None:
    quota = UsageQuota(concurrent_runs=1, count_waiting=False)
    async with governed(idle_bench, quota, redis_url) as bench:
        waits = await bench.start(approval(web), {"n": 1})
        while not (waiting := await waits.waiting()):
            await asyncio.sleep(0.02)
        assert (await until_free(bench)).running == ()
        other = await bench.start(fetch(web, "/never"), {"n": 1})
        await requested(web)
        await waits.answer(waiting[0], decision="approve")
        while (await usage(bench)).waiting < 1:  # it is not refused now, but comes next
            await asyncio.sleep(0.02)
        assert [request.path for request in web.requests] == ["/never"]
        await other.cancel()
        assert await waits.wait() == Completed({"body": "fine", "n": 2})
        assert (await until_free(bench)).running == ()


async def test_places_are_given_back_also_after_the_quota_was_changed(
    idle_bench: Bench, web: MockServer, redis_url: str
) -> None:
    """The governor of the new quota goes on to hear of them when that of the old one has ended."""
    quota = UsageQuota(concurrent_runs=1, when_full="wait", count_waiting=False)
    group = RuntimeGroup(
        group_id=f"group-{idle_bench.queue}", usage_quota=quota, governor_url=redis_url
    )
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    serving = GroupWorker(bench.client, group, queue=bench.queue, sandboxed=True)
    async with serving.worker, asyncio.timeout(30):
        before = await bench.start(INLINE, {"n": 1})
        assert await before.wait() == Completed({"n": 1})
        changed = quota.model_copy(update={"max_waiting": 9})
        await serving.replace(group.replaced(usage_quota=changed))
        waits = await bench.start(approval(web), {"n": 1})
        while not await waits.waiting():
            await asyncio.sleep(0.02)
        other = await bench.start(INLINE, {"n": 2})
        assert await other.wait() == Completed({"n": 2})
        await bench.client.get_workflow_handle(waits.execution_id).terminate()
    await group.aclose()


async def test_a_place_is_given_back_also_while_redis_is_away(
    idle_bench: Bench, web: MockServer, redis: RedisServer
) -> None:
    quota = UsageQuota(concurrent_runs=1, count_waiting=False)
    async with governed(idle_bench, quota, redis.url) as bench:
        asks = node("ask", "human-input", resume_mode="approval", prompt_template="May I?")
        schema = graph(
            "asks-later",
            [start("n"), http("h", web.url + "/slow"), asks, end()],
            "start > h",
            "h > ask",
            "ask:approve > end",
            "ask:reject > end",
        )
        waits = await bench.start(schema, {"n": 1})
        await requested(web)
        redis.pause()
        while not await waits.waiting():
            await asyncio.sleep(0.02)
        redis.resume()
        assert (await until_free(bench, 20)).running == ()
        await bench.client.get_workflow_handle(waits.execution_id).terminate()


async def test_a_redis_that_lost_everything_is_told_by_temporal_who_runs_and_who_waits(
    idle_bench: Bench, web: MockServer, redis: RedisServer
) -> None:
    quota = UsageQuota(concurrent_runs=2, when_full="wait", count_waiting=False)
    async with governed(idle_bench, quota, redis.url) as bench:
        away = await bench.start(approval(web), {"n": 1})
        while not await away.waiting():
            await asyncio.sleep(0.02)
        await until_free(bench)
        holders = [await bench.start(fetch(web, "/never"), {"n": 1}) for _ in range(2)]
        await requested(web, 2)
        waiting = [await bench.start(INLINE, {"n": i}) for i in range(2)]
        while (before := await usage(bench)).waiting < 2:
            await asyncio.sleep(0.02)
        query = f'TaskQueue = "{bench.queue}" AND ExecutionStatus = "Running"'
        while len([run async for run in bench.client.list_workflows(query)]) < 5:
            await asyncio.sleep(0.05)
        redis.stop()
        redis.start()
        after = await usage(bench)
        assert sorted(after.running) == sorted(before.running)
        assert (len(after.running), after.waiting) == (2, 2)
        await holders[0].cancel()
        assert await waiting[0].wait() == Completed({"n": 0})
        assert await waiting[1].wait() == Completed({"n": 1})
        for run in (away, holders[1]):
            await bench.client.get_workflow_handle(run.execution_id).terminate()


async def test_runs_and_calls_wait_while_redis_is_away(
    idle_bench: Bench, web: MockServer, redis: RedisServer
) -> None:
    quota = UsageQuota(concurrent_runs=5, http_calls=Budget(limit=100))
    async with governed(idle_bench, quota, redis.url) as bench:
        first = await bench.start(
            chain(
                "two", start("n"), http("a", web.url + "/slow"), http("b", web.url + "/ok"), end()
            ),
            {"n": 1},
        )
        await requested(web)
        redis.pause()
        second = await bench.start(fetch(web, "/ok"), {"n": 1})
        refused = bench.client.get_workflow_handle(second.execution_id)
        while (await refused.describe()).raw_description.pending_workflow_task.attempt < 2:
            await asyncio.sleep(0.1)  # it was not admitted, and asks again
        assert [request.path for request in web.requests] == ["/slow"]
        redis.resume()
        assert await first.wait() == Completed({})
        assert await second.wait() == Completed({"body": "fine"})
        while (calls := (await usage(bench)).budgets[Kind.HTTP_CALLS]).leased:
            await asyncio.sleep(0.05)  # what calls used is told a moment after their end
        assert calls.used == 3


RUNS, PLACES, KILLS = 60, 10, 4


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_workers_are_killed_and_never_more_runs_than_the_quota_go_on(
    temporal_server: str, temporal_client: Client, task_queue: str, redis_url: str
) -> None:
    seed = int(os.environ.get("XWORKFLOW_KILL_SEED") or time.time_ns() % 10**6)
    sys.stdout.write(f"XWORKFLOW_KILL_SEED={seed}\n")
    chosen = random.Random(seed)  # noqa: S311 - moments, not secrets
    quota = UsageQuota(concurrent_runs=PLACES, when_full="wait")
    group = RuntimeGroup(group_id=f"killed-{task_queue}", usage_quota=quota)
    group_id = group.group_id or ""
    processes = Processes(temporal_server, group_id, quota, redis_url)
    reader = RedisGovernor(redis_url, temporal_client, group_id, quota)
    with Crowd() as crowd, processes.running():
        finishing = [
            asyncio.create_task((await begin(crowd, temporal_client, group)).wait())
            for _ in range(RUNS)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(chosen.uniform(0.2, 1.2))
            await asyncio.to_thread(processes.kill_one, chosen)
        statuses = await asyncio.gather(*finishing)
        assert statuses == [Completed({"body": "fine"})] * RUNS
        until = time.monotonic() + 30
        while (used := await reader.usage()).running and time.monotonic() < until:
            await asyncio.sleep(0.2)
    await reader.aclose()
    await group.aclose()
    assert (used.running, used.waiting) == ((), 0)
    assert crowd.most <= PLACES
    assert used.most_running == PLACES
    query = f'TaskQueue = "xworkflow-{group_id}" AND WorkflowType = "GraphWorkflow"'
    runs = [run.id async for run in temporal_client.list_workflows(query)]
    assert len(runs) == RUNS
    assert await most_at_once(temporal_client, runs) <= PLACES
