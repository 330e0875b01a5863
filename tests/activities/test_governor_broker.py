"""Brokers of several processes over one ledger; only the wire between them is a fake."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any, cast

import pytest

from xworkflow.activities import place_lease
from xworkflow.activities.governor_broker import GovernorBroker
from xworkflow.domain.governing import (
    Budget,
    BudgetUsage,
    Exchange,
    Kind,
    Reply,
    RunAsks,
    UsageQuota,
)
from xworkflow.domain.ledger import Ledger
from xworkflow.errors import BudgetBusyError, NodeError

TOKENS, CALLS = Kind.LLM_TOKENS, Kind.HTTP_CALLS


@dataclass
class Wire:
    """A ledger that answers after a turn of the loop. ``now`` is its clock, in Unix ms."""

    ledger: Ledger
    now: int = 0
    exchanges: int = 0
    lost: int = 0

    async def say(self, given: Exchange) -> Reply:
        await asyncio.sleep(0)
        self.exchanges += 1
        reply = self.ledger.exchange(given, self.now)
        if self.lost:  # the answer does not arrive, and it is said again
            self.lost -= 1
            return await self.say(given)
        return reply


class Broker(GovernorBroker):
    def __init__(self, wire: Wire) -> None:
        super().__init__(cast("Any", None), "group", wire.ledger.quota)
        self.wire = wire

    async def _exchange(self, given: Exchange) -> Reply:
        return await self.wire.say(given)


def wired(quota: UsageQuota, processes: int = 1) -> tuple[Wire, list[Broker]]:
    wire = Wire(Ledger(quota=quota))
    return wire, [Broker(wire) for _ in range(processes)]


async def spend(broker: Broker, kind: Kind, estimate: int, used: int, patience: float = 5) -> bool:
    """One call: whether it was let through."""
    try:
        part = await broker.reserve({kind: estimate}, patience_secs=patience)
    except NodeError:
        return False
    await asyncio.sleep(0)
    part.settle({kind: used})
    return True


async def settled(wire: Wire, brokers: list[Broker], kind: Kind) -> BudgetUsage:
    for broker in brokers:
        await broker.aclose()
    return wire.ledger.usage(wire.now).budgets[kind]


@pytest.mark.parametrize("processes", [1, 4])
async def test_a_thousand_calls_at_once_overshoot_a_budget_by_at_most_one(processes: int) -> None:
    wire, brokers = wired(UsageQuota(llm_tokens=Budget(limit=10_000)), processes)
    calls = (spend(brokers[i % processes], TOKENS, 400, 130, 30) for i in range(1000))
    through = sum(await asyncio.gather(*calls))
    usage = await settled(wire, brokers, TOKENS)
    assert (usage.used, usage.leased) == (through * 130, 0)
    assert 10_000 <= usage.used < 10_000 + 130


async def test_a_thousand_counted_calls_are_let_through_exactly_as_often_as_there_is_budget() -> (
    None
):
    wire, brokers = wired(UsageQuota(http_calls=Budget(limit=300)), 4)
    calls = (spend(brokers[i % 4], CALLS, 1, 1) for i in range(1000))
    assert sum(await asyncio.gather(*calls)) == 300
    assert (await settled(wire, brokers, CALLS)).used == 300


async def test_calls_that_use_more_than_they_said_hold_others_back() -> None:
    """What they use beyond their part is owed by their process, and no other can have it."""
    wire, brokers = wired(UsageQuota(llm_tokens=Budget(limit=1_000)), 2)
    parts = [await broker.reserve({TOKENS: 400}, patience_secs=1) for broker in brokers]
    parts[0].settle({TOKENS: 600})
    assert not await spend(brokers[1], TOKENS, 100, 100, patience=0.2)
    parts[1].settle({TOKENS: 400})
    assert (await settled(wire, brokers, TOKENS)).used == 1_000


async def test_many_calls_need_few_exchanges() -> None:
    wire, (broker,) = wired(UsageQuota(http_calls=Budget(limit=10**9)))
    for _ in range(5_000):
        assert await spend(broker, CALLS, 1, 1)
    assert wire.exchanges < 50


async def test_an_answer_that_is_lost_changes_nothing() -> None:
    wire, (broker,) = wired(UsageQuota(http_calls=Budget(limit=100), concurrent_runs=2))
    for i in range(120):
        wire.lost = i % 3
        await spend(broker, CALLS, 1, 1)
    assert (await settled(wire, [broker], CALLS)).used == 100
    wire.lost = 2
    assert (await broker.admit("group", RunAsks(run="a"))).answer == "granted"
    assert list(wire.ledger.holders) == ["a"]


async def test_a_budget_is_new_in_the_next_window() -> None:
    wire, (broker,) = wired(UsageQuota(http_calls=Budget(limit=1, window_secs=1)))
    assert await spend(broker, CALLS, 1, 1)
    assert not await spend(broker, CALLS, 1, 1)
    wire.now = 1_000
    assert await spend(broker, CALLS, 1, 1)


async def test_a_lease_is_worth_nothing_after_its_window() -> None:
    wire, (broker,) = wired(UsageQuota(http_calls=Budget(limit=100, window_secs=60)))
    wire.now = 59_999  # a millisecond is left
    assert await spend(broker, CALLS, 1, 1)
    until = time.monotonic() + 0.002
    while time.monotonic() < until:
        await asyncio.sleep(0)
    wire.now = 60_000
    assert await spend(broker, CALLS, 1, 1)
    assert (await settled(wire, [broker], CALLS)).used == 1


async def test_a_call_that_was_cancelled_while_it_waited_leaves_nothing_behind() -> None:
    wire, (broker,) = wired(UsageQuota(llm_tokens=Budget(limit=100)))
    part = await broker.reserve({TOKENS: 100}, patience_secs=1)
    waiting = asyncio.create_task(broker.reserve({TOKENS: 100}, patience_secs=10))
    await asyncio.sleep(0.02)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    part.settle({})
    assert await spend(broker, TOKENS, 100, 60)
    assert (await settled(wire, [broker], TOKENS)).used == 60


async def test_one_that_has_no_patience_hears_that_others_hold_the_rest() -> None:
    _, (broker,) = wired(UsageQuota(llm_tokens=Budget(limit=100)))
    await broker.reserve({TOKENS: 100}, patience_secs=1)
    with pytest.raises(BudgetBusyError, match="set aside for calls that have not ended"):
        await broker.reserve({TOKENS: 100})
    await broker.aclose()


async def test_a_refusal_names_the_budget_and_when_it_is_new() -> None:
    _, (broker,) = wired(UsageQuota(http_calls=Budget(limit=0, window_secs=60)))
    with pytest.raises(NodeError, match=r"HTTP rate limit exceeded: 0/0 in 60 s") as caught:
        await broker.reserve({CALLS: 1})
    assert (caught.value.failure.retryable, caught.value.failure.retry_after_secs) == (True, 60)


async def test_what_one_budget_refuses_is_given_back_to_the_others() -> None:
    quota = UsageQuota(llm_requests=Budget(limit=5), llm_tokens=Budget(limit=0))
    wire, (broker,) = wired(quota)
    with pytest.raises(NodeError):
        await broker.reserve({Kind.LLM_REQUESTS: 1, TOKENS: 10})
    assert (await settled(wire, [broker], Kind.LLM_REQUESTS)).used == 0


async def answers(broker: Broker, *runs: str) -> list[str]:
    return [(await broker.admit("group", RunAsks(run=run))).answer for run in runs]


async def test_runs_one_after_another_cost_no_exchange_each() -> None:
    wire, (broker,) = wired(UsageQuota(concurrent_runs=10, runs=Budget(limit=1_000)))
    for i in range(100):
        assert await answers(broker, f"run-{i}") == ["granted"]
        await broker.record_workflow_end("group", f"run-{i}")
    assert wire.exchanges < 10
    await broker.aclose()
    usage = wire.ledger.usage(0)
    assert (usage.running, usage.leased) == ((), 0)
    assert (usage.budgets[Kind.RUNS].used, usage.budgets[Kind.RUNS].leased) == (100, 0)


@pytest.mark.parametrize("when_full", ["refuse", "wait"])
async def test_what_one_process_holds_back_is_found_by_another_before_it_refuses(
    when_full: str,
) -> None:
    quota = {"concurrent_runs": 10, "when_full": when_full}
    wire, (one, other) = wired(UsageQuota.model_validate(quota), 2)
    assert await answers(one, "a") == ["granted"]
    assert wire.ledger.usage(0).leased == 4
    granted = await answers(other, *(f"run-{i}" for i in range(9)))
    await one.aclose()
    waiting = [run.run for run in wire.ledger.grants(0)]
    assert granted.count("granted") + len(waiting) == 9
    assert wire.ledger.usage(0).most_running == 10
    if when_full == "refuse":
        assert (await answers(other, "run-9"), waiting) == (["refused"], [])
    await other.aclose()


async def test_the_ledger_hears_of_runs_that_last_and_the_place_of_one_is_given_back_once() -> None:
    wire, (broker,) = wired(UsageQuota(concurrent_runs=10))
    assert await answers(broker, "a", "b") == ["granted"] * 2
    while len(wire.ledger.holders) < 2:
        await asyncio.sleep(0.05)
    await broker.record_workflow_end("group", "b")
    await broker.record_workflow_end("group", "b")
    await broker.aclose()
    usage = wire.ledger.usage(0)
    assert (usage.running, usage.leased) == (("a",), 0)


async def test_a_run_that_asks_twice_has_one_place_of_a_lease() -> None:
    wire, (broker,) = wired(UsageQuota(concurrent_runs=10))
    assert await answers(broker, "a", "b", "b", "b") == ["granted"] * 4
    await broker.aclose()
    assert sorted(wire.ledger.holders) == ["a", "b"]


async def test_a_process_that_has_not_been_answered_for_long_uses_no_place_of_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(place_lease, "VALID_SECS", 0)
    wire, (broker,) = wired(UsageQuota(concurrent_runs=10))
    assert await answers(broker, "a", "b", "c") == ["granted"] * 3
    assert sorted(wire.ledger.holders) == ["a", "b", "c"]
    await broker.aclose()


async def test_a_quota_without_limits_speaks_to_nobody() -> None:
    wire, (broker,) = wired(UsageQuota())
    assert (await broker.admit("group", RunAsks(run="a"))).answer == "granted"
    await broker.record_workflow_end("group", "a")
    assert await spend(broker, CALLS, 1, 1)
    assert wire.exchanges == 0
