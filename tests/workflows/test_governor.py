"""Groups are held to their quotas, over all workers, by a ledger that is a workflow."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import FAIL_BRANCH, chain, code, end, graph, http, node, start, text
from tests.workflows.overlap import most_at_once
from tests.workflows.recording import Recording, recording
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Failed, Stopped
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.governing import (
    USAGE_QUERY,
    Budget,
    GroupUsage,
    Kind,
    Price,
    UsageQuota,
    WorkerSlots,
    governor_id,
)
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.results import LlmUsage
from xworkflow.runtime_group.governor import DefaultResourceGovernor
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.fake_llm import FakeLlm
from xworkflow.testing.mock_server import MockResponse, MockServer

__all__ = ["recording"]

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


@asynccontextmanager
async def governed(
    bench: Bench, quota: UsageQuota, *, workers: int = 1, **parts: Any
) -> AsyncGenerator[Bench]:
    """A bench of a named group of its own, with several workers that share nothing."""
    group_id = f"group-{bench.queue}"
    groups = [RuntimeGroup(group_id=group_id, usage_quota=quota, **parts) for _ in range(workers)]
    found = Bench(bench.client, bench.queue, groups[0])
    async with _all_workers(bench, groups):
        yield found
    for group in groups:
        await group.aclose()


@asynccontextmanager
async def _all_workers(bench: Bench, groups: list[RuntimeGroup]) -> AsyncGenerator[None]:
    if not groups:
        yield
        return
    # the SDK allows one worker of a queue for each client
    client = await Client.connect(
        bench.client.service_client.config.target_host, data_converter=DATA_CONVERTER
    )
    async with (
        Bench(client, bench.queue, groups[0]).worker(sandboxed=True),
        _all_workers(bench, groups[1:]),
    ):
        yield


async def usage(bench: Bench) -> GroupUsage:
    handle = bench.client.get_workflow_handle(governor_id(bench.group.group_id or ""))
    return await handle.query(USAGE_QUERY, result_type=GroupUsage)


async def until_free(bench: Bench, secs: float = 5) -> GroupUsage:
    """Wait until no run holds a place."""
    until = time.monotonic() + secs
    while (found := await usage(bench)).running and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return found


def fetch(web: MockServer, path: str = "/slow") -> Any:
    return chain("fetch", start("n"), http("h", web.url + path), end(body="h.body"))


async def test_a_run_over_the_quota_is_refused_and_the_place_comes_back(
    idle_bench: Bench, web: MockServer
) -> None:
    async with governed(idle_bench, UsageQuota(concurrent_runs=1)) as bench:
        first = await bench.start(fetch(web, "/never"), {"n": 1})
        while not web.requests:
            await asyncio.sleep(0.01)
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
    idle_bench: Bench, web: MockServer, recording: Recording
) -> None:
    quota = UsageQuota(concurrent_runs=2, when_full="wait")
    group = RuntimeGroup(group_id=f"group-{idle_bench.queue}", usage_quota=quota)
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker():
        handles = [await bench.start(fetch(web), {"n": 1}) for _ in range(8)]
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert statuses == [Completed({"body": "fine"})] * 8
        found = await until_free(bench)
        for handle in handles:
            events = await read(handle)
            assert events == recording.of(handle.execution_id)
            # the wait for a place is no time of the run
            assert events[-1].at - events[0].at < 1000
    await group.aclose()
    assert (found.running, found.waiting, found.most_running) == ((), 0, 2)
    assert await most_at_once(bench.client, [h.execution_id for h in handles]) <= 2


async def test_a_run_that_is_stopped_while_it_waits_frees_its_turn(
    idle_bench: Bench, web: MockServer
) -> None:
    quota = UsageQuota(concurrent_runs=1, when_full="wait")
    async with governed(idle_bench, quota) as bench:
        first = await bench.start(fetch(web, "/never"), {"n": 1})
        while not web.requests:
            await asyncio.sleep(0.01)
        waiting = [await bench.start(INLINE, {"n": i}) for i in range(3)]
        while (await usage(bench)).waiting < 3:
            await asyncio.sleep(0.02)
        await waiting[0].cancel()
        assert isinstance(await waiting[0].wait(), Stopped)
        await bench.client.get_workflow_handle(waiting[1].execution_id).terminate()
        await first.abort()
        assert isinstance(await first.wait(), Stopped)
        assert await waiting[2].wait() == Completed({"n": 2})
        found = await until_free(bench)
        assert (found.running, found.waiting) == ((), 0)


@pytest.mark.slow
async def test_the_place_of_a_terminated_run_comes_back_within_half_a_minute(
    idle_bench: Bench, web: MockServer
) -> None:
    async with governed(idle_bench, UsageQuota(concurrent_runs=3)) as bench:
        handle = await bench.start(fetch(web, "/never"), {"n": 1})
        while not web.requests:
            await asyncio.sleep(0.01)
        await bench.client.get_workflow_handle(handle.execution_id).terminate()
        began = time.monotonic()
        assert (await until_free(bench, 40)).running == ()
        assert time.monotonic() - began < 30


ASKS = node(
    "ask",
    "human-input",
    resume_mode="approval",
    prompt_template="May I?",
)


def approval(web: MockServer) -> Any:
    return graph(
        "approval",
        [start("n"), ASKS, http("h", web.url + "/ok"), code("c"), end(body="h.body", n="c.n")],
        "start > ask",
        "ask:approve > h",
        "h > c",
        "c > end",
        "ask:reject > end",
    )


async def asked(handle: WorkflowHandle) -> Any:
    while not (waiting := await handle.waiting()):
        await asyncio.sleep(0.02)
    return waiting[0]


async def test_a_run_that_waits_for_a_person_may_leave_its_place_to_others(
    idle_bench: Bench, web: MockServer, recording: Recording
) -> None:
    quota = UsageQuota(concurrent_runs=1, count_waiting=False)
    group = RuntimeGroup(group_id=f"group-{idle_bench.queue}", usage_quota=quota)
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker():
        waits = await bench.start(approval(web), {"n": 1})
        question = await asked(waits)
        assert (await until_free(bench)).running == ()
        other = await bench.start(fetch(web, "/never"), {"n": 1})
        while not web.requests:
            await asyncio.sleep(0.01)
        await waits.answer(question, decision="approve")
        while (await usage(bench)).waiting < 1:  # it is not refused now, but comes next
            await asyncio.sleep(0.02)
        assert [request.path for request in web.requests] == ["/never"]
        await other.cancel()
        assert await waits.wait() == Completed({"body": "fine", "n": 2})
        assert await read(waits) == recording.of(waits.execution_id)
        assert (await until_free(bench)).running == ()
    await group.aclose()


async def test_a_run_keeps_its_place_while_it_waits_where_waiting_counts(
    idle_bench: Bench, web: MockServer
) -> None:
    async with governed(idle_bench, UsageQuota(concurrent_runs=1)) as bench:
        waits = await bench.start(approval(web), {"n": 1})
        question = await asked(waits)
        assert isinstance(await (await bench.start(INLINE, {"n": 1})).wait(), Failed)
        await waits.answer(question, decision="reject")
        assert isinstance(await waits.wait(), Completed)


async def test_a_long_run_keeps_its_place_from_one_history_to_the_next(
    idle_bench: Bench, web: MockServer
) -> None:
    fetches = [http(f"h{i}", web.url + "/slow") for i in range(8)]
    schema = chain("long", start("n"), *fetches, end(body="h7.body"))
    async with governed(idle_bench, UsageQuota(concurrent_runs=1)) as bench:
        handle = await bench.start(schema, {"n": 1}, continue_as_new_after_events=20)
        while len(web.requests) < 7:
            await asyncio.sleep(0.01)
        assert (await usage(bench)).running == (handle.execution_id,)
        assert await handle.wait() == Completed({"body": "fine"})
        assert (await until_free(bench)).running == ()


async def test_a_budget_of_calls_holds_over_workers_and_its_error_is_a_nodes(
    idle_bench: Bench, web: MockServer
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
    quota = UsageQuota(http_calls=Budget(limit=12))
    async with governed(idle_bench, quota, workers=2) as bench:
        handles = [await bench.start(fetches, {"n": 1}) for _ in range(20)]
        statuses = [await handle.wait() for handle in handles]
    whys = [s.outputs.get("why") for s in statuses if isinstance(s, Completed)]
    assert sorted(map(str, whys)) == ["None"] * 12 + ["resource_limit_exceeded"] * 8
    assert len(web.requests) == 12


async def test_a_call_may_wait_for_the_next_window_without_using_its_nodes_time(
    idle_bench: Bench, web: MockServer
) -> None:
    quota = UsageQuota(http_calls=Budget(limit=1, window_secs=2), when_spent="wait")
    fetches = [http(f"h{i}", web.url + "/ok", timeout_secs=1) for i in range(3)]
    schema = chain("waits", start("n"), *fetches, end(body="h2.body"))
    async with governed(idle_bench, quota) as bench:
        began = time.monotonic()
        assert await (await bench.start(schema, {"n": 1})).wait() == Completed({"body": "fine"})
        assert time.monotonic() - began > 2
    assert len(web.requests) == 3


MODEL = {"provider": "fake", "name": "fake-1", "completion_params": {"max_tokens": 100}}


async def test_tokens_and_money_of_models_are_counted(idle_bench: Bench) -> None:
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
    async with governed(idle_bench, quota, llm_provider_registry=models) as bench:
        statuses = [await (await bench.start(schema, {"n": 1})).wait() for _ in range(5)]
    whys = [s.outputs.get("why") for s in statuses if isinstance(s, Completed)]
    refusal = "LLM token budget exceeded: 300/250 in 86400 s"
    assert whys == [None, None, None, refusal, refusal]
    budgets = (await _usage_after(idle_bench, quota)).budgets
    assert {kind.value: budget.used for kind, budget in budgets.items()} == {
        "llm_requests": 3,
        "llm_tokens": 300,
        "llm_money": 3 * (40 * 2 + 60 * 10),
    }


async def _usage_after(bench: Bench, quota: UsageQuota) -> GroupUsage:
    """The ledger outlives its workers; another one answers for it."""
    async with governed(bench, quota) as again:
        return await usage(again)


async def test_time_in_sandboxes_is_counted(idle_bench: Bench) -> None:
    spin = "function main({ n }) { const end = Date.now() + 300; while (Date.now() < end) {} }"
    schema = chain("spin", start("n"), code("c", script=spin), end())
    quota = UsageQuota(sandbox_ms=Budget(limit=900))
    async with governed(idle_bench, quota) as bench:
        statuses = [await (await bench.start(schema, {"n": 1})).wait() for _ in range(5)]
    assert isinstance(statuses[0], Completed)
    assert isinstance(statuses[4], Failed)
    assert "Sandbox time budget exceeded" in statuses[4].message


async def test_the_in_memory_governor_counts_for_one_process(
    idle_bench: Bench, web: MockServer
) -> None:
    group_id = f"group-{idle_bench.queue}"
    quota = ResourceQuota(max_concurrent_workflows=1, http_rate_limit_per_minute=2)
    governor = DefaultResourceGovernor({group_id: quota}, clock=lambda: 0.0)
    group = RuntimeGroup(group_id=group_id, resource_governor=governor)
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker(sandboxed=True):
        for expected in (Completed, Completed, Failed):
            status = await (await bench.start(fetch(web), {"n": 1})).wait()
            assert isinstance(status, expected)
            while (await governor.get_usage(group_id))["active_workflows"]:
                await asyncio.sleep(0.01)
    await group.aclose()
    assert len(web.requests) == 2


async def test_a_governor_adds_nothing_to_the_history_of_a_run_that_need_not_wait(
    idle_bench: Bench, web: MockServer
) -> None:
    counted: list[dict[str, int]] = []
    for quota in (UsageQuota(), UsageQuota(concurrent_runs=9, http_calls=Budget(limit=99))):
        async with governed(idle_bench, quota) as bench:
            handle = await bench.start(fetch(web, "/ok"), {"n": 1})
            assert isinstance(await handle.wait(), Completed)
            counted.append(dict(kinds(await history(handle, bench.client))))
    assert counted[0] == counted[1]


async def test_the_ledger_goes_on_in_a_new_history(
    idle_bench: Bench, web: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xworkflow.workflows import governor

    monkeypatch.setattr(governor, "_MAX_UPDATES", 3)
    quota = UsageQuota(concurrent_runs=2, when_full="wait", http_calls=Budget(limit=1000))
    group = RuntimeGroup(group_id=f"group-{idle_bench.queue}", usage_quota=quota)
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker():
        handles = [await bench.start(fetch(web), {"n": 1}) for _ in range(10)]
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert statuses == [Completed({"body": "fine"})] * 10
        found = await until_free(bench)
        assert (found.running, found.most_running) == ((), 2)
        assert await _histories(bench.client, governor_id(group.group_id or "")) > 2
    await group.aclose()


async def _histories(client: Client, workflow_id: str) -> int:
    """How many histories a workflow has had, found through what continued what."""
    count, run_id = 1, None
    while True:
        temporal = client.get_workflow_handle(workflow_id, run_id=run_id)
        first = (await temporal.fetch_history()).events[0]
        run_id = first.workflow_execution_started_event_attributes.continued_execution_run_id
        if not run_id:
            return count
        count += 1


async def test_a_noisy_group_does_not_hold_up_another_one_of_the_same_process(
    temporal_client: Client, task_queue: str, web: MockServer
) -> None:
    """Each group has slots of its own."""
    few = WorkerSlots(activities=2, workflow_tasks=2, pollers=1)
    noisy = RuntimeGroup(group_id=f"noisy-{task_queue}", worker_slots=few)
    quiet = RuntimeGroup(group_id=f"quiet-{task_queue}")
    benches = [Bench(temporal_client, f"{g.group_id}", g) for g in (noisy, quiet)]
    async with benches[0].worker(), benches[1].worker():
        crowd = [await benches[0].start(fetch(web, "/never"), {"n": 1}) for _ in range(20)]
        while len(web.requests) < 2:
            await asyncio.sleep(0.01)
        async with asyncio.timeout(10):
            handle = await benches[1].start(fetch(web, "/ok"), {"n": 1})
            assert await handle.wait() == Completed({"body": "fine"})
        assert [request.path for request in web.requests] == ["/never", "/never", "/ok"]
        for run in crowd:
            await temporal_client.get_workflow_handle(run.execution_id).terminate()
    for bench in benches:
        await bench.group.aclose()


async def test_kinds_of_budgets_are_fields_of_the_quota() -> None:
    assert {kind.value for kind in Kind} <= set(UsageQuota.model_fields)
