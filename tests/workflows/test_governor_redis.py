"""What holds of groups because their quotas are counted in Redis: also when it is away, or has lost
everything. The laws of all governors are in test_governor_laws.py."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.redis_server import RedisServer, redis_server
from tests.workflows.awaited import asked, requested
from tests.workflows.bench import Bench
from tests.workflows.drawing import chain, end, graph, http, node, start
from tests.workflows.governed import (
    INLINE,
    approval,
    fetch,
    governed,
    until_free,
    until_waiting,
    usage,
)
from xworkflow.client.status import Completed
from xworkflow.domain.governing import Budget, Kind, UsageQuota
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockServer
from xworkflow.worker import GroupWorker

pytestmark = pytest.mark.temporal


@pytest.fixture
def redis(redis_program: Path) -> Iterator[RedisServer]:
    with redis_server(redis_program) as server:
        yield server


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
        await asked(waits)
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
            [start("n"), http("h", web.url + "/soon"), asks, end()],
            "start > h",
            "h > ask",
            "ask:approve > end",
            "ask:reject > end",
        )
        waits = await bench.start(schema, {"n": 1})
        await requested(web)
        redis.pause()
        await asked(waits)
        redis.resume()
        assert (await until_free(bench, 20)).running == ()
        await bench.client.get_workflow_handle(waits.execution_id).terminate()


async def test_a_redis_that_lost_everything_is_told_by_temporal_who_runs_and_who_waits(
    idle_bench: Bench, web: MockServer, redis: RedisServer
) -> None:
    quota = UsageQuota(concurrent_runs=2, when_full="wait", count_waiting=False)
    async with governed(idle_bench, quota, redis.url) as bench:
        away = await bench.start(approval(web), {"n": 1})
        await asked(away)
        await until_free(bench)
        holders = [await bench.start(fetch(web, "/slow"), {"n": 1}) for _ in range(2)]
        await requested(web, 2)
        waiting = [await bench.start(INLINE, {"n": i}) for i in range(2)]
        before = await until_waiting(bench, 2)
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
                "two", start("n"), http("a", web.url + "/soon"), http("b", web.url + "/ok"), end()
            ),
            {"n": 1},
        )
        await requested(web)
        redis.pause()
        second = await bench.start(fetch(web, "/ok"), {"n": 1})
        refused = bench.client.get_workflow_handle(second.execution_id)
        while (await refused.describe()).raw_description.pending_workflow_task.attempt < 2:
            await asyncio.sleep(0.1)  # it was not admitted, and asks again
        assert [request.path for request in web.requests] == ["/soon"]
        redis.resume()
        assert await first.wait() == Completed({})
        assert await second.wait() == Completed({"body": "fine"})
        while (calls := (await usage(bench)).budgets[Kind.HTTP_CALLS]).leased:
            await asyncio.sleep(0.05)  # what calls used is told a moment after their end
        assert calls.used == 3
