"""``RedisBudgets``: calls of one process that set parts of budgets aside in Redis.

A call asks by itself, in one round trip. Where others hold the rest, the calls of this process wait
in one line for each set of budgets, and only the first of the line asks again: at intervals, and
when a call of this process has been settled.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.activities.redis_ledger import RedisLedger
from xworkflow.activities.redis_outbox import RedisOutbox
from xworkflow.domain.governing import Kind, UsageQuota
from xworkflow.domain.refusals import rest_is_set_aside, used_up
from xworkflow.errors import BudgetBusyError, GovernorAwayError, NodeError
from xworkflow.ports import Reservation

_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.05, 1.0
ALIVE_SECS: Final = 8.0
_CLOSING_SECS: Final = 1.0

_log = logging.getLogger("xworkflow.governor")
_Charges = tuple[tuple[Kind, int], ...]


@dataclass(slots=True)
class _Line:
    """Those that wait for the same budgets; asyncio's lock serves them in their order."""

    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    settled: asyncio.Event = field(default_factory=asyncio.Event)


class RedisBudgets:
    """Not thread-safe."""

    def __init__(self, ledger: RedisLedger, outbox: RedisOutbox, quota: UsageQuota) -> None:
        self._ledger = ledger
        self._outbox = outbox
        self._budgets = {
            kind: budget for kind in Kind if (budget := quota.budget(kind)) is not None
        }
        self._numbers = itertools.count(1)
        self._lines: dict[tuple[Kind, ...], _Line] = {}
        self._asking: set[asyncio.Task[_Part]] = set()
        self._open = 0
        self._timer: asyncio.TimerHandle | None = None
        self._living: asyncio.Task[None] | None = None

    async def reserve(self, charges: Mapping[Kind, int], patience_secs: float) -> Reservation:
        asked = tuple((kind, charges[kind]) for kind in self._budgets if charges.get(kind))
        if not asked:
            return _Part(self, "", ())
        until = time.monotonic() + patience_secs
        kinds = tuple(kind for kind, _ in asked)
        line = self._lines.setdefault(kinds, _Line())
        if not line.turn.locked() or patience_secs <= 0:
            try:
                return await self._ask(asked)
            except GovernorAwayError:
                raise
            except BudgetBusyError:
                if time.monotonic() >= until:
                    raise
        try:
            async with asyncio.timeout(until - time.monotonic()):
                await line.turn.acquire()
        except TimeoutError:
            raise BudgetBusyError(rest_is_set_aside(kinds[0])) from None
        try:
            return await self._ask_again(line, asked, until)
        finally:
            line.turn.release()

    def settled(self) -> None:
        """Redis has heard of calls that are over."""
        for line in self._lines.values():
            line.settled.set()

    async def aclose(self) -> None:
        """Wait for questions that are on their way, as far as Redis answers at once."""
        if self._timer is not None:
            self._timer.cancel()
        under_way: set[asyncio.Task[Any]] = {*self._asking}
        if self._living is not None:
            under_way.add(self._living)
        if under_way:
            _, late = await asyncio.wait(under_way, timeout=_CLOSING_SECS)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    # ----

    async def _ask_again(self, line: _Line, asked: _Charges, until: float) -> Reservation:
        pause = _FIRST_PAUSE_SECS
        while True:
            line.settled.clear()
            try:
                return await self._ask(asked)
            except GovernorAwayError:
                raise
            except BudgetBusyError:
                left = until - time.monotonic()
                if left <= 0:
                    raise
            try:
                await asyncio.wait_for(line.settled.wait(), min(pause, left))
            except TimeoutError:
                pause = min(2 * pause, _LONGEST_PAUSE_SECS)

    async def _ask(self, asked: _Charges) -> Reservation:
        """One question. Who is cancelled while it is on its way has set nothing aside."""
        task = asyncio.get_running_loop().create_task(self._reserve(asked))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_give_back)
            raise

    async def _reserve(self, asked: _Charges) -> _Part:
        number = f"{self._ledger.process}|{next(self._numbers)}"
        part = _Part(self, number, asked)
        self._began()
        charges = [
            (kind.value, amount, self._budgets[kind].limit, self._budgets[kind].window_secs * 1000)
            for kind, amount in asked
        ]
        try:
            answer = await self._ledger.call("reserve", number, json.dumps(charges))
        except GovernorAwayError:
            part.tight = True
            part.settle({})  # it may have been taken, and only the answer was lost
            raise
        if answer.word == "granted":
            part.tight = "tight" in answer.rest
            return part
        self._ended()
        kind = Kind(answer.rest[0])
        if answer.word == "busy":
            limit = self._budgets[kind].limit
            raise BudgetBusyError(rest_is_set_aside(kind), quota_type=kind.value, limit=limit)
        used, left = int(answer.rest[1]), int(answer.rest[2]) / 1000
        raise NodeError(used_up(kind, self._budgets[kind], used, left))

    def give_back(self, part: _Part, used: Mapping[Kind, int]) -> None:
        """A call is over. Where little is left, others may be in need of what it gives back; and
        what it used beyond its part, nobody else may have."""
        soon = part.tight or any(used.get(kind, 0) > amount for kind, amount in part.charges)
        for kind, _ in part.charges:
            length = self._budgets[kind].window_secs * 1000
            self._outbox.settle(part.number, kind.value, used.get(kind, 0), length, soon=soon)
        part.charges = ()
        self._ended()

    def _began(self) -> None:
        self._open += 1
        if self._timer is None:
            self._live_later()

    def _ended(self) -> None:
        self._open -= 1

    def _live_later(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(ALIVE_SECS, self._live)

    def _live(self) -> None:
        """Tell Redis at times that what is set aside has an owner."""
        self._timer = None
        if self._open:
            self._living = asyncio.get_running_loop().create_task(self._say_it_lives())
            self._live_later()

    async def _say_it_lives(self) -> None:
        try:
            await self._ledger.call("live")
        except GovernorAwayError as error:
            _log.info("%s", error)


@dataclass(slots=True, eq=False)
class _Part:
    """What one call has set aside, under a number of its own."""

    budgets: RedisBudgets
    number: str
    charges: _Charges
    tight: bool = False

    def settle(self, used: Mapping[Kind, int]) -> None:
        if self.charges:
            self.budgets.give_back(self, used)


def _give_back(task: asyncio.Task[_Part]) -> None:
    if not task.cancelled() and task.exception() is None:
        task.result().settle({})
