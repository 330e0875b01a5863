"""Runs are held to the quota of their group over all its workers, wherever that counts: in a ledger
that is a workflow, or in Redis. What only one of them promises is in its own file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from tests.workflows.awaited import asked, requested
from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import FAIL_BRANCH, chain, code, end, graph, http, node, start, text
from tests.workflows.governed import (
    INLINE,
    approval,
    fetch,
    governed,
    until_free,
    until_waiting,
    usage,
)
from tests.workflows.overlap import most_at_once
from tests.workflows.recording import Recording
from xworkflow.activities import governor_redis, redis_ledger
from xworkflow.client.status import Completed, Failed, Stopped
from xworkflow.domain.governing import Budget, Price, UsageQuota
from xworkflow.domain.results import LlmUsage
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.fake_llm import FakeLlm
from xworkflow.testing.mock_server import MockServer
from xworkflow.workflows import governor as ledger_workflow

pytestmark = pytest.mark.temporal

Held = Callable[..., AbstractAsyncContextManager[Bench]]


@pytest.fixture
def held(idle_bench: Bench, governor_url: str | None) -> Held:
    """Given a quota: the bench of a group that is held to it."""
    return partial(governed, idle_bench, governor_url=governor_url)


# ---- places


async def test_a_run_over_the_quota_is_refused_and_the_place_comes_back(
    held: Held, web: MockServer
) -> None:
    async with held(UsageQuota(concurrent_runs=1)) as bench:
        first = await bench.start(fetch(web, "/slow"), {"n": 1})
        await requested(web)
        second = await bench.start(INLINE, {"n": 1})
        refused = Failed("Concurrent workflow limit exceeded: 1/1", "Refused")
        assert await second.wait() == refused
        assert await read(second) == []
        await first.cancel()
        assert isinstance(await first.wait(), Stopped)
        assert (await until_free(bench)).running == ()
        third = await bench.start(INLINE, {"n": 1})
        assert await third.wait() == Completed({"n": 1})


async def test_runs_that_wait_for_a_place_all_run_and_never_too_many_at_once(
    held: Held, web: MockServer, recording: Recording
) -> None:
    quota = UsageQuota(concurrent_runs=2, when_full="wait")
    async with held(quota, sandboxed=False) as bench:
        handles = [await bench.start(fetch(web), {"n": 1}) for _ in range(8)]
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert statuses == [Completed({"body": "fine"})] * 8
        found = await until_free(bench)
        for handle in handles:
            events = await read(handle)
            assert events == recording.of(handle.execution_id)
            # the wait for a place is no time of the run
            assert events[-1].at - events[0].at < 1000
    assert (found.running, found.waiting, found.most_running) == ((), 0, 2)
    assert await most_at_once(bench.client, [h.execution_id for h in handles]) <= 2


async def test_a_run_that_is_stopped_while_it_waits_frees_its_turn(
    held: Held, web: MockServer
) -> None:
    async with held(UsageQuota(concurrent_runs=1, when_full="wait")) as bench:
        first = await bench.start(fetch(web, "/slow"), {"n": 1})
        await requested(web)
        waiting = [await bench.start(INLINE, {"n": i}) for i in range(3)]
        await until_waiting(bench, 3)
        await waiting[0].cancel()
        assert isinstance(await waiting[0].wait(), Stopped)
        await bench.client.get_workflow_handle(waiting[1].execution_id).terminate()
        await first.abort()
        assert isinstance(await first.wait(), Stopped)
        assert await waiting[2].wait() == Completed({"n": 2})
        found = await until_free(bench)
        assert (found.running, found.waiting) == ((), 0)


async def test_the_place_of_a_terminated_run_comes_back_after_two_sweeps_at_most(
    held: Held, web: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is within half a minute; here it is two seconds, and what servers need besides."""
    assert 2 * ledger_workflow.SWEEP_SECS < 30
    assert 2 * redis_ledger.SWEEP_MS / 1000 + governor_redis.BEAT_SECS < 30
    monkeypatch.setattr(ledger_workflow, "SWEEP_SECS", 1.0)
    monkeypatch.setattr(redis_ledger, "SWEEP_MS", 1000)
    monkeypatch.setattr(governor_redis, "BEAT_SECS", 0.2)
    async with held(UsageQuota(concurrent_runs=3), sandboxed=False) as bench:
        handle = await bench.start(fetch(web, "/slow"), {"n": 1})
        await requested(web)
        await bench.client.get_workflow_handle(handle.execution_id).terminate()
        assert (await until_free(bench, 7)).running == ()


async def test_a_run_that_waits_for_a_person_may_leave_its_place_to_others(
    held: Held, web: MockServer, recording: Recording
) -> None:
    quota = UsageQuota(concurrent_runs=1, count_waiting=False)
    async with held(quota, sandboxed=False) as bench:
        waits = await bench.start(approval(web), {"n": 1})
        (question,) = await asked(waits)
        assert (await until_free(bench)).running == ()
        other = await bench.start(fetch(web, "/slow"), {"n": 1})
        await requested(web)
        await waits.answer(question, decision="approve")
        await until_waiting(bench, 1)  # it is not refused now, but comes next
        assert [request.path for request in web.requests] == ["/slow"]
        await other.cancel()
        assert await waits.wait() == Completed({"body": "fine", "n": 2})
        assert await read(waits) == recording.of(waits.execution_id)
        assert (await until_free(bench)).running == ()


async def test_a_run_keeps_its_place_while_it_waits_where_waiting_counts(
    held: Held, web: MockServer
) -> None:
    async with held(UsageQuota(concurrent_runs=1)) as bench:
        waits = await bench.start(approval(web), {"n": 1})
        (question,) = await asked(waits)
        assert isinstance(await (await bench.start(INLINE, {"n": 1})).wait(), Failed)
        await waits.answer(question, decision="reject")
        assert isinstance(await waits.wait(), Completed)


async def test_a_long_run_keeps_its_place_from_one_history_to_the_next(
    held: Held, web: MockServer
) -> None:
    fetches = [http(f"h{i}", web.url + "/soon") for i in range(5)]
    schema = chain("long", start("n"), *fetches, end(body="h4.body"))
    async with held(UsageQuota(concurrent_runs=1)) as bench:
        handle = await bench.start(schema, {"n": 1}, continue_as_new_after_events=14)
        await requested(web, 5)
        newest = await history(handle, bench.client)
        assert newest[0].workflow_execution_started_event_attributes.continued_execution_run_id
        assert (await usage(bench)).running == (handle.execution_id,)
        assert await handle.wait() == Completed({"body": "fine"})
        assert (await until_free(bench)).running == ()


async def test_waiting_runs_start_when_a_window_of_starts_has_ended(held: Held) -> None:
    quota = UsageQuota(runs=Budget(limit=1, window_secs=2), when_full="wait")
    async with held(quota) as bench:
        while time.time() % 2 > 1:
            await asyncio.sleep(0.02)
        handles = await asyncio.gather(*(bench.start(INLINE, {"n": i}) for i in range(2)))
        assert [await h.wait() for h in handles] == [Completed({"n": i}) for i in range(2)]
        told = [kinds(await history(handle, bench.client)) for handle in handles]
    assert sorted(each["workflow_execution_signaled"] for each in told) == [0, 1]


async def test_a_governor_adds_nothing_to_the_history_of_a_run_that_need_not_wait(
    held: Held, web: MockServer
) -> None:
    """On a busy machine a local activity outlives its workflow task, which costs another one."""
    counted: list[dict[str, int]] = []
    for quota in (UsageQuota(), UsageQuota(concurrent_runs=9, http_calls=Budget(limit=99))):
        async with held(quota) as bench:
            handles = [await bench.start(fetch(web, "/ok"), {"n": 1}) for _ in range(3)]
            assert {type(await handle.wait()) for handle in handles} == {Completed}
            told = [kinds(await history(handle, bench.client)) for handle in handles]
            counted.append(min(map(dict, told), key=lambda found: sum(found.values())))
    assert counted[0] == counted[1]


# ---- budgets


async def test_a_budget_of_calls_holds_over_workers_and_its_error_is_a_nodes(
    held: Held, web: MockServer
) -> None:
    """An error strategy takes it like any other."""
    fetches = graph(
        "fetch",
        [
            start("n"),
            http("h", web.url + "/ok", strategy=FAIL_BRANCH),
            text("why", "{{ v }}", of="h.error_type"),
            end(why="why.output"),
        ],
        "start > h",
        "h:fail-branch > why",
        "why > end",
        "h > end",
    )
    async with held(UsageQuota(http_calls=Budget(limit=12)), workers=2) as bench:
        handles = [await bench.start(fetches, {"n": 1}) for _ in range(20)]
        statuses = [await handle.wait() for handle in handles]
    whys = [s.outputs.get("why") for s in statuses if isinstance(s, Completed)]
    assert sorted(map(str, whys)) == ["None"] * 12 + ["resource_limit_exceeded"] * 8
    assert len(web.requests) == 12


async def test_a_call_may_wait_for_the_next_window_without_using_its_nodes_time(
    held: Held, web: MockServer
) -> None:
    quota = UsageQuota(http_calls=Budget(limit=1, window_secs=2), when_spent="wait")
    fetches = [http(f"h{i}", web.url + "/ok", timeout_secs=1) for i in range(3)]
    schema = chain("waits", start("n"), *fetches, end(body="h2.body"))
    async with held(quota) as bench:
        began = time.monotonic()
        assert await (await bench.start(schema, {"n": 1})).wait() == Completed({"body": "fine"})
        assert time.monotonic() - began > 2
    assert len(web.requests) == 3


MODEL = {"provider": "fake", "name": "fake-1", "completion_params": {"max_tokens": 100}}


async def test_tokens_and_money_of_models_are_counted(held: Held) -> None:
    ask = node(
        "ask", "llm", model=MODEL, prompt_template=[{"role": "user", "text": "Hi"}],
        strategy=FAIL_BRANCH,
    )  # fmt: skip
    schema = graph(
        "asks",
        [start("n"), ask, text("why", "{{ v }}", of="ask.error_message"), end(why="why.output")],
        "start > ask",
        "ask:fail-branch > why",
        "why > end",
        "ask > end",
    )
    models = LlmProviderRegistry()
    spent = LlmUsage(prompt_tokens=40, completion_tokens=60, total_tokens=100)
    models.register(FakeLlm("Hello", usage=spent))
    quota = UsageQuota(
        llm_requests=Budget(limit=100),
        llm_tokens=Budget(limit=250),
        llm_money=Budget(limit=10**6),
        prices={"fake-*": Price(prompt=2.0, completion=10.0)},
    )
    async with held(quota, llm_provider_registry=models) as bench:
        statuses = [await (await bench.start(schema, {"n": 1})).wait() for _ in range(5)]
    whys = [s.outputs.get("why") for s in statuses if isinstance(s, Completed)]
    refusal = "LLM token budget exceeded: 300/250 in 86400 s"
    assert whys == [None, None, None, refusal, refusal]
    async with held(quota) as again:  # what is counted outlives the workers
        budgets = (await usage(again)).budgets
    assert {kind.value: budget.used for kind, budget in budgets.items()} == {
        "llm_requests": 3,
        "llm_tokens": 300,
        "llm_money": 3 * (40 * 2 + 60 * 10),
    }


async def test_time_in_sandboxes_is_counted(held: Held) -> None:
    spin = "function main({ n }) { const end = Date.now() + 300; while (Date.now() < end) {} }"
    schema = chain("spin", start("n"), code("c", script=spin), end())
    async with held(UsageQuota(sandbox_ms=Budget(limit=900))) as bench:
        statuses = [await (await bench.start(schema, {"n": 1})).wait() for _ in range(5)]
    assert isinstance(statuses[0], Completed)
    assert isinstance(statuses[4], Failed)
    assert "Sandbox time budget exceeded" in statuses[4].message
