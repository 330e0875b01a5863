"""The governors that a group has in several processes, over either ledger; only Temporal is a fake.

``Governors`` is what tests of the laws of both speak to: what counts, and what time does, differs.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from types import SimpleNamespace
from typing import Any, cast

import pytest
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.activities import leases, redis_budgets, redis_ledger
from xworkflow.activities.governor_broker import GovernorBroker
from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.activities.redis_ledger import Answer
from xworkflow.domain import ledger as ledger_module
from xworkflow.domain.governing import (
    BudgetUsage,
    Exchange,
    GroupUsage,
    Kind,
    Reply,
    RunAsks,
    RunEnds,
    UsageQuota,
)
from xworkflow.domain.ledger import Ledger
from xworkflow.domain.wire import SLOT_SIGNAL, SlotGranted
from xworkflow.errors import NodeError

Governor = GovernorBroker | RedisGovernor

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

    async def until_told(self, count: int) -> list[str]:
        async with asyncio.timeout(20):
            while len(self.told) < count:
                await asyncio.sleep(0.01)
        return [run for run, _ in self.told]


class Governors(ABC):
    """Of one group, one in each process."""

    def __init__(self, governors: Sequence[Governor], temporal: Temporal) -> None:
        self.all = governors
        self.temporal = temporal

    @property
    @abstractmethod
    def asked_nobody(self) -> bool: ...

    @abstractmethod
    async def settled(self, kind: Kind, *said: Governor) -> BudgetUsage:
        """What is used once these (or else all) have said what there is to say."""

    @abstractmethod
    async def release(self, end: RunEnds) -> None:
        """A run only waits for people now."""

    @abstractmethod
    async def next_window(self, secs: int) -> None:
        """Go to the begin of the next window of so many seconds."""

    @abstractmethod
    def lose_answers(self) -> None:
        """The first answer to each question does not arrive, and it is asked again."""

    @abstractmethod
    def fall_silent(self, patch: pytest.MonkeyPatch) -> None:
        """Nobody has heard of any process for long."""

    @abstractmethod
    def haste(self, patch: pytest.MonkeyPatch) -> None:
        """Who says nothing for 0.4 s is silent; who lives says so eight times as often."""

    async def usage(self) -> GroupUsage:
        return await self.all[0].usage()

    async def ended(self, *runs: str, by: int = 0) -> None:
        """Runs have ended in a process, and their places are known to be free."""
        for run in runs:
            await self.all[by].record_workflow_end("group", run)
        while set((await self.usage()).running) & set(runs):
            await asyncio.sleep(0.01)


# ---- the ledger that is a workflow


class Wire:
    """A ledger that answers after a turn of the loop, and whose waiting runs are told as its
    workflow tells them. ``skipped`` is by how much its clock is ahead, in ms, and ``stopped`` where
    it stands."""

    def __init__(self, quota: UsageQuota, temporal: Temporal) -> None:
        self.ledger = Ledger.new(quota)
        self.skipped = 0
        self.stopped: int | None = None
        self.exchanges = 0
        self.loses_answers = False
        self._temporal = temporal

    @property
    def now(self) -> int:
        return int(time.time() * 1000) + self.skipped if self.stopped is None else self.stopped

    async def say(self, given: Exchange) -> Reply:
        await asyncio.sleep(0)
        self.exchanges += 1
        reply = self.ledger.exchange(given, self.now)
        if self.loses_answers:
            reply = self.ledger.exchange(given, self.now)
        self.give_out()
        return reply

    def give_out(self) -> None:
        self._temporal.told.extend((ask.run, ask.turn) for ask in self.ledger.grants(self.now))


class Broker(GovernorBroker):
    """Speaks to a ledger without Temporal."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(cast("Any", None), "group", wire.ledger.quota)
        self.wire = wire

    async def usage(self) -> GroupUsage:
        await asyncio.sleep(0)
        return self.wire.ledger.usage(self.wire.now)

    async def _exchange(self, given: Exchange) -> Reply:
        return await self.wire.say(given)


class OverTheLedger(Governors):
    all: Sequence[Broker]

    def __init__(self, wire: Wire, processes: int, temporal: Temporal) -> None:
        super().__init__([Broker(wire) for _ in range(processes)], temporal)
        self.wire = wire

    @property
    def ledger(self) -> Ledger:
        return self.wire.ledger

    @property
    def asked_nobody(self) -> bool:
        return not self.wire.exchanges

    async def settled(self, kind: Kind, *said: Governor) -> BudgetUsage:
        for broker in said or self.all:
            await broker.aclose()
        return (await self.usage()).budgets[kind]

    async def release(self, end: RunEnds) -> None:
        self.wire.ledger.release(end)
        self.wire.give_out()

    async def next_window(self, secs: int) -> None:
        self.wire.skipped += secs * 1000 - self.wire.now % (secs * 1000)

    def lose_answers(self) -> None:
        self.wire.loses_answers = True

    def fall_silent(self, patch: pytest.MonkeyPatch) -> None:
        del patch
        self.wire.skipped += ledger_module.BROKER_SILENCE_MS + 1

    def haste(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(ledger_module, "BROKER_SILENCE_MS", 400)
        patch.setattr(leases, "_ALIVE_SECS", 0.05)


# ---- the ledger in Redis


class OverRedis(Governors):
    all: Sequence[RedisGovernor]

    def __init__(self, url: str, quota: UsageQuota, processes: int, temporal: Temporal) -> None:
        client, group_id = cast("Any", temporal), uuid.uuid4().hex
        all_ = [RedisGovernor(url, client, group_id, quota) for _ in range(processes)]
        super().__init__(all_, temporal)

    @property
    def asked_nobody(self) -> bool:
        return all(governor._ledger._client is None for governor in self.all)

    async def settled(self, kind: Kind, *said: Governor) -> BudgetUsage:
        del said  # they say it without being asked
        while True:
            found = await self.usage()
            if not found.budgets[kind].leased:
                return found.budgets[kind]
            await asyncio.sleep(0.01)

    async def release(self, end: RunEnds) -> None:
        await self.all[0].release([end])

    async def next_window(self, secs: int) -> None:
        ends = time.time() // secs * secs + secs
        while time.time() < ends:
            await asyncio.sleep(0.02)

    def lose_answers(self) -> None:
        for governor in self.all:
            _ask_twice(governor)

    def fall_silent(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(redis_ledger, "SILENCE_MS", 0)

    def haste(self, patch: pytest.MonkeyPatch) -> None:
        patch.setattr(redis_ledger, "SILENCE_MS", 400)
        patch.setattr(redis_budgets, "ALIVE_SECS", 0.05)


def _ask_twice(governor: RedisGovernor) -> None:
    ledger = cast("Any", governor)._ledger
    once = ledger.call

    async def twice(operation: str, *given: str) -> Answer:
        await once(operation, *given)
        return await once(operation, *given)

    ledger.call = twice


# ----


@asynccontextmanager
async def governors_over(
    url: str | None, quota: UsageQuota, processes: int = 1
) -> AsyncGenerator[Governors]:
    """The governors of a group of its own, for the length of a block. Without a URL their ledger is
    that of a workflow."""
    if url is None:
        async with over_the_ledger(quota, processes) as found:
            yield found
    else:
        async with over_redis(url, quota, processes) as found:
            yield found


@asynccontextmanager
async def over_the_ledger(quota: UsageQuota, processes: int = 1) -> AsyncGenerator[OverTheLedger]:
    temporal = Temporal()
    found = OverTheLedger(Wire(quota, temporal), processes, temporal)
    async with _closing(found):
        yield found


@asynccontextmanager
async def over_redis(url: str, quota: UsageQuota, processes: int = 1) -> AsyncGenerator[OverRedis]:
    async with _closing(found := OverRedis(url, quota, processes, Temporal())):
        yield found


@asynccontextmanager
async def _closing(governors: Governors) -> AsyncGenerator[None]:
    async with AsyncExitStack() as stack:
        for governor in governors.all:
            stack.push_async_callback(governor.aclose)
        yield


async def answers(governor: Governor, *runs: str, turn: int = 0) -> list[str]:
    asks = (RunAsks(run=run, turn=turn) for run in runs)
    return [(await governor.admit("group", ask)).answer for ask in asks]


async def spend(
    governor: Governor, kind: Kind, estimate: int, used: int, patience: float = 5
) -> bool:
    """One call: whether it was let through."""
    try:
        part = await governor.reserve({kind: estimate}, patience_secs=patience)
    except NodeError:
        return False
    await asyncio.sleep(0)
    part.settle({kind: used})
    return True
