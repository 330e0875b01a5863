"""What brokers promise because they lease: few exchanges, and leases that bind nobody else.

The laws of all governors are in test_governor_laws.py."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.activities.governors import AGES, CALLS, answers, over_the_ledger, spend
from xworkflow.activities import place_lease
from xworkflow.domain.governing import Budget, Kind, UsageQuota


async def test_many_calls_need_few_exchanges() -> None:
    async with over_the_ledger(UsageQuota(http_calls=Budget(limit=10**9))) as group:
        for _ in range(5_000):
            assert await spend(group.all[0], CALLS, 1, 1)
        assert group.wire.exchanges < 50


async def test_a_lease_is_worth_nothing_after_its_window() -> None:
    quota = UsageQuota(http_calls=Budget(limit=100, window_secs=60))
    async with over_the_ledger(quota) as group:
        (broker,) = group.all
        group.wire.stopped = 59_999  # a millisecond is left
        assert await spend(broker, CALLS, 1, 1)
        until = time.monotonic() + 0.002
        while time.monotonic() < until:
            await asyncio.sleep(0)
        group.wire.stopped = 60_000
        assert await spend(broker, CALLS, 1, 1)
        assert (await group.settled(CALLS)).used == 1


async def test_runs_one_after_another_cost_no_exchange_each() -> None:
    quota = UsageQuota(concurrent_runs=10, runs=Budget(limit=1_000, window_secs=AGES))
    async with over_the_ledger(quota) as group:
        (broker,) = group.all
        for i in range(100):
            assert await answers(broker, f"run-{i}") == ["granted"]
            await broker.record_workflow_end("group", f"run-{i}")
        assert group.wire.exchanges < 10
        starts = await group.settled(Kind.RUNS)
        assert (starts.used, starts.leased) == (100, 0)
        usage = await group.usage()
        assert (usage.running, usage.leased) == ((), 0)


@pytest.mark.parametrize("when_full", ["refuse", "wait"])
async def test_what_one_process_holds_back_is_found_by_another_before_it_refuses(
    when_full: str,
) -> None:
    quota = UsageQuota.model_validate({"concurrent_runs": 10, "when_full": when_full})
    async with over_the_ledger(quota, 2) as group:
        one, other = group.all
        assert await answers(one, "a") == ["granted"]
        assert (await group.usage()).leased == 4
        granted = await answers(other, *(f"run-{i}" for i in range(9)))
        await one.aclose()
        assert granted.count("granted") + len(group.temporal.told) == 9
        assert (await group.usage()).most_running == 10
        if when_full == "refuse":
            assert await answers(other, "run-9") == ["refused"]
            assert group.temporal.told == []


async def test_the_ledger_hears_of_runs_that_last_and_the_place_of_one_is_given_back_once() -> None:
    async with over_the_ledger(UsageQuota(concurrent_runs=10)) as group:
        (broker,) = group.all
        assert await answers(broker, "a", "b") == ["granted"] * 2
        while len(group.ledger.holders) < 2:
            await asyncio.sleep(0.05)
        await broker.record_workflow_end("group", "b")
        await broker.record_workflow_end("group", "b")
        await broker.aclose()
        usage = await group.usage()
        assert (usage.running, usage.leased) == (("a",), 0)


async def test_a_run_that_asks_twice_has_one_place_of_a_lease() -> None:
    async with over_the_ledger(UsageQuota(concurrent_runs=10)) as group:
        (broker,) = group.all
        assert await answers(broker, "a", "b", "b", "b") == ["granted"] * 4
        await broker.aclose()
        assert sorted(group.ledger.holders) == ["a", "b"]


async def test_a_process_that_has_not_been_answered_for_long_uses_no_place_of_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place_lease, "VALID_SECS", 0)
    async with over_the_ledger(UsageQuota(concurrent_runs=10)) as group:
        assert await answers(group.all[0], "a", "b", "c") == ["granted"] * 3
        assert sorted(group.ledger.holders) == ["a", "b", "c"]


async def test_what_was_used_is_told_soon_also_when_the_call_took_long() -> None:
    """That a process lives is told at longer intervals, but that is no reason to wait for it."""
    quota = UsageQuota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with over_the_ledger(quota) as group:
        part = await group.all[0].reserve({Kind.LLM_TOKENS: 60})
        await asyncio.sleep(0)
        part.settle({Kind.LLM_TOKENS: 60})
        async with asyncio.timeout(2):
            while (await group.usage()).budgets[Kind.LLM_TOKENS].used != 60:
                await asyncio.sleep(0.01)
