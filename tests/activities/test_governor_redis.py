"""What governors promise because they count in Redis: also when it is away, lost or a cluster, and
by the rules of the ledger that is a workflow.

The laws of all governors are in test_governor_laws.py; only Temporal is a fake here."""

from __future__ import annotations

import asyncio
import itertools
import json
import socket
import time
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis.asyncio import Redis

from tests.activities.governors import AGES, CALLS, TOKENS, answers, over_redis, spend
from tests.redis_server import RedisServer, redis_server
from xworkflow.activities import governor_redis, redis_ledger
from xworkflow.activities.redis_ledger import RedisLedger
from xworkflow.domain.governing import Budget, Exchange, RunAsks, RunEnds
from xworkflow.domain.governing import UsageQuota as Quota
from xworkflow.domain.ledger import Ledger
from xworkflow.errors import GovernorAwayError, MisuseError


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


# ---- whom the governor tells of places, as there is no workflow to do so


async def test_a_run_that_asks_in_two_processes_has_one_place(redis_url: str) -> None:
    async with over_redis(redis_url, Quota(concurrent_runs=10), 4) as group:
        asked = (group.all[i % 4].admit("group", RunAsks(run=f"run-{i // 2}")) for i in range(100))
        verdicts = await asyncio.gather(*asked)
        assert sum(v.answer == "granted" for v in verdicts) == 20
        assert len((await group.usage()).running) == 10


async def test_the_place_of_a_run_that_is_over_when_it_is_told_goes_to_the_next(
    redis_url: str,
) -> None:
    async with over_redis(redis_url, Quota(concurrent_runs=1, when_full="wait")) as group:
        group.temporal.over = {"b", "c"}
        await answers(group.all[0], *"abcd")
        await group.ended("a")
        assert await group.temporal.until_told(1) == ["d"]
        assert (await group.usage()).running == ("d",)


async def test_a_run_that_could_not_be_told_is_told_by_another_process(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_ledger, "TELL_AGAIN_MS", 300)
    monkeypatch.setattr(governor_redis, "BEAT_SECS", 0.2)
    async with over_redis(redis_url, Quota(concurrent_runs=1, when_full="wait"), 2) as group:
        one, other = group.all
        group.temporal.deaf = {"b"}
        await answers(one, *"ab")
        await group.ended("a")
        assert group.temporal.told == []
        group.temporal.deaf.clear()
        other.start()
        await group.temporal.until_told(1)
        assert group.temporal.told == [("b", 0)]


async def test_a_governor_that_was_closed_connects_no_more(redis_url: str) -> None:
    """Also when it hears of a run's end only then, or was in the middle of a question."""
    quota = Quota(concurrent_runs=2, http_calls=Budget(limit=9))
    for turns in range(12):
        async with over_redis(redis_url, quota) as group:
            (governor,) = group.all
            asking = asyncio.create_task(governor.reserve({CALLS: 1}))
            for _ in range(turns):
                await asyncio.sleep(0)
            asking.cancel()
            await governor.aclose()
            await asyncio.wait({asking})
            await governor.record_workflow_end("group", "late")
            with pytest.raises(GovernorAwayError, match="was closed"):
                await answers(governor, "later")
            assert group.asked_nobody


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
    model, now = Ledger.new(quota), int(time.time() * 1000)
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
    async with over_redis(redis_url, quota) as group:
        (governor,) = group.all
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
        async with over_redis(server.url, quota, 2) as group:
            all_ = group.all
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
    async with over_redis("redis://me:secret@127.0.0.1:1/2", quota) as group:
        (governor,) = group.all
        for asking in (governor.admit("group", RunAsks(run="a")), governor.reserve({CALLS: 1})):
            with pytest.raises(GovernorAwayError, match=r"at redis://127\.0\.0\.1:1/2 ") as caught:
                await asking
            assert caught.value.failure.retryable
            assert "see that it runs" in str(caught.value)
            assert "secret" not in str(caught.value)


async def test_a_redis_that_never_answers_is_waited_for_a_few_seconds_at_most() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        url = f"redis://127.0.0.1:{mute.getsockname()[1]}"
        async with over_redis(url, Quota(concurrent_runs=1)) as group:
            (governor,) = group.all
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
    async with over_redis(server.url, quota) as group:
        (governor,) = group.all
        await answers(governor, "a", "b")
        part = await governor.reserve({TOKENS: 60})
        server.pause()
        part.settle({TOKENS: 30})
        await governor.record_workflow_end("group", "a")
        with pytest.raises(GovernorAwayError):
            await governor.reserve({TOKENS: 10})
        server.resume()
        usage = await group.settled(TOKENS)
        assert (usage.used, usage.leased) == (30, 0)
        while (await governor.usage()).running != ("b",):
            await asyncio.sleep(0.05)


async def test_a_redis_that_was_restarted_is_asked_again(server: RedisServer) -> None:
    async with over_redis(server.url, Quota(concurrent_runs=1)) as group:
        (governor,) = group.all
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
