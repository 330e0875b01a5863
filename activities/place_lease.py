"""``PlaceLease``: free places that the ledger has given to one process beforehand.

A run that starts takes one at once, and one that ends soon gives it back to the lease: then the
ledger never hears of it, and a run costs no exchange. The ledger counts all places of a lease as
taken. It leases them only while at least half of a group's places are free, and gets those back
that lie idle; of runs that last it is told within a second.

What a lease gives is not told beforehand, so it stands in the run's history: when the process dies,
that is where the ledger finds it. A process uses no place when the ledger has not answered for 8 s.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final

from xworkflow.activities.leases import Leases
from xworkflow.domain.governing import RunAsks, Verdict

VALID_SECS: Final = 8.0
_TELL_SECS: Final = 0.5
_IDLE_SECS: Final = 1.0
ALIVE_SECS: Final = 4.0


class PlaceLease:
    """Not thread-safe. ``speak`` asks the broker for an exchange."""

    def __init__(self, broker: str, speak: Callable[[], None]) -> None:
        self.idle = 0
        self.is_due = False
        self._broker = broker
        self._speak = speak
        self._untold: dict[str, tuple[RunAsks, float]] = {}
        """With when they took their place, the oldest first."""
        self._answered = 0.0
        self._used_at = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def give(self, ask: RunAsks, starts: Leases | None) -> Verdict | None:
        """A place for a run that starts; None where the ledger has to be asked. ``starts`` is the
        lease of starts, where these are counted."""
        if ask.run not in self._untold:
            if ask.turn or not self.idle or time.monotonic() > self._answered + VALID_SECS:
                return None
            if starts is not None and not starts.take_now(1):
                return None
            self.idle -= 1
            self._used_at = time.monotonic()
            self._untold[ask.run] = ask.model_copy(update={"leased": True}), self._used_at
            self._mind_later()
        return Verdict(lease=self._broker)

    def take_back(self, run: str) -> bool:
        """A run has ended. False where the ledger has to be told."""
        if self._untold.pop(run, None) is None:
            return False
        self.idle += 1
        return True

    # ---- the broker's side

    def take_untold(self) -> list[RunAsks]:
        """The runs that the ledger has not heard of. Places that nobody uses go back with it."""
        self.is_due = False
        if time.monotonic() > self._used_at + _IDLE_SECS:
            self.idle = 0
        told = [ask for ask, _ in self._untold.values()]
        self._untold.clear()
        return told

    def take(self, places: int, sent: float, *, roomy: bool) -> None:
        """The ledger's answer to an exchange that was sent at a time."""
        self._answered = sent
        self.idle += places
        if places:
            self._used_at = time.monotonic()
        if not roomy and self.idle:
            self.give_back()
        self._mind_later()

    def give_back(self) -> None:
        """Tell the ledger of everything, and keep no idle place."""
        self._used_at = 0.0
        self.is_due = bool(self.idle or self._untold)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self.give_back()

    # ----

    def _mind_later(self) -> None:
        if self._timer is None and (self.idle or self._untold):
            self._timer = asyncio.get_running_loop().call_later(_TELL_SECS, self._mind)

    def _mind(self) -> None:
        self._timer = None
        now = time.monotonic()
        idle = self.idle and now > self._used_at + _IDLE_SECS
        oldest = min((since for _, since in self._untold.values()), default=now)
        if now > oldest + _TELL_SECS or idle or now > self._answered + ALIVE_SECS:
            self.is_due = True
            self._speak()
        self._mind_later()
