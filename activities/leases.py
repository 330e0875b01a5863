"""``Leases``: one process's part of one budget of its group, and the calls that wait for it.

The ledger hands out blocks; calls set parts of them aside, use more or less than that, and settle.
A block is worth nothing once its window is over. Time is the process's own monotonic clock, counted
from before the ledger was asked, so that a lease ends here before it ends there.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from xworkflow.domain.governing import Budget, Kind, Lease, Spent, Want
from xworkflow.domain.refusals import rest_is_set_aside, used_up
from xworkflow.errors import BudgetBusyError, NodeError
from xworkflow.ports import Reservation

_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.05, 1.0
"""Between two questions for a rest that others hold."""
_SETTLE_SECS, _SETTLE_TIGHT_SECS = 1.0, 0.02
"""How long what was used and what lies idle are kept back before the ledger hears of them."""
_ALIVE_SECS: Final = 10.0
_FIRST_BLOCK, _LAST_BLOCK = 16, 1_024
"""The size of a block, in calls as the last one was."""
_OFTEN_SECS: Final = 2.0


@dataclass(slots=True)
class _Waiter:
    need: int
    until: float
    done: asyncio.Future[Reservation]
    heard: bool = False
    """Whether the ledger has answered since it waits."""


@dataclass(slots=True, eq=False)
class _Part:
    """What one call has set aside, of the lease of one window."""

    leases: Leases
    window: int
    amount: int

    def settle(self, used: Mapping[Kind, int]) -> None:
        self.leases.settled(self, used.get(self.leases.kind, 0))


class Leases:
    """Not thread-safe. ``speak`` asks the broker for an exchange."""

    def __init__(self, kind: Kind, budget: Budget, speak: Callable[[], None]) -> None:
        self.kind = kind
        self._budget = budget
        self._speak = speak
        self._window = -1
        self._ends = 0.0
        self._left = 0
        self._set_aside = 0
        self._used = 0
        self._tight = False
        self._waiting: deque[_Waiter] = deque()
        self._asking = False
        self._resting: asyncio.TimerHandle | None = None
        self._pause = _FIRST_PAUSE_SECS
        self._timer: asyncio.TimerHandle | None = None
        self._due = False
        self._active = False
        self._told_at = 0.0
        self._debt = 0
        self._block = _FIRST_BLOCK
        self._asked_at = 0.0
        self._usual = 1
        self._last_block = 0
        self._ahead = False
        self._is_closed = False

    async def reserve(self, amount: int, until: float) -> Reservation:
        """Set a part aside; in order, and at once where the lease has enough of it."""
        if not self._waiting and self._is_valid() and self._left >= amount:
            part = self._part(amount)
            if self._left < self._last_block // 4:
                self._ask_ahead()
            return part
        waiter = _Waiter(amount, until, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._want_more()
        try:
            return await waiter.done
        except asyncio.CancelledError:
            if waiter.done.done() and not waiter.done.cancelled():
                if waiter.done.exception() is None:
                    waiter.done.result().settle({})
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def take_now(self, amount: int) -> bool:
        """Use up a part that needs no settling, if it is there."""
        if self._waiting or not self._is_valid() or self._left < amount:
            return False
        self._part(amount).settle({self.kind: amount})
        if self._left < self._last_block // 4:
            self._ask_ahead()
        return True

    def ask_ahead(self) -> None:
        """Have something there for ``take_now``, with the next exchange."""
        self._ahead = not (self._is_valid() and self._left)

    def settled(self, part: _Part, used: int) -> None:
        """A call is over: it used so much of what it had set aside, or more."""
        if part.window != self._window:
            return  # counted with a window that is over
        self._set_aside -= part.amount
        self._used += used
        self._left += part.amount - used
        if self._left < 0:  # it used more than it had set aside, and the lease has no more
            self._debt -= self._left
            self._left = 0
        self._serve()
        if self._waiting or self._debt:
            self._rest(None)
            self._due = True
            self._speak()
        self._tell_later()

    # ---- the broker's side

    @property
    def has_news(self) -> bool:
        return self._due or self._may_ask or self._ahead

    def take_spent(self) -> tuple[Spent, ...]:
        """What the ledger has not heard of yet. Who asks for more gives back what is left."""
        gives_back = self._may_ask or (self._due and (self._tight or not self._active))
        due, self._due, self._told_at = self._due, False, time.monotonic()
        if not self._is_valid():
            self._forget()
            return ()
        returned = self._left if gives_back else 0
        self._left -= returned
        spent = Spent(window=self._window, used=self._used, returned=returned - self._debt)
        self._used = self._debt = 0
        if not self._is_closed:
            self._tell_later()
        return (spent,) if due or spent.used or spent.returned else ()

    def want(self) -> Want | None:
        """What the first of the calls that wait needs, and as much more as all of them need and the
        next ones will: the more often calls come, the larger the block."""
        ahead, self._ahead = self._ahead and not self._asking, False
        if not (self._may_ask or ahead):
            return None
        self._asking = True
        now = time.monotonic()
        often = now - self._asked_at < _OFTEN_SECS
        self._block = min(2 * self._block, _LAST_BLOCK) if often else _FIRST_BLOCK
        self._asked_at = now
        all_of_them = sum(waiter.need for waiter in self._waiting)
        need = self._waiting[0].need if self._waiting else 0
        return Want(need=need, more=2 * all_of_them + self._block * self._usual)

    def take(self, lease: Lease, sent: float) -> None:
        """The ledger's answer to a want that was sent at a time."""
        self._asking = False
        for waiter in self._waiting:
            waiter.heard = True
        if lease.answer == "granted":
            self._pause = _FIRST_PAUSE_SECS
            self._take_block(lease, sent + lease.secs_left)
        elif lease.answer == "spent":
            self._refuse_all(lease)
        else:
            self._tight = True
            self._rest(self._pause)
            self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECS)
        self._drop_impatient()
        self._tell_later()

    def close(self) -> None:
        """Give back what is left, with the next exchange."""
        self._rest(None)
        self._is_closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._active = self._ahead = False
        self._due = self._is_valid() and bool(self._left or self._used)

    # ----

    @property
    def _may_ask(self) -> bool:
        return bool(self._waiting) and not self._asking and self._resting is None

    def _rest(self, secs: float | None) -> None:
        """Ask no more for a while, as others hold the rest; None ends that."""
        if self._resting is not None:
            self._resting.cancel()
            self._resting = None
        if secs is not None:
            self._resting = asyncio.get_running_loop().call_later(secs, self._rested)

    def _rested(self) -> None:
        self._resting = None
        self._want_more()

    def _is_valid(self) -> bool:
        return time.monotonic() < self._ends

    def _forget(self) -> None:
        self._window, self._left, self._set_aside, self._used, self._debt = -1, 0, 0, 0, 0

    def _part(self, amount: int) -> _Part:
        self._active = True
        self._usual = amount
        self._left -= amount
        self._set_aside += amount
        return _Part(self, self._window, amount)

    def _take_block(self, lease: Lease, ends: float) -> None:
        if lease.window != self._window:
            self._forget()
            self._window = lease.window
        self._ends = ends
        self._left += lease.amount
        self._last_block = lease.amount
        self._tight = lease.tight
        self._serve()
        if self._waiting and self._set_aside == 0 and 0 < self._left < self._waiting[0].need:
            # the last call of the budget: it may go over it, but no other goes beside it
            self._grant(self._waiting.popleft(), self._left)
        if self._waiting:
            self._want_more()

    def _serve(self) -> None:
        while self._waiting and self._is_valid() and self._left >= self._waiting[0].need:
            waiter = self._waiting.popleft()
            self._grant(waiter, waiter.need)

    def _grant(self, waiter: _Waiter, amount: int) -> None:
        if not waiter.done.done():
            waiter.done.set_result(self._part(amount))

    def _want_more(self) -> None:
        self._drop_impatient()
        if self._may_ask:
            self._speak()

    def _ask_ahead(self) -> None:
        """Ask for the next block before this one is used up, so that no call waits for it."""
        if not (self._asking or self._tight or self._ahead):
            self._ahead = True
            self._speak()

    def _drop_impatient(self) -> None:
        now = time.monotonic()
        for waiter in [w for w in self._waiting if w.heard and w.until <= now]:
            self._waiting.remove(waiter)
            if not waiter.done.done():
                text, limit = rest_is_set_aside(self.kind), self._budget.limit
                busy = BudgetBusyError(text, quota_type=self.kind.value, limit=limit)
                waiter.done.set_exception(busy)

    def _refuse_all(self, lease: Lease) -> None:
        failure = used_up(self.kind, self._budget, lease.used, lease.secs_left)
        waiting, self._waiting = self._waiting, deque()
        for waiter in waiting:
            if not waiter.done.done():
                waiter.done.set_exception(NodeError(failure))

    def _tell_later(self) -> None:
        """Tell the ledger what was used, and give back what lies idle: soon where it is short. As
        long as something is set aside, it hears at times that this process lives."""
        if self._window < 0:
            return
        if self._used or self._left or self._debt:
            secs = _SETTLE_TIGHT_SECS if self._tight or self._waiting else _SETTLE_SECS
        elif self._set_aside:
            secs = _ALIVE_SECS
        else:
            return
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            if self._timer.when() <= loop.time() + secs:
                return
            self._timer.cancel()  # it was to say only that this process lives
        self._timer = loop.call_later(secs, self._tell)

    def _tell(self) -> None:
        self._timer = None
        if not self._is_valid():
            self._forget()
        elif self._active and not self._tight and time.monotonic() < self._told_at + _ALIVE_SECS:
            self._active = False  # calls keep coming: they need the rest of the lease
            self._tell_later()
        else:
            self._due, self._active = True, False
            self._speak()
