"""Governors of several processes over one Redis; only Temporal is a fake."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
import uuid
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis
from temporalio.service import RPCError, RPCStatusCode

from tests.redis_server import RedisServer, redis_server
from xworkflow.activities import redis_budgets, redis_ledger
from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.activities.redis_ledger import RedisLedger
from xworkflow.domain.governing import Budget, BudgetUsage, Exchange, Kind, RunAsks, RunEnds
from xworkflow.domain.governing import UsageQuota as Quota
from xworkflow.domain.ledger import Ledger
from xworkflow.domain.wire import SLOT_SIGNAL, SlotGranted
from xworkflow.errors import BudgetBusyError, GovernorAwayError, MisuseError, NodeError

TOKENS, CALLS, REQUESTS = Kind.LLM_TOKENS, Kind.HTTP_CALLS, Kind.LLM_REQUESTS
AGES = 10**9
"""A window that does not end while a test runs."""


class Temporal:
    """A server that has no open runs, and notes who was told of a place."""

    def __init__(self) -> None:
        self.told: list[tuple[str, int]] = []
        self.over: set[str] = set()
        self.deaf: set[str] = set()

    async def list_workflows(self, query: str) -> AsyncIterator[Any]:
        del query
        for run in ():
            yield run

    def get_workflow_handle(self, run: str) -> Any:
        async def signal(name: str, told: SlotGranted) -> None:
            assert name == SLOT_SIGNAL
            if run in self.over:
                raise RPCError("over", RPCStatusCode.NOT_FOUND, b"")
            if run in self.deaf:
                raise RPCError("away", RPCStatusCode.UNAVAILABLE, b"")
            self.told.append((run, told.turn))

        return SimpleNamespace(signal=signal)


@asynccontextmanager
async def governed(
    url: str, quota: Quota, processes: int = 1, temporal: Temporal | None = None
) -> AsyncGenerator[list[RedisGovernor]]:
    """Governors of a group of its own."""
    client = cast("Any", temporal or Temporal())
    group = uuid.uuid4().hex
    governors = [RedisGovernor(url, client, group, quota) for _ in range(processes)]
    async with AsyncExitStack() as stack:
        for governor in governors:
            stack.push_async_callback(governor.aclose)
        yield governors


async def spend(
    governor: RedisGovernor, kind: Kind, estimate: int, used: int, patience: float = 5
) -> bool:
    """One call: whether it was let through."""
    try:
        part = await governor.reserve({kind: estimate}, patience_secs=patience)
    except NodeError:
        return False
    await asyncio.sleep(0)
    part.settle({kind: used})
    return True


async def settled(governor: RedisGovernor, kind: Kind) -> BudgetUsage:
    """What is used once all has been told."""
    while (found := (await governor.usage()).budgets[kind]).leased:
        await asyncio.sleep(0.01)
    return found


async def answers(governor: RedisGovernor, *runs: str, turn: int = 0) -> list[str]:
    asks = (RunAsks(run=run, turn=turn) for run in runs)
    return [(await governor.admit("group", ask)).answer for ask in asks]


async def until_told(temporal: Temporal, count: int) -> list[str]:
    async with asyncio.timeout(20):
        while len(temporal.told) < count:
            await asyncio.sleep(0.01)
    return [run for run, _ in temporal.told]


async def ended(governor: RedisGovernor, *runs: str) -> None:
    for run in runs:
        await governor.record_workflow_end("group", run)
    while set((await governor.usage()).running) & set(runs):
        await asyncio.sleep(0.01)


# ---- budgets


@pytest.mark.parametrize("processes", [1, 4])
async def test_a_thousand_calls_at_once_overshoot_a_budget_by_at_most_one(
    redis_url: str, processes: int
) -> None:
    quota = Quota(llm_tokens=Budget(limit=10_000, window_secs=AGES))
    async with governed(redis_url, quota, processes) as governors:
        calls = (spend(governors[i % processes], TOKENS, 400, 130, 30) for i in range(1000))
        through = sum(await asyncio.gather(*calls))
        usage = await settled(governors[0], TOKENS)
    assert (usage.used, usage.leased) == (through * 130, 0)
    assert 10_000 <= usage.used < 10_000 + 130


async def test_counted_calls_are_let_through_exactly_as_often_as_there_is_budget(
    redis_url: str,
) -> None:
    async with governed(
        redis_url, Quota(http_calls=Budget(limit=300, window_secs=AGES)), 4
    ) as all_:
        calls = (spend(all_[i % 4], CALLS, 1, 1) for i in range(1000))
        assert sum(await asyncio.gather(*calls)) == 300
        assert (await settled(all_[0], CALLS)).used == 300


async def test_calls_that_use_more_than_they_said_hold_others_back(redis_url: str) -> None:
    quota = Quota(llm_tokens=Budget(limit=1_000, window_secs=AGES))
    async with governed(redis_url, quota, 2) as (one, other):
        parts = [await governor.reserve({TOKENS: 400}) for governor in (one, other)]
        parts[0].settle({TOKENS: 600})
        assert not await spend(other, TOKENS, 100, 100, patience=0.2)
        parts[1].settle({TOKENS: 400})
        assert (await settled(one, TOKENS)).used == 1_000


async def test_money_is_counted_to_the_last_millionth(redis_url: str) -> None:
    """Lua prints numbers of more than 14 digits as it likes."""
    quota = Quota(llm_money=Budget(limit=9 * 10**15, window_secs=AGES))
    async with governed(redis_url, quota) as (governor,):
        for amount in (1_234_567_890_123_457, 3):
            part = await governor.reserve({Kind.LLM_MONEY: amount})
            part.settle({Kind.LLM_MONEY: amount})
        assert (await settled(governor, Kind.LLM_MONEY)).used == 1_234_567_890_123_460


async def test_one_that_has_no_patience_hears_that_others_hold_the_rest(redis_url: str) -> None:
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(redis_url, quota, 2) as (one, other):
        await one.reserve({TOKENS: 100})
        for patience in (0, 0.1):
            with pytest.raises(BudgetBusyError, match="set aside for calls that have not ended"):
                await other.reserve({TOKENS: 100}, patience_secs=patience)


async def test_calls_that_wait_come_in_their_order(redis_url: str) -> None:
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(redis_url, quota) as (governor,):
        part = await governor.reserve({TOKENS: 100})
        order: list[int] = []

        async def wait(number: int) -> None:
            found = await governor.reserve({TOKENS: 90}, patience_secs=10)
            order.append(number)
            found.settle({})

        waiting: list[asyncio.Task[None]] = []
        for number in range(3):
            waiting.append(asyncio.create_task(wait(number)))
            await asyncio.sleep(0.02)
        part.settle({})
        await asyncio.gather(*waiting)
    assert order == [0, 1, 2]


async def test_a_call_that_was_cancelled_leaves_nothing_behind(redis_url: str) -> None:
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(redis_url, quota) as (governor,):
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
        assert (await settled(governor, TOKENS)).used == 60


async def test_a_refusal_names_the_budget_and_when_it_is_new(redis_url: str) -> None:
    async with governed(redis_url, Quota(http_calls=Budget(limit=0, window_secs=60))) as (one,):
        with pytest.raises(NodeError, match=r"HTTP rate limit exceeded: 0/0 in 60 s") as caught:
            await one.reserve({CALLS: 1})
    failure = caught.value.failure
    assert failure.retryable
    assert failure.retry_after_secs is not None
    assert 0 < failure.retry_after_secs <= 60
    assert failure.metadata["quota_type"] == "http_calls"


async def test_a_call_gets_all_of_its_budgets_or_none(redis_url: str) -> None:
    quota = Quota(
        llm_requests=Budget(limit=5, window_secs=AGES), llm_tokens=Budget(limit=0, window_secs=AGES)
    )
    async with governed(redis_url, quota) as (governor,):
        with pytest.raises(NodeError):
            await governor.reserve({REQUESTS: 1, TOKENS: 10})
        usage = (await governor.usage()).budgets[REQUESTS]
    assert (usage.used, usage.leased) == (0, 0)


async def test_a_budget_is_new_in_the_next_window_and_what_was_set_aside_is_of_the_old_one(
    redis_url: str,
) -> None:
    quota = Quota(http_calls=Budget(limit=1, window_secs=1))
    async with governed(redis_url, quota) as (governor,):
        while time.time() % 1 > 0.5:
            await asyncio.sleep(0.02)
        part = await governor.reserve({CALLS: 1})
        assert not await spend(governor, CALLS, 1, 1, patience=0)
        window = int(time.time())
        while int(time.time()) == window:
            await asyncio.sleep(0.02)
        part.settle({CALLS: 1})
        assert await spend(governor, CALLS, 1, 1, patience=0.2)


async def test_what_a_silent_process_has_set_aside_counts_as_used(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what it says after all puts that right."""
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(redis_url, quota, 2) as (silent, other):
        part = await silent.reserve({TOKENS: 60})
        monkeypatch.setattr(redis_ledger, "SILENCE_MS", 0)
        (await other.reserve({TOKENS: 40})).settle({TOKENS: 10})
        usage = await settled(other, TOKENS)
        assert (usage.used, usage.leased) == (70, 0)
        part.settle({TOKENS: 25})
        while (await other.usage()).budgets[TOKENS].used != 35:
            await asyncio.sleep(0.01)


async def test_a_process_that_lives_keeps_what_it_has_set_aside(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "SILENCE_MS", 400)
    monkeypatch.setattr(redis_budgets, "ALIVE_SECS", 0.05)
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(redis_url, quota, 2) as (slow, other):
        await slow.reserve({TOKENS: 60})
        until = time.monotonic() + 1
        while time.monotonic() < until:
            await spend(other, TOKENS, 1, 0)
        assert (await other.usage()).budgets[TOKENS].used == 0


async def test_whatever_is_said_twice_is_taken_once(redis_url: str) -> None:
    quota = Quota(llm_tokens=Budget(limit=100, window_secs=AGES), concurrent_runs=2)
    ledger = RedisLedger(redis_url, uuid.uuid4().hex, quota)
    part, charges = f"{ledger.process}|1", json.dumps([("llm_tokens", 60, 100, AGES * 1000)])
    settles = {"settles": [(part, "llm_tokens", 50, AGES * 1000)], "ends": [("a",)]}
    await restored(ledger)
    for operation in (
        ("admit", "a", "0", ""),
        ("reserve", part, charges),
        ("admit", "b", "0", ""),
        ("tell", json.dumps(settles)),
    ):
        first = await ledger.call(*operation)
        assert (await ledger.call(*operation)).word == first.word
    found = (await ledger.call("usage")).rest
    await ledger.aclose()
    assert found[0] == ["b"]
    assert found[3] == [["llm_tokens", "50", "0", "100"]]


async def restored(ledger: RedisLedger) -> None:
    """A ledger that knows that nobody runs."""
    await ledger.call("restore", json.dumps({"holders": [], "waiting": []}))


# ---- runs


async def test_a_place_is_given_once_over_all_processes(redis_url: str) -> None:
    async with governed(redis_url, Quota(concurrent_runs=10), 4) as all_:
        asked = (all_[i % 4].admit("group", RunAsks(run=f"run-{i // 2}")) for i in range(100))
        verdicts = await asyncio.gather(*asked)
        usage = await all_[0].usage()
    assert len(usage.running) == usage.most_running == 10
    refused = {v.reason for v in verdicts if v.answer == "refused"}
    assert refused == {"Concurrent workflow limit exceeded: 10/10"}
    assert sum(v.answer == "granted" for v in verdicts) == 20


async def test_starts_are_counted_in_windows(redis_url: str) -> None:
    quota = Quota(runs=Budget(limit=2, window_secs=86_400))
    async with governed(redis_url, quota) as (governor,):
        assert await answers(governor, "a", "a", "b") == ["granted"] * 3
        await ended(governor, "a", "b")
        refused = await governor.admit("group", RunAsks(run="c"))
        assert refused.reason == "Workflow rate limit exceeded: 2/2 in a day"
        assert await answers(governor, "a", turn=1) == ["granted"]  # it goes on after a wait


async def test_waiting_runs_start_when_a_window_of_starts_has_ended(redis_url: str) -> None:
    temporal = Temporal()
    quota = Quota(runs=Budget(limit=1, window_secs=1), when_full="wait")
    async with governed(redis_url, quota, temporal=temporal) as (governor,):
        governor.start()
        await answers(governor, "a", "b", "c")
        assert await until_told(temporal, 2) == ["b", "c"]


async def test_queued_runs_are_told_of_their_places_in_order(redis_url: str) -> None:
    temporal = Temporal()
    quota = Quota(concurrent_runs=1, when_full="wait", max_waiting=3)
    async with governed(redis_url, quota, 2, temporal) as (one, other):
        assert await answers(one, *"abcd") == ["granted", "queued", "queued", "queued"]
        crowded = await other.admit("group", RunAsks(run="e"))
        assert crowded.reason == "Too many waiting workflows: 3/3"
        await ended(other, "c", "a")  # c was stopped while it waited
        assert await until_told(temporal, 1) == ["b"]
        await ended(one, "b")
        assert await until_told(temporal, 2) == ["b", "d"]


async def test_places_are_shared_between_fair_keys(redis_url: str) -> None:
    temporal = Temporal()
    quota = Quota(concurrent_runs=2, when_full="wait", fair_by="user")
    async with governed(redis_url, quota, temporal=temporal) as (governor,):
        for number in range(250):
            await governor.admit("group", RunAsks(run=f"noisy-{number}", fair_key="no:is|y"))
        await governor.admit("group", RunAsks(run="quiet", fair_key="quiet"))
        await ended(governor, "noisy-0")
        assert await until_told(temporal, 1) == ["quiet"]


async def test_a_run_that_waits_for_people_is_never_refused_when_it_goes_on(
    redis_url: str,
) -> None:
    temporal = Temporal()
    quota = Quota(concurrent_runs=1, runs=Budget(limit=2, window_secs=AGES), count_waiting=False)
    async with governed(redis_url, quota, temporal=temporal) as (governor,):
        assert await answers(governor, "a") == ["granted"]
        await governor.release([RunEnds(run="a", turn=0)])
        assert await answers(governor, "b") == ["granted"]
        assert await answers(governor, "a", turn=1) == ["queued"]
        await governor.release([RunEnds(run="a", turn=0)])  # too late
        await ended(governor, "b")
        await until_told(temporal, 1)
        assert temporal.told == [("a", 1)]


async def test_the_place_of_a_run_that_is_over_when_it_is_told_goes_to_the_next(
    redis_url: str,
) -> None:
    temporal = Temporal()
    temporal.over = {"b", "c"}
    quota = Quota(concurrent_runs=1, when_full="wait")
    async with governed(redis_url, quota, temporal=temporal) as (governor,):
        await answers(governor, *"abcd")
        await ended(governor, "a")
        assert await until_told(temporal, 1) == ["d"]
        assert (await governor.usage()).running == ("d",)


async def test_a_run_that_could_not_be_told_is_told_by_another_process(redis_url: str) -> None:
    temporal = Temporal()
    temporal.deaf = {"b"}
    quota = Quota(concurrent_runs=1, when_full="wait")
    async with governed(redis_url, quota, 2, temporal) as (one, other):
        await answers(one, *"ab")
        await ended(one, "a")
        assert temporal.told == []
        temporal.deaf.clear()
        other.start()
        await until_told(temporal, 1)
        assert temporal.told == [("b", 0)]


async def test_a_quota_without_limits_never_connects() -> None:
    async with governed("redis://127.0.0.1:1", Quota()) as (governor,):
        assert await answers(governor, "a") == ["granted"]
        await governor.record_workflow_end("group", "a")
        assert await spend(governor, CALLS, 1, 1)


# ---- the script against the ledger that is a workflow, and against a sum


RUNS = st.sampled_from([f"run-{i}" for i in range(8)])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("ask"), RUNS, st.integers(0, 2)),
        st.tuples(st.just("end"), RUNS, st.one_of(st.none(), st.integers(0, 2))),
    ),
    max_size=30,
)


@settings(max_examples=60)
@given(
    steps=STEPS,
    when_full=st.sampled_from(["refuse", "wait"]),
    starts=st.sampled_from([None, 4]),
    keys=st.integers(1, 3),
)
def test_runs_get_what_the_ledger_that_is_a_workflow_gives_them(
    redis_url: str,
    steps: list[tuple[str, str, int | None]],
    when_full: str,
    starts: int | None,
    keys: int,
) -> None:
    quota = Quota.model_validate(
        {
            "concurrent_runs": 3,
            "when_full": when_full,
            "max_waiting": 3,
            "runs": None if starts is None else {"limit": starts, "window_secs": AGES},
        }
    )
    model, now = Ledger(quota=quota), int(time.time() * 1000)
    numbers = itertools.count(1)

    def exchange(**parts: Any) -> list[Any]:
        given = Exchange(broker="b", seq=next(numbers), quota=quota, **parts)
        reply = model.exchange(given, now)
        words = [v.answer for v in reply.verdicts]
        return [words, [(ask.run, ask.turn) for ask in model.grants(now)]]

    async def compare() -> None:
        ledger = RedisLedger(redis_url, uuid.uuid4().hex, quota)
        await restored(ledger)
        for step, run, turn in steps:
            if step == "ask":
                key = str(int(run[-1]) % keys)
                ask = RunAsks(run=run, turn=turn or 0, fair_key=key)
                said = await ledger.call("admit", run, str(turn or 0), key)
                words = [said.word if said.word in {"granted", "queued"} else "refused"]
                assert [words, list(said.told)] == exchange(asks=(ask,))
            else:
                end = (run,) if turn is None else (run, turn)
                said = await ledger.call("tell", json.dumps({"settles": [], "ends": [end]}))
                assert [[], list(said.told)] == exchange(ends=(RunEnds(run=run, turn=turn),))
            usage, found = model.usage(now), (await ledger.call("usage")).rest
            assert set(found[0]) == set(usage.running)
            assert tuple(found[1:3]) == (usage.waiting, usage.most_running)
            used = [int(kind[1]) for kind in found[3]]
            assert used == [budget.used for budget in usage.budgets.values()]
        await ledger.aclose()

    asyncio.run(compare())


class Sum:
    """What budgets of 100 should say, added up anew each time."""

    limit = 100

    def __init__(self) -> None:
        self.used = dict.fromkeys(KINDS, 0)
        self.parts: dict[int, dict[str, int]] = {}

    def aside(self, kind: str) -> int:
        return sum(part.get(kind, 0) for part in self.parts.values())

    def reserve(self, number: int, charges: dict[str, int]) -> str:
        if number in self.parts:
            return "granted"
        free = {kind: self.limit - self.used[kind] - self.aside(kind) for kind in charges}
        short = [kind for kind, amount in charges.items() if free[kind] < amount]
        if any(not self.aside(kind) and free[kind] <= 0 for kind in short):
            return "spent"
        if any(self.aside(kind) for kind in short):
            return "busy"
        self.parts[number] = {kind: min(free[kind], charges[kind]) for kind in charges}
        return "granted"

    def settle(self, number: int, amounts: dict[str, int]) -> None:
        for kind in self.parts.pop(number, {}):
            self.used[kind] += amounts[kind]

    @property
    def found(self) -> dict[str, tuple[int, int]]:
        return {kind: (self.used[kind], self.aside(kind)) for kind in KINDS}


KINDS: tuple[str, ...] = ("llm_requests", "llm_tokens")
AMOUNT = st.integers(0, 60)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 9), AMOUNT, AMOUNT), max_size=40))
def test_budgets_are_what_a_sum_over_all_calls_says(
    redis_url: str, calls: list[tuple[bool, int, int, int]]
) -> None:
    budget = Budget(limit=Sum.limit, window_secs=AGES)
    quota = Quota(llm_requests=budget, llm_tokens=budget)
    model = Sum()

    async def compare() -> None:
        ledger = RedisLedger(redis_url, uuid.uuid4().hex, quota)
        for reserves, number, *two in calls:
            part, amounts = f"{ledger.process}|{number}", dict(zip(KINDS, two, strict=True))
            if reserves:
                # the same number is the same call, with the same charges
                charges = {k: n for k, n in amounts.items() if n} or {KINDS[0]: 1}
                charges = model.parts.get(number, charges)
                asked = [(kind, n, Sum.limit, AGES * 1000) for kind, n in charges.items()]
                said = await ledger.call("reserve", part, json.dumps(asked))
                assert said.word == model.reserve(number, charges)
            else:
                settles = [(part, kind, n, AGES * 1000) for kind, n in amounts.items()]
                await ledger.call("tell", json.dumps({"settles": settles, "ends": []}))
                model.settle(number, amounts)
            budgets = (await ledger.call("usage")).rest[3]
            assert {kind: (int(u), int(a)) for kind, u, a, _ in budgets} == model.found
        await ledger.aclose()

    asyncio.run(compare())


# ---- Redis itself


async def test_keys_of_a_group_share_one_hash_tag_and_expire(redis_url: str) -> None:
    quota = Quota(concurrent_runs=1, when_full="wait", http_calls=Budget(limit=9))
    async with governed(redis_url, quota) as (governor,):
        await answers(governor, "a", "b")
        await governor.reserve({CALLS: 1})
        connection: Any = Redis.from_url(redis_url, decode_responses=True)  # pyright: ignore[reportUnknownMemberType]
        async with connection as redis:
            tag = f"{{xworkflow:{governor.group_id}}}:"
            keys = [key async for key in redis.scan_iter(match="*") if governor.group_id in key]
            assert len(keys) > 5
            assert all(key.startswith(tag) for key in keys)
            lives = [await redis.ttl(key) for key in keys]
    assert min(lives) > 6 * 86_400


async def test_a_cluster_serves_the_same(redis_program: Path) -> None:
    quota = Quota(concurrent_runs=10, llm_tokens=Budget(limit=1_000, window_secs=AGES))
    with redis_server(redis_program, cluster=True) as server:
        async with governed(server.url, quota, 2) as all_:
            asked = (all_[i % 2].admit("group", RunAsks(run=f"run-{i}")) for i in range(100))
            verdicts = await asyncio.gather(*asked)
            assert sum(v.answer == "granted" for v in verdicts) == 10
            calls = (spend(all_[i % 2], TOKENS, 100, 50) for i in range(100))
            assert sum(await asyncio.gather(*calls)) == 20
            server.stop()
            with pytest.raises(GovernorAwayError):
                await answers(all_[0], "late")


async def test_a_redis_that_is_away_admits_nobody_and_says_where_it_should_be() -> None:
    quota = Quota(concurrent_runs=1, http_calls=Budget(limit=9))
    async with governed("redis://me:secret@127.0.0.1:1/2", quota) as (governor,):
        for asking in (governor.admit("group", RunAsks(run="a")), governor.reserve({CALLS: 1})):
            with pytest.raises(GovernorAwayError, match=r"at redis://127\.0\.0\.1:1/2 ") as caught:
                await asking
            assert caught.value.failure.retryable
            assert "see that it runs" in str(caught.value)
            assert "secret" not in str(caught.value)


async def test_a_redis_that_never_answers_is_waited_for_a_few_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        async with governed(url, Quota(concurrent_runs=1)) as (governor,):
            began = time.monotonic()
            asked = (governor.admit("group", RunAsks(run=f"run-{i}")) for i in range(100))
            found = await asyncio.gather(*asked, return_exceptions=True)
            assert time.monotonic() - began < 4
    assert all(isinstance(error, GovernorAwayError) for error in found)


@pytest.fixture
def server(redis_program: Path) -> Any:
    with redis_server(redis_program) as found:
        yield found


async def test_what_calls_used_and_which_runs_ended_is_said_when_redis_is_back(
    server: RedisServer,
) -> None:
    quota = Quota(concurrent_runs=2, llm_tokens=Budget(limit=100, window_secs=AGES))
    async with governed(server.url, quota) as (governor,):
        await answers(governor, "a", "b")
        part = await governor.reserve({TOKENS: 60})
        server.pause()
        part.settle({TOKENS: 30})
        await governor.record_workflow_end("group", "a")
        with pytest.raises(GovernorAwayError):
            await governor.reserve({TOKENS: 10})
        server.resume()
        usage = await settled(governor, TOKENS)
        assert (usage.used, usage.leased) == (30, 0)
        while (await governor.usage()).running != ("b",):
            await asyncio.sleep(0.05)


async def test_a_redis_that_was_restarted_is_asked_again(server: RedisServer) -> None:
    async with governed(server.url, Quota(concurrent_runs=1)) as (governor,):
        assert await answers(governor, "a", "b") == ["granted", "refused"]
        server.stop()
        with pytest.raises(GovernorAwayError):
            await answers(governor, "a")
        server.start()
        assert await answers(governor, "c", "d") == ["granted", "refused"]


@pytest.mark.parametrize("url", ["localhost:6379", "http://localhost", "redis://", "redis://a:b:c"])
def test_a_url_that_names_no_redis_is_refused_with_the_forms_there_are(url: str) -> None:
    with pytest.raises(MisuseError, match="redis://HOST:PORT"):
        RedisLedger(url, "group", Quota())


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(name: str) -> None:
        del name

    monkeypatch.setattr(redis_ledger, "find_spec", nothing)
    with pytest.raises(MisuseError, match=r"pip install 'xworkflow\[redis\]'"):
        RedisLedger("redis://localhost", "group", Quota())
