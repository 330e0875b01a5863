"""``RedisGovernor``: the governor of one group in one worker process, with its ledger in Redis.

It does what ``GovernorBroker`` does, without leases: each question is one round trip to Redis,
where one script decides for all processes. Temporal is asked for what Redis cannot know: whether
runs are over, and, when Redis has lost its data, who runs at all.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Final

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.activities.counted_calls import CountedCalls
from xworkflow.activities.redis_budgets import RedisBudgets
from xworkflow.activities.redis_ledger import Answer, RedisLedger
from xworkflow.activities.redis_outbox import RedisOutbox
from xworkflow.activities.run_ends import is_over
from xworkflow.activities.run_places import places_of_open_runs
from xworkflow.domain.governing import (
    BudgetUsage,
    GroupUsage,
    Kind,
    RunAsks,
    RunEnds,
    UsageQuota,
    Verdict,
    yields_id,
)
from xworkflow.domain.refusals import passed, too_many_runs, too_many_starts, too_many_waiting
from xworkflow.domain.wire import SLOT_SIGNAL, SlotGranted, task_queue
from xworkflow.errors import GovernorAwayError
from xworkflow.ports import Reservation

BEAT_SECS: Final = 2.0
_RECOVER_SECS: Final = 25.0
"""Less than the time for which Redis lets one process find out."""
_OTHERS_RECOVER_SECS: Final = 3.0
_PAUSE_SECS: Final = 0.05
_SIDE_BY_SIDE: Final = 16

_log = logging.getLogger("xworkflow.governor")


class RedisGovernor(CountedCalls):
    """Belongs to one event loop, and connects with its first question. ``governed_by_redis``
    (redis_worker.py) runs what belongs beside it, and closes it."""

    def __init__(
        self,
        url: str,
        client: Client,
        group_id: str,
        quota: UsageQuota,
        queue: str | None = None,
    ) -> None:
        """``queue`` is the task queue of the group's runs. Raises MisuseError for a URL that names
        no Redis, and where the extra ``redis`` is not installed."""
        self.group_id = group_id
        self._client = client
        self._quota = quota
        self._queue = queue or task_queue(group_id)
        self._ledger = RedisLedger(url, group_id, quota)
        self._outbox = RedisOutbox(self._send, self._settled)
        self._budgets = RedisBudgets(self._ledger, self._outbox, quota)
        self._tasks: set[asyncio.Task[None]] = set()
        self._minding: asyncio.Task[None] | None = None

    @property
    def usage_quota(self) -> UsageQuota:
        return self._quota

    @property
    def yields_to(self) -> str:
        return yields_id(self.group_id)

    @property
    def queue(self) -> str:
        return self._queue

    # ---- runs

    async def admit(self, group_id: str, ask: RunAsks) -> Verdict:
        """Raises GovernorAwayError when Redis does not answer; it never admits uncounted."""
        del group_id  # a governor is of one
        quota = self._quota
        if not quota.admits:
            return Verdict()
        answer = await self._call("admit", ask.run, str(ask.turn), ask.fair_key)
        match answer.word:
            case "granted":
                return Verdict()
            case "queued":
                return Verdict(answer="queued")
            case "full":
                now, most = int(answer.rest[0]), quota.concurrent_runs
                reason, kind = too_many_runs(now, most), "concurrent_workflows"
            case "crowded":
                now, most = int(answer.rest[0]), quota.max_waiting
                reason, kind = too_many_waiting(now, most), "waiting_workflows"
            case _:
                assert quota.runs is not None  # noqa: S101 - only a budget refuses a start
                now, most = int(answer.rest[0]), quota.runs.limit
                reason, kind = too_many_starts(now, quota.runs), Kind.RUNS.value
        return Verdict(answer="refused", reason=reason, details=passed(kind, most or 0, now))

    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None:
        """Give a run's place back, soon."""
        del group_id
        if self._quota.admits:
            self._outbox.end(RunEnds(run=workflow_id))

    async def release(self, ends: Sequence[RunEnds]) -> None:
        """Give places back now. Raises GovernorAwayError when Redis does not answer."""
        await self._send(_ends(ends))

    # ---- budgets

    async def reserve(
        self, charges: Mapping[Kind, int], *, patience_secs: float = 0.0
    ) -> Reservation:
        """All of it or nothing. Raises GovernorAwayError, too, when Redis does not answer."""
        return await self._budgets.reserve(charges, patience_secs)

    async def usage(self) -> GroupUsage:
        answer = await self._call("usage")
        running, waiting, most, budgets = answer.rest
        return GroupUsage(
            running=tuple(running),
            waiting=int(waiting),
            most_running=int(most),
            budgets={
                Kind(kind): BudgetUsage(used=int(used), leased=int(aside), limit=int(limit))
                for kind, used, aside, limit in budgets
            },
        )

    # ---- life

    def start(self) -> None:
        """Look after the runs that nobody tells of, until closed. One process of all does."""
        if self._quota.admits and self._minding is None:
            self._minding = asyncio.get_running_loop().create_task(self._mind())

    async def aclose(self) -> None:
        """Say what is left to say, as far as Redis answers at once."""
        await self._budgets.aclose()
        await self._outbox.aclose()
        tasks = {*self._tasks, *(() if self._minding is None else (self._minding,))}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._minding is not None:
            self._minding = None
            try:
                await self._ledger.call("resign")
            except GovernorAwayError as error:
                _log.info("%s", error)
        await self._ledger.aclose()

    # ---- Redis

    async def _call(self, operation: str, *given: str) -> Answer:
        """Ask; if Redis does not know who runs, find that out first."""
        until = time.monotonic() + _OTHERS_RECOVER_SECS
        while (answer := await self._ledger.call(operation, *given)).word == "unknown":
            await self._recover(until)
        self._hear(answer)
        return answer

    async def _send(self, told: str) -> None:
        await self._call("tell", told)

    def _settled(self) -> None:
        self._budgets.settled()

    async def _recover(self, until: float) -> None:
        """One process reads who runs from Temporal, and the others wait for it."""
        answer = await self._ledger.call("recover")
        if answer.word == "wait":
            if time.monotonic() > until:
                raise GovernorAwayError(f"{self._ledger.where} is being told who runs; ask again")
            await asyncio.sleep(_PAUSE_SECS)
        elif answer.word == "go":
            try:
                async with asyncio.timeout(_RECOVER_SECS):
                    found = await places_of_open_runs(self._client, self._queue, self._quota)
            except (RPCError, TimeoutError) as error:
                raise GovernorAwayError(
                    f"{self._ledger.where} does not know who runs, and Temporal does not say "
                    f"({str(error) or 'it takes too long'}). Nothing starts until it does"
                ) from None
            _log.info(
                "group %s: %d runs hold a place and %d wait for one, says Temporal",
                *(self.group_id, len(found.holders), len(found.waiting)),
            )
            places = {"holders": _asks(found.holders), "waiting": _asks(found.waiting)}
            self._hear(await self._ledger.call("restore", json.dumps(places)))

    # ---- Temporal

    def _hear(self, answer: Answer) -> None:
        for run, turn in answer.told:
            self._in_background(self._tell(run, turn))

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell(self, run: str, turn: int) -> None:
        """Tell a run that it has its place; one that is over gives it back. A run that could not be
        told is told again by whoever sweeps."""
        try:
            handle = self._client.get_workflow_handle(run)
            await handle.signal(SLOT_SIGNAL, SlotGranted(turn=turn))
            await self._ledger.call("heard", run, str(turn))
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                self._outbox.end(RunEnds(run=run))
            else:
                _log.info("run %s was not told of its place: %s", run, error)
        except GovernorAwayError as error:
            _log.info("%s", error)

    async def _mind(self) -> None:
        away = False
        while True:
            pause = BEAT_SECS
            try:
                answer = await self._call("sweep")
                next_start = int(answer.rest[0])
                if next_start > 0:
                    pause = min(pause, next_start / 1000)
                await self._sweep(answer.old)
                away = False
            except GovernorAwayError as error:
                if not away:
                    _log.warning("%s", error)
                away = True
            await asyncio.sleep(pause)

    async def _sweep(self, old: Sequence[str]) -> None:
        """Take back the places of runs that are over and did not say so."""
        places = asyncio.Semaphore(_SIDE_BY_SIDE)

        async def look(run: str) -> bool:
            async with places:
                return await is_over(self._client, run)

        found = await asyncio.gather(*(look(run) for run in old))
        over = [RunEnds(run=run) for run, yes in zip(old, found, strict=True) if yes]
        if over:
            await self.release(over)


def _asks(asks: Sequence[RunAsks]) -> list[tuple[str, int, str]]:
    return [(ask.run, ask.turn, ask.fair_key) for ask in asks]


def _ends(ends: Sequence[RunEnds]) -> str:
    told = [(end.run,) if end.turn is None else (end.run, end.turn) for end in ends]
    return json.dumps({"settles": [], "ends": told})
