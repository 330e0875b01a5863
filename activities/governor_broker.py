"""``GovernorBroker``: the governor of one group in one worker process.

All processes share one ledger, which is a workflow (workflows/governor.py). The broker speaks to it
by one update at a time, into which goes whatever has come together meanwhile, so a busy group needs
no more updates than a quiet one. An exchange that fails is repeated with its number until it is
answered: the ledger takes each number once.

Runs ask the ledger itself, so that a place is never given twice. Budgets are spent from leases:
blocks that the ledger has counted already, so that a call costs no round trip. What a call may use
is set aside before it, and settled after it.
"""

from __future__ import annotations

import asyncio
import logging
import time
import uuid
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from temporalio.client import Client, WithStartWorkflowOperation, WorkflowUpdateFailedError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.activities.counted_calls import CountedCalls
from xworkflow.activities.leases import Leases
from xworkflow.activities.place_lease import PlaceLease
from xworkflow.domain.governing import (
    EXCHANGE_UPDATE,
    GOVERNOR_WORKFLOW,
    USAGE_QUERY,
    Exchange,
    GroupUsage,
    Kind,
    Reply,
    RunAsks,
    RunEnds,
    UsageQuota,
    Verdict,
    governor_id,
)
from xworkflow.domain.ledger import Ledger
from xworkflow.domain.wire import task_queue
from xworkflow.ports import Reservation

BATCH: Final = 200
"""Runs in one exchange; with their ids and reasons some 40 KB."""
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.05, 2.0
_UNHURRIED_SECS: Final = 1.0
"""How long a place that nobody needs may be given back later, with the next exchange."""
_BUSY_SECS, _BUSY_PAUSE_SECS = 1.2, 0.1

_log = logging.getLogger("xworkflow.governor")


GOVERNOR_QUEUE: Final = "xworkflow/governors"
"""The task queue of all ledgers of a namespace. Not the groups' own: runs that wait for an answer
of the ledger may fill all slots for workflow tasks of the group's queue."""


@dataclass(slots=True)
class _Asking:
    ask: RunAsks
    verdict: asyncio.Future[Verdict]


@dataclass(slots=True)
class _Pending:
    """What the next exchange takes along."""

    asks: deque[_Asking] = field(default_factory=deque[_Asking])
    ends: dict[str, RunEnds] = field(default_factory=dict[str, RunEnds])


class GovernorBroker(CountedCalls):
    """Belongs to one event loop, and has a task of its own only while it has something to say."""

    def __init__(
        self, client: Client, group_id: str, quota: UsageQuota, queue: str | None = None
    ) -> None:
        self._queue = queue or task_queue(group_id)
        self.group_id = group_id
        self._client = client
        self._quota = quota
        self._id = uuid.uuid4().hex
        self._seq = 0
        self._pending = _Pending()
        self._asked: dict[tuple[str, int], asyncio.Future[Verdict]] = {}
        self._speaking: asyncio.Task[None] | None = None
        self._places = PlaceLease(self._id, self._speak)
        self._roomy = False
        self._ends_due: asyncio.TimerHandle | None = None
        self._is_there = False
        self._leases = {
            kind: Leases(kind, budget, self._speak)
            for kind in Kind
            if (budget := quota.budget(kind)) is not None
        }

    @property
    def usage_quota(self) -> UsageQuota:
        return self._quota

    # ---- runs

    async def admit(self, group_id: str, ask: RunAsks) -> Verdict:
        """The ledger's verdict. Never waits for a place, but for the ledger, if that is away."""
        del group_id  # a broker is of one
        if not self._quota.admits:
            return Verdict()
        leased = self._places.give(ask, self._leases.get(Kind.RUNS))
        if leased is not None:
            return leased
        until = time.monotonic() + _BUSY_SECS
        while (verdict := await asyncio.shield(self._ask(ask))).answer == "busy":
            # whoever has the free places uses them, or gives them back, within that time
            if time.monotonic() > until:
                return verdict.model_copy(update={"answer": "refused"})
            await asyncio.sleep(_BUSY_PAUSE_SECS)
        return verdict

    def _ask(self, ask: RunAsks) -> asyncio.Future[Verdict]:
        """Ask the ledger; who asks again before it has answered shares the answer."""
        key = (ask.run, ask.turn)
        found = self._asked.get(key)
        if found is None:
            found = self._asked[key] = asyncio.get_running_loop().create_future()
            found.add_done_callback(lambda _: self._asked.pop(key, None))
            self._pending.asks.append(_Asking(ask, found))
            self._speak()
        return found

    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None:
        """Give a run's place back, soon."""
        del group_id
        if self._quota.admits and not self._places.take_back(workflow_id):
            self._pending.ends[workflow_id] = RunEnds(run=workflow_id)
            if not self._roomy:
                self._speak()
            elif self._ends_due is None:
                loop = asyncio.get_running_loop()
                self._ends_due = loop.call_later(_UNHURRIED_SECS, self._tell_ends)

    # ---- budgets

    async def reserve(
        self, charges: Mapping[Kind, int], *, patience_secs: float = 0.0
    ) -> Reservation:
        """Set amounts aside. Always in the same order, so that no two calls wait for each other."""
        until = time.monotonic() + patience_secs
        taken = _Taken()
        try:
            for kind, leases in self._leases.items():
                if charges.get(kind):
                    taken.parts[kind] = await leases.reserve(charges[kind], until)
        except BaseException:
            taken.settle({})
            raise
        return taken

    async def usage(self) -> GroupUsage:
        """What the group uses right now, in all processes."""
        await self._exchange(Exchange(broker=self._id, seq=0, quota=self._quota))
        handle = self._client.get_workflow_handle(governor_id(self.group_id))
        return await handle.query(USAGE_QUERY, result_type=GroupUsage)

    async def aclose(self) -> None:
        """Settle with the ledger, as far as it answers at once."""
        for _ in range(3):  # an answer that is on its way may bring more to give back
            self._places.close()
            for leases in self._leases.values():
                leases.close()
            if self._ends_due is not None:
                self._ends_due.cancel()
                self._ends_due = None
            if self._has_news():
                self._speak()
            elif self._speaking is None or self._speaking.done():
                return
            assert self._speaking is not None  # noqa: S101 - it speaks, or did
            _, late = await asyncio.wait({self._speaking}, timeout=2.0)
            if late:
                self._speaking.cancel()
                return

    # ---- exchanges

    def _speak(self) -> None:
        if self._speaking is None or self._speaking.done():
            self._speaking = asyncio.get_running_loop().create_task(self._exchange_all())

    def _has_news(self) -> bool:
        news = any(leases.has_news for leases in self._leases.values())
        hurried = bool(self._pending.ends) and self._ends_due is None
        return bool(self._pending.asks) or self._places.is_due or hurried or news

    def _tell_ends(self) -> None:
        self._ends_due = None
        self._speak()

    async def _exchange_all(self) -> None:
        while self._has_news():
            asking = [
                self._pending.asks.popleft() for _ in range(min(BATCH, len(self._pending.asks)))
            ]
            if self._ends_due is not None:
                self._ends_due.cancel()
                self._ends_due = None
            ends = [self._pending.ends.pop(run) for run in list(self._pending.ends)[:BATCH]]
            if asking and Kind.RUNS in self._leases:
                self._leases[Kind.RUNS].ask_ahead()
            spent = {kind: leases.take_spent() for kind, leases in self._leases.items()}
            wants = {kind: leases.want() for kind, leases in self._leases.items()}
            self._seq += 1
            sent = time.monotonic()
            untold = self._places.take_untold()
            reply = await self._exchange(
                Exchange(
                    broker=self._id,
                    seq=self._seq,
                    quota=self._quota,
                    queue=self._queue,
                    places=self._places.idle,
                    wants_places=bool(asking),
                    asks=(*(one.ask for one in asking), *untold),
                    ends=tuple(ends),
                    spent={kind: parts for kind, parts in spent.items() if parts},
                    wants={kind: want for kind, want in wants.items() if want is not None},
                )
            )
            self._roomy = reply.roomy
            self._places.take(reply.places, sent, roomy=reply.roomy)
            for one, verdict in zip(asking, reply.verdicts, strict=False):
                if not one.verdict.done():
                    one.verdict.set_result(verdict)
            for kind, lease in reply.leases.items():
                self._leases[kind].take(lease, sent)

    async def _exchange(self, given: Exchange) -> Reply:
        """Say it until it is answered."""
        pause = _FIRST_PAUSE_SECS
        while True:
            try:
                return await self._exchange_once(given)
            except (RPCError, WorkflowUpdateFailedError) as error:
                # also when the ledger goes from one history to the next
                _log.info("the governor of group %s does not answer: %s", self.group_id, error)
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECS)

    async def _exchange_once(self, given: Exchange) -> Reply:
        update_id = f"{given.broker}-{given.seq}" if given.seq else None
        if self._is_there:
            handle = self._client.get_workflow_handle(governor_id(self.group_id))
            try:
                return await handle.execute_update(  # pyright: ignore[reportUnknownMemberType]
                    EXCHANGE_UPDATE, given, id=update_id, result_type=Reply
                )
            except RPCError as error:
                self._is_there = error.status is not RPCStatusCode.NOT_FOUND
                raise
        reply = await self._client.execute_update_with_start_workflow(  # pyright: ignore[reportUnknownMemberType]
            EXCHANGE_UPDATE,
            given,
            id=update_id,
            start_workflow_operation=self._start(),
            result_type=Reply,
        )
        self._is_there = True
        return reply

    def _start(self) -> WithStartWorkflowOperation[Any, Any]:
        return WithStartWorkflowOperation(
            GOVERNOR_WORKFLOW,
            Ledger.new(self._quota),
            id=governor_id(self.group_id),
            task_queue=GOVERNOR_QUEUE,
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            # when the process that carries the ledger dies, another takes over after this
            task_timeout=timedelta(seconds=2),
            static_summary=f"Governor of group {self.group_id}",
        )


@dataclass(slots=True)
class _Taken:
    """Parts of several budgets, set aside for one call."""

    parts: dict[Kind, Reservation] = field(default_factory=dict[Kind, Reservation])

    def settle(self, used: Mapping[Kind, int]) -> None:
        for part in self.parts.values():
            part.settle(used)
        self.parts.clear()
