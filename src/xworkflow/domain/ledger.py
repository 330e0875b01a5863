"""``Ledger``: who holds a group's places, who waits for one, and what of its budgets is used.

Pure and deterministic; time comes as an argument (Unix ms). It lives in a workflow of its own
(workflows/governor.py), which is why all worker processes agree on it, and goes from one history to
the next as data. Size: about 100 bytes for each run that holds or waits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Final, Self

from pydantic import BaseModel, Field

from xworkflow.domain.governing import (
    BudgetUsage,
    Doubt,
    Exchange,
    GroupUsage,
    Kind,
    Lease,
    Reply,
    RunAsks,
    RunEnds,
    Spent,
    UsageQuota,
    Verdict,
    Want,
)
from xworkflow.domain.refusals import passed, too_many_runs, too_many_starts, too_many_waiting

BROKER_SILENCE_MS: Final = 30_000
"""A broker that holds leases says something every 10 s. After this, what it has not given back
counts as used: it may have been."""
_FORGET_MS: Final = 3_600_000
PLACES_SILENCE_MS: Final = 16_000
"""A broker uses no place of a lease later than 8 s after it has spoken last."""
_MOST_PLACES: Final = 8


class Holder(BaseModel):
    """A run that has a place, since a time in Unix ms."""

    turn: int
    since: int
    key: str = ""


class Window(BaseModel):
    """What is used of a budget in one window; ``leased`` by broker, as far as it is not settled.
    ``written_off`` counts as used, as those brokers are silent."""

    number: int = 0
    used: int = 0
    leased: dict[str, int] = Field(default_factory=dict)
    written_off: dict[str, int] = Field(default_factory=dict)


class Mark(BaseModel):
    """The last exchange with a broker, for one that is repeated. ``places`` are leased to it."""

    seq: int
    at: int
    reply: Reply
    places: int = 0
    queue: str = ""


class Ledger(BaseModel):
    """Not frozen: it belongs to one workflow, which changes it step by step."""

    quota: UsageQuota = Field(default_factory=UsageQuota)
    holders: dict[str, Holder] = Field(default_factory=dict)
    waiting: dict[str, RunAsks] = Field(default_factory=dict)
    """By run, in the order in which they came."""
    windows: dict[Kind, Window] = Field(default_factory=dict[Kind, Window])
    brokers: dict[str, Mark] = Field(default_factory=dict)
    most_running: int = 0
    corrects: bool = False
    """Whether a silent broker that speaks after all puts right what was counted for it. A history
    that began without goes on without, as who waits for a start would hear of it elsewhere."""

    @classmethod
    def new(cls, quota: UsageQuota) -> Self:
        """The ledger of a history that begins."""
        return cls(quota=quota, corrects=True)

    def renewed(self) -> Self:
        """The same for the next history."""
        return self.model_copy(update={"corrects": True})

    def exchange(self, given: Exchange, now: int) -> Reply:
        """Take what a broker says in. The places of waiting runs are given out by ``grants``."""
        mark = self.brokers.get(given.broker)
        if mark is not None and given.seq <= mark.seq:
            return mark.reply
        self.quota = given.quota
        if self.corrects:
            self._restore_leases(given.broker)
        for kind, spent in given.spent.items():
            for part in spent:
                self._settle(given.broker, kind, part, now)
        for end in given.ends:
            self.release(end)
        self._forget_silent(now, speaks=given.broker)
        self.brokers[given.broker] = mark = Mark(
            seq=given.seq, at=now, reply=Reply(), places=given.places, queue=given.queue
        )
        verdicts = tuple(self.acquire(ask, now) for ask in given.asks)
        places = self._spare_places() if given.wants_places else 0
        mark.places += places
        self._note_most()
        leases = {k: self._lease(given.broker, k, w, now) for k, w in given.wants.items()}
        roomy = self._is_roomy()
        mark.reply = Reply(verdicts=verdicts, leases=leases, roomy=roomy, places=places)
        return mark.reply

    # ---- runs

    def acquire(self, ask: RunAsks, now: int) -> Verdict:
        """A place at once, in the queue, or none. The same run has one place, however often it
        asks."""
        held = self.holders.get(ask.run)
        if held is not None:
            held.turn = max(held.turn, ask.turn)
            return Verdict()
        if ask.leased:
            self.waiting.pop(ask.run, None)
            self._place(ask, now)
            return Verdict()
        if ask.run in self.waiting:
            return Verdict(answer="queued")
        lacks = self._lacks(ask, now)
        if lacks is None and not self.waiting:
            self._place(ask, now)
            return Verdict()
        if self.quota.when_full == "refuse" and ask.turn == 0:
            if not self.waiting and self._others_may_give_back(now):
                return Verdict(answer="busy", reason=lacks, details=self._passed(now))
            reason = lacks or self._full()
            return Verdict(answer="refused", reason=reason, details=self._passed(now))
        if len(self.waiting) >= self.quota.max_waiting and ask.turn == 0:
            most = self.quota.max_waiting
            reason = too_many_waiting(len(self.waiting), most)
            details = passed("waiting_workflows", most, len(self.waiting))
            return Verdict(answer="refused", reason=reason, details=details)
        self.waiting[ask.run] = ask
        return Verdict(answer="queued")

    def release(self, end: RunEnds) -> None:
        """Take a run's place back. What it said before it asked again comes too late."""
        held = self.holders.get(end.run)
        if held is not None and (end.turn is None or end.turn >= held.turn):
            del self.holders[end.run]
        if end.turn is None:
            self.waiting.pop(end.run, None)

    def grants(self, now: int) -> list[RunAsks]:
        """Give free places to waiting runs: to the fair key that holds fewest, then in order."""
        granted: list[RunAsks] = []
        while self.waiting and not self._is_full():
            held = Counter(holder.key for holder in self.holders.values())
            free = [ask for ask in self.waiting.values() if self._lacks(ask, now) is None]
            if not free:
                break
            ask = min(free, key=lambda ask: held[ask.fair_key])  # of equals the first
            del self.waiting[ask.run]
            self._place(ask, now)
            granted.append(ask)
        return granted

    def next_window(self, now: int) -> int | None:
        """When waiting runs may start because a window has ended; None: not by that."""
        budget = self.quota.runs
        if not self.waiting or budget is None or self._is_full():
            return None
        length = budget.window_secs * 1000
        return now + length - now % length

    def old_holders(self, now: int, age_ms: int) -> list[str]:
        return [run for run, holder in self.holders.items() if now - holder.since >= age_ms]

    def doubts(self, now: int) -> list[Doubt]:
        """Brokers that are dead, for all that is known, and had places."""
        return [
            Doubt(broker=broker, queue=mark.queue, known=tuple(self.holders))
            for broker, mark in self.brokers.items()
            if mark.places and now - mark.at >= PLACES_SILENCE_MS
        ]

    def next_doubt(self) -> int | None:
        """When a broker that has places will be in doubt, if it says nothing till then."""
        return min(
            (mark.at + PLACES_SILENCE_MS for mark in self.brokers.values() if mark.places),
            default=None,
        )

    def resolve(self, doubt: Doubt, holders: tuple[str, ...], now: int) -> None:
        """The runs that have a place of a dead broker's lease are known; the others are free."""
        mark = self.brokers.get(doubt.broker)
        if mark is None or now - mark.at < PLACES_SILENCE_MS:
            return  # it has spoken again
        mark.places = 0
        for run in holders:
            self.acquire(RunAsks(run=run, leased=True), now)

    def usage(self, now: int) -> GroupUsage:
        budgets: dict[Kind, BudgetUsage] = {}
        for kind in Kind:
            budget = self.quota.budget(kind)
            if budget is not None:
                window = self._window(kind, now)
                leased = sum(window.leased.values())
                budgets[kind] = BudgetUsage(used=window.used, leased=leased, limit=budget.limit)
        return GroupUsage(
            running=tuple(self.holders),
            leased=self._taken() - len(self.holders),
            waiting=len(self.waiting),
            most_running=self.most_running,
            budgets=budgets,
        )

    def _place(self, ask: RunAsks, now: int) -> None:
        self.holders[ask.run] = Holder(turn=ask.turn, since=now, key=ask.fair_key)
        self._note_most()
        if ask.turn == 0 and not ask.leased and self.quota.runs is not None:
            self._window(Kind.RUNS, now).used += 1

    def _lacks(self, ask: RunAsks, now: int) -> str | None:
        """What a run would have to wait for."""
        if self._is_full():
            return self._full()
        budget = self.quota.runs
        if budget is not None and ask.turn == 0:
            window = self._window(Kind.RUNS, now)
            used = window.used + sum(window.leased.values())
            if used >= budget.limit:
                return too_many_starts(used, budget)
        return None

    def _passed(self, now: int) -> Mapping[str, str | int]:
        """The quota that keeps a run from starting."""
        budget, places = self.quota.runs, self.quota.concurrent_runs
        if budget is None or (places is not None and self._is_full()):
            return passed("concurrent_workflows", places or 0, self._taken())
        window = self._window(Kind.RUNS, now)
        return passed(Kind.RUNS.value, budget.limit, window.used + sum(window.leased.values()))

    def _is_full(self) -> bool:
        limit = self.quota.concurrent_runs
        return limit is not None and self._taken() >= limit

    def _taken(self) -> int:
        """Places that nobody else may have: of runs, and leased to brokers."""
        return len(self.holders) + sum(mark.places for mark in self.brokers.values())

    def _others_may_give_back(self, now: int) -> bool:
        """Whether brokers have places, or starts, of which it is not known that they are used."""
        starts = self.quota.runs is not None and bool(self._window(Kind.RUNS, now).leased)
        return starts or len(self.holders) < self._taken()

    def _note_most(self) -> None:
        self.most_running = max(self.most_running, self._taken())

    def _is_roomy(self) -> bool:
        limit = self.quota.concurrent_runs
        return not self.waiting and (limit is None or 2 * self._taken() <= limit)

    def _spare_places(self) -> int:
        """What may be leased to one more broker: as long as half of the places are left."""
        limit = self.quota.concurrent_runs
        if self.waiting or not self.quota.admits:
            return 0
        if limit is None:
            return _MOST_PLACES
        left = limit // 2 - self._taken()
        return min(_MOST_PLACES, max(0, left // len(self.brokers)))

    def _full(self) -> str:
        return too_many_runs(self._taken(), self.quota.concurrent_runs)

    # ---- budgets

    def _settle(self, broker: str, kind: Kind, spent: Spent, now: int) -> None:
        """Count what a broker used of its leases, also what it used beyond them."""
        if self.quota.budget(kind) is None:
            return
        window = self._window(kind, now)
        if spent.window != window.number:
            return  # that window is over, and its leases with it
        left = window.leased.get(broker, 0) - spent.used - spent.returned
        window.used += spent.used
        if left > 0:
            window.leased[broker] = left
        else:
            window.leased.pop(broker, None)

    def _lease(self, broker: str, kind: Kind, want: Want, now: int) -> Lease:
        budget = self.quota.budget(kind)
        if budget is None:  # taken away meanwhile
            amount = want.need + want.more
            return Lease(answer="granted", amount=amount, window=-1, secs_left=1.0)
        window = self._window(kind, now)
        leased = sum(window.leased.values())
        free = budget.limit - window.used - leased
        length = budget.window_secs * 1000
        left = (length - now % length) / 1000
        if free >= want.need:
            # the nearer the end, the smaller the block, so that no process sits on the rest
            amount = max(want.need, min(want.need + want.more, free // (2 * len(self.brokers))))
        elif leased > 0:
            return Lease(answer="busy", window=window.number, secs_left=left, used=window.used)
        elif free > 0:
            amount = free
        else:
            return Lease(answer="spent", window=window.number, secs_left=left, used=window.used)
        window.leased[broker] = window.leased.get(broker, 0) + amount
        return Lease(
            answer="granted",
            amount=amount,
            window=window.number,
            secs_left=left,
            used=window.used,
            tight=amount < want.need + want.more,
        )

    def _window(self, kind: Kind, now: int) -> Window:
        budget = self.quota.budget(kind)
        number = 0 if budget is None else now // (budget.window_secs * 1000)
        found = self.windows.get(kind)
        if found is None or found.number != number:
            found = self.windows[kind] = Window(number=number)
        return found

    def _restore_leases(self, broker: str) -> None:
        """A broker that speaks again says itself what it used of its leases."""
        for window in self.windows.values():
            lost = window.written_off.pop(broker, 0)
            if lost:
                window.used -= lost
                window.leased[broker] = window.leased.get(broker, 0) + lost

    def _forget_silent(self, now: int, speaks: str) -> None:
        """What a process leased that nobody hears of any more may have been spent."""
        silent = [b for b, mark in self.brokers.items() if now - mark.at > BROKER_SILENCE_MS]
        if self.corrects and speaks in silent:
            silent.remove(speaks)
        for broker in silent:
            for window in self.windows.values():
                lost = window.leased.pop(broker, 0)
                window.used += lost
                if lost and self.corrects:
                    window.written_off[broker] = window.written_off.get(broker, 0) + lost
            if now - self.brokers[broker].at > _FORGET_MS and not self.brokers[broker].places:
                del self.brokers[broker]
