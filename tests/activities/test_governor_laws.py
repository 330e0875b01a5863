"""What every governor of a group keeps to, wherever it counts: over a ledger that is a workflow, or
over one in Redis. What only one of them promises is in its own file."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from functools import partial

import pytest

from tests.activities.governors import (
    AGES,
    CALLS,
    REQUESTS,
    TOKENS,
    Governors,
    answers,
    governors_over,
    spend,
)
from xworkflow.domain.governing import Budget, Kind, RunAsks, RunEnds
from xworkflow.domain.governing import UsageQuota as Quota
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import BudgetBusyError, NodeError

Governed = Callable[..., AbstractAsyncContextManager[Governors]]


@pytest.fixture
def governed(governor_url: str | None) -> Governed:
    """Given a quota, and how many processes: the governors of a group."""
    return partial(governors_over, governor_url)


# ---- budgets


@pytest.mark.parametrize("processes", [1, 4])
async def test_a_thousand_calls_at_once_overshoot_a_budget_by_at_most_one(
    governed: Governed, processes: int
) -> None:
    quota = Quota(llm_tokens=Budget(limit=10_000, window_secs=AGES))
    async with governed(quota, processes) as group:
        calls = (spend(group.all[i % processes], TOKENS, 400, 130, 30) for i in range(1000))
        through = sum(await asyncio.gather(*calls))
        usage = await group.settled(TOKENS)
    assert (usage.used, usage.leased) == (through * 130, 0)
    assert 10_000 <= usage.used < 10_000 + 130


async def test_counted_calls_are_let_through_exactly_as_often_as_there_is_budget(
    governed: Governed,
) -> None:
    async with governed(Quota(http_calls=Budget(limit=300, window_secs=AGES)), 4) as group:
        calls = (spend(group.all[i % 4], CALLS, 1, 1) for i in range(1000))
        assert sum(await asyncio.gather(*calls)) == 300
        assert (await group.settled(CALLS)).used == 300


async def test_calls_that_use_more_than_they_said_hold_others_back(governed: Governed) -> None:
    """What they use beyond their part, no other can have."""
    quota = Quota(llm_tokens=Budget(limit=1_000, window_secs=AGES))
    async with governed(quota, 2) as group:
        parts = [await governor.reserve({TOKENS: 400}, patience_secs=1) for governor in group.all]
        parts[0].settle({TOKENS: 600})
        assert not await spend(group.all[1], TOKENS, 100, 100, patience=0.2)
        parts[1].settle({TOKENS: 400})
        assert (await group.settled(TOKENS)).used == 1_000


async def test_the_last_call_of_a_budget_may_go_over_it_and_goes_alone(governed: Governed) -> None:
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(quota, 2) as group:
        one, other = group.all
        assert await spend(one, TOKENS, 70, 70)
        last = await other.reserve({TOKENS: 70}, patience_secs=5)
        with pytest.raises(BudgetBusyError):
            await one.reserve({TOKENS: 1}, patience_secs=0.1)
        last.settle({TOKENS: 70})
        assert (await group.settled(TOKENS)).used == 140
        with pytest.raises(NodeError, match=r"LLM token budget exceeded: 140/100"):
            await one.reserve({TOKENS: 1}, patience_secs=5)


async def test_money_is_counted_to_the_last_millionth(governed: Governed) -> None:
    """Lua prints numbers of more than 14 digits as it likes."""
    quota = Quota(llm_money=Budget(limit=9 * 10**15, window_secs=AGES))
    async with governed(quota) as group:
        for amount in (1_234_567_890_123_457, 3):
            part = await group.all[0].reserve({Kind.LLM_MONEY: amount})
            part.settle({Kind.LLM_MONEY: amount})
        assert (await group.settled(Kind.LLM_MONEY)).used == 1_234_567_890_123_460


async def test_one_that_has_no_patience_hears_that_others_hold_the_rest(
    governed: Governed,
) -> None:
    async with governed(Quota(llm_tokens=Budget(limit=100, window_secs=AGES)), 2) as group:
        await group.all[0].reserve({TOKENS: 100})
        for governor in group.all:
            for patience in (0, 0.1):
                with pytest.raises(
                    BudgetBusyError, match="set aside for calls that have not ended"
                ):
                    await governor.reserve({TOKENS: 100}, patience_secs=patience)


async def test_calls_that_wait_come_in_their_order(governed: Governed) -> None:
    async with governed(Quota(llm_tokens=Budget(limit=100, window_secs=AGES))) as group:
        part = await group.all[0].reserve({TOKENS: 100})
        order: list[int] = []

        async def wait(number: int) -> None:
            found = await group.all[0].reserve({TOKENS: 90}, patience_secs=10)
            order.append(number)
            found.settle({})

        waiting: list[asyncio.Task[None]] = []
        for number in range(3):
            waiting.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0.02)
        part.settle({})
        await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


async def test_a_call_that_was_cancelled_leaves_nothing_behind(governed: Governed) -> None:
    async with governed(Quota(llm_tokens=Budget(limit=100, window_secs=AGES))) as group:
        (governor,) = group.all
        for turns in range(12):  # at whatever step it is
            asking = asyncio.create_task(governor.reserve({TOKENS: 100}, patience_secs=10))
            for _ in range(turns):
                await asyncio.sleep(0)
            if asking.cancel():
                with pytest.raises(asyncio.CancelledError):
                    await asking
            else:
                asking.result().settle({})
        assert await spend(governor, TOKENS, 100, 60)
        assert (await group.settled(TOKENS)).used == 60


async def test_a_refusal_names_the_budget_and_when_it_is_new(governed: Governed) -> None:
    async with governed(Quota(http_calls=Budget(limit=0, window_secs=60))) as group:
        with pytest.raises(NodeError, match=r"HTTP rate limit exceeded: 0/0 in 60 s") as caught:
            await group.all[0].reserve({CALLS: 1})
    failure = caught.value.failure
    assert failure.retryable
    assert failure.retry_after_secs is not None
    assert 0 < failure.retry_after_secs <= 60
    assert failure.metadata["quota_type"] == "http_calls"


async def test_a_call_gets_all_of_its_budgets_or_none(governed: Governed) -> None:
    quota = Quota(
        llm_requests=Budget(limit=5, window_secs=AGES), llm_tokens=Budget(limit=0, window_secs=AGES)
    )
    async with governed(quota) as group:
        with pytest.raises(NodeError):
            await group.all[0].reserve({REQUESTS: 1, TOKENS: 10})
        usage = await group.settled(REQUESTS)
    assert (usage.used, usage.leased) == (0, 0)


async def test_a_budget_is_new_in_the_next_window_and_what_was_set_aside_is_of_the_old_one(
    governed: Governed,
) -> None:
    async with governed(Quota(http_calls=Budget(limit=1, window_secs=1))) as group:
        (governor,) = group.all
        await group.next_window(1)
        part = await governor.reserve({CALLS: 1})
        assert not await spend(governor, CALLS, 1, 1, patience=0)
        await group.next_window(1)
        part.settle({CALLS: 1})
        assert await spend(governor, CALLS, 1, 1, patience=0.2)


async def test_what_a_silent_process_has_set_aside_counts_as_used(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it says after all puts that right."""
    async with governed(Quota(llm_tokens=Budget(limit=100, window_secs=AGES)), 2) as group:
        silent, other = group.all
        part = await silent.reserve({TOKENS: 60})
        group.fall_silent(monkeypatch)
        (await other.reserve({TOKENS: 40})).settle({TOKENS: 10})
        usage = await group.settled(TOKENS, other)
        assert (usage.used, usage.leased) == (70, 0)
        part.settle({TOKENS: 25})
        async with asyncio.timeout(10):
            while (await group.settled(TOKENS)).used != 35:
                await asyncio.sleep(0.01)


async def test_a_process_that_lives_keeps_what_it_has_set_aside(
    governed: Governed, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with governed(Quota(llm_tokens=Budget(limit=100, window_secs=AGES)), 2) as group:
        group.haste(monkeypatch)
        slow, other = group.all
        await slow.reserve({TOKENS: 60})
        until = time.monotonic() + 1
        while time.monotonic() < until:
            await spend(other, TOKENS, 1, 0)
            await asyncio.sleep(0.01)
        assert (await group.usage()).budgets[TOKENS].used == 0


async def test_the_reference_s_questions_are_answered_out_of_the_same_counts(
    governed: Governed,
) -> None:
    """spec/runtime.md 6.5"""
    quota = Quota.model_validate(
        {
            "concurrent_runs": 1,
            "http_calls": {"limit": 2, "window_secs": AGES},
            "llm_requests": {"limit": 9, "window_secs": AGES},
            "llm_tokens": {"limit": 100, "window_secs": AGES},
        }
    )
    async with governed(quota) as group:
        (governor,) = group.all
        await governor.check_workflow_start("group")
        for _ in range(2):
            await governor.record_workflow_start("group", "a")
            await governor.check_http_rate("group")
        await governor.check_llm_request("group", 60)
        await governor.record_llm_usage("group", LlmUsage(total_tokens=40))
        with pytest.raises(NodeError, match=r"Concurrent workflow limit exceeded: 1/1"):
            await governor.check_workflow_start("group")
        with pytest.raises(NodeError, match=r"HTTP rate limit exceeded: 2/2"):
            await governor.check_http_rate("group")
        await group.settled(TOKENS)
        assert await governor.get_usage("group") == {
            "active_workflows": 1,
            "http_requests_this_minute": 2,
            "llm_requests_this_minute": 1,
            "llm_tokens_today": 40,
        }
        await group.ended("a")
        await governor.check_workflow_start("group")


# ---- runs


async def test_places_are_given_once_each_over_all_processes(governed: Governed) -> None:
    async with governed(Quota(concurrent_runs=10), 4) as group:
        asks = [RunAsks(run=f"run-{i // 2}") for i in range(100)]
        asked = (group.all[i // 2 % 4].admit("group", ask) for i, ask in enumerate(asks))
        verdicts = await asyncio.gather(*asked)
        usage = await group.usage()
    granted = {a.run for a, v in zip(asks, verdicts, strict=True) if v.answer == "granted"}
    assert len(granted) == 10
    assert sum(v.answer == "granted" for v in verdicts) == 20
    assert set(usage.running) <= granted
    assert len(usage.running) + usage.leased == usage.most_running == 10
    refused = [v for v in verdicts if v.answer == "refused"]
    assert {v.reason for v in refused} == {"Concurrent workflow limit exceeded: 10/10"}
    details = {"quota_type": "concurrent_workflows", "limit": 10, "current": 10}
    assert refused[0].details == details


async def test_a_run_has_one_place_however_often_it_asks_and_gives_back_one(
    governed: Governed,
) -> None:
    async with governed(Quota(concurrent_runs=2)) as group:
        (governor,) = group.all
        assert await answers(governor, *"aaba") == ["granted"] * 4
        assert await answers(governor, "c") == ["refused"]
        await group.ended("b", "b")
        assert await answers(governor, "c", "d", "a") == ["granted", "refused", "granted"]


async def test_an_answer_that_is_lost_and_asked_for_again_changes_nothing(
    governed: Governed,
) -> None:
    quota = Quota(concurrent_runs=2, http_calls=Budget(limit=100, window_secs=AGES))
    async with governed(quota) as group:
        (governor,) = group.all
        group.lose_answers()
        assert sum([await spend(governor, CALLS, 1, 1) for _ in range(120)]) == 100
        assert await answers(governor, *"abc") == ["granted", "granted", "refused"]
        assert (await group.settled(CALLS)).used == 100
        assert set((await group.usage()).running) == {"a", "b"}


async def test_starts_are_counted_in_windows(governed: Governed) -> None:
    async with governed(Quota(runs=Budget(limit=2, window_secs=86_400))) as group:
        (governor,) = group.all
        assert await answers(governor, "a", "a", "b") == ["granted"] * 3
        await group.ended("a", "b")
        refused = await governor.admit("group", RunAsks(run="c"))
        assert refused.reason == "Workflow rate limit exceeded: 2/2 in a day"
        assert refused.details == {"quota_type": "runs", "limit": 2, "current": 2}
        assert await answers(governor, "a", turn=1) == ["granted"]  # it goes on after a wait


async def test_queued_runs_are_told_of_their_places_in_order(governed: Governed) -> None:
    async with governed(Quota(concurrent_runs=1, when_full="wait", max_waiting=3), 2) as group:
        one, other = group.all
        assert await answers(one, *"abcd") == ["granted", "queued", "queued", "queued"]
        crowded = await other.admit("group", RunAsks(run="e"))
        assert crowded.reason == "Too many waiting workflows: 3/3"
        assert crowded.details["quota_type"] == "waiting_workflows"
        await group.ended("c", "a", by=1)  # c was stopped while it waited
        assert await group.temporal.until_told(1) == ["b"]
        await group.ended("b")
        assert await group.temporal.until_told(2) == ["b", "d"]
        await group.ended("d")
        assert (await group.usage()).waiting == 0


async def test_places_are_shared_between_fair_keys(governed: Governed) -> None:
    async with governed(Quota(concurrent_runs=2, when_full="wait", fair_by="user")) as group:
        for number in range(250):
            ask = RunAsks(run=f"noisy-{number}", fair_key="no:is|y")
            await group.all[0].admit("group", ask)
        await group.all[0].admit("group", RunAsks(run="quiet", fair_key="quiet"))
        await group.ended("noisy-0")
        assert await group.temporal.until_told(1) == ["quiet"]


async def test_a_run_that_waits_for_people_is_never_refused_when_it_goes_on(
    governed: Governed,
) -> None:
    budget = Budget(limit=2, window_secs=AGES)
    quota = Quota(concurrent_runs=1, runs=budget, count_waiting=False)
    async with governed(quota) as group:
        (governor,) = group.all
        assert await answers(governor, "a") == ["granted"]
        await group.release(RunEnds(run="a", turn=0))
        assert await answers(governor, "b") == ["granted"]
        assert await answers(governor, "a", turn=1) == ["queued"]
        await group.release(RunEnds(run="a", turn=0))  # too late
        await group.ended("b")
        await group.temporal.until_told(1)
        assert group.temporal.told == [("a", 1)]


async def test_a_place_that_is_given_back_too_late_stays_with_its_run(governed: Governed) -> None:
    async with governed(Quota(concurrent_runs=1, count_waiting=False)) as group:
        (governor,) = group.all
        assert await answers(governor, "a") == ["granted"]
        assert await answers(governor, "a", turn=1) == ["granted"]
        await group.release(RunEnds(run="a", turn=0))
        assert await answers(governor, "b") == ["refused"]


async def test_a_quota_without_limits_asks_nobody(governed: Governed) -> None:
    async with governed(Quota()) as group:
        (governor,) = group.all
        assert await answers(governor, "a") == ["granted"]
        await governor.record_workflow_end("group", "a")
        assert await spend(governor, CALLS, 1, 1)
        assert group.asked_nobody
