"""How many sandbox processes one worker process may hold, shared fairly between its pools.

Every group has a pool of its own, and no process ever serves two. What they share is the machine:
when all places are taken, the pool that holds most gives one up, an idle process at once, a busy
one when its call has ended, and the waiting pool that holds least gets it. So each of n busy pools
ends up with an n-th of the places, whatever it asked for first.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from threading import Lock
from typing import Final, cast

DEFAULT_PROCESSES: Final = 64


@dataclass(frozen=True, eq=False)
class _Request:
    order: int
    place: asyncio.Future[None]


@dataclass(eq=False)
class Share:
    """One pool's part. ``give_up_idle`` ends one idle process, and is called in the pool's loop;
    ``abandon`` ends all of them when that loop is closed, from any thread."""

    count_idle: Callable[[], int]
    give_up_idle: Callable[[], None]
    abandon: Callable[[], None]
    loop: asyncio.AbstractEventLoop | None = None
    held: int = 0
    waiting: deque[_Request] = field(default_factory=deque[_Request])


class ProcessBudget:
    """Places for processes; used from any thread, each share from one event loop at a time."""

    def __init__(self, limit: int = DEFAULT_PROCESSES) -> None:
        self.limit: Final = limit
        self._held = 0
        self._lock = Lock()
        self._shares: list[Share] = []
        self._orders = count()

    @property
    def held(self) -> int:
        return self._held

    def leave(self, share: Share) -> None:
        """Forget a share until it takes again; what it holds is still counted.

        Whoever waits for it gets a CancelledError; call it in its loop.
        """
        with self._lock:
            self._shares = [each for each in self._shares if each is not share]
            waiting = [request.place for request in share.waiting]
        for place in waiting:
            place.cancel()

    async def take(self, share: Share) -> None:
        """Get a place for one process, waiting for it without limit; ``give`` hands it back."""
        loop = asyncio.get_running_loop()
        self._clear_dead_loops()
        with self._lock:
            share.loop = loop
            if share not in self._shares:
                self._shares.append(share)
            if self._held < self.limit:
                self._grant(share)
                return
            request = _Request(next(self._orders), loop.create_future())
            share.waiting.append(request)
            self._ask_the_largest()
        try:
            await request.place
        except asyncio.CancelledError:
            with self._lock:
                granted = request not in share.waiting
                if not granted:
                    share.waiting.remove(request)
            if granted:
                self.give(share)
            raise

    def give(self, share: Share) -> None:
        """Hand a place back: its process is gone."""
        with self._lock:
            share.held -= 1
            self._held -= 1
            self._serve_the_smallest()

    def is_asked_for(self) -> bool:
        """Whether anyone waits for a place, so that none should be held idle."""
        return self._held >= self.limit and any(share.waiting for share in self._shares)

    def is_over_its_share(self, share: Share) -> bool:
        """Whether another pool waits that holds less, so that a process is better given up.

        With more busy pools than places each holds one or none, and they take turns.
        """
        return self._held >= self.limit and any(
            each.waiting and (each.held + 1 < share.held or each.held == 0 < share.held)
            for each in self._shares
            if each is not share
        )

    def _clear_dead_loops(self) -> None:
        """When all places are taken: end what was left in event loops that nobody can ask."""
        with self._lock:
            is_full = self._held >= self.limit
            dead = [each for each in self._shares if each.loop and each.loop.is_closed()]
        for share in dead if is_full else ():
            share.abandon()

    def _grant(self, share: Share) -> None:
        share.held += 1
        self._held += 1

    def _ask_the_largest(self) -> None:
        with_idle = [
            share
            for share in self._shares
            if share.loop and not share.loop.is_closed() and share.count_idle()
        ]
        if with_idle:
            share = max(with_idle, key=lambda each: each.held)
            cast("asyncio.AbstractEventLoop", share.loop).call_soon_threadsafe(share.give_up_idle)

    def _serve_the_smallest(self) -> None:
        while self._held < self.limit:
            hungry = [share for share in self._shares if share.waiting]
            if not hungry:
                return
            share = min(hungry, key=lambda each: (each.held, each.waiting[0].order))
            place = share.waiting.popleft().place
            if share.loop and not share.loop.is_closed():
                self._grant(share)
                share.loop.call_soon_threadsafe(_resolve, place)


def _resolve(place: asyncio.Future[None]) -> None:
    if not place.done():
        place.set_result(None)


@cache
def process_budget() -> ProcessBudget:
    """The budget of all pools of this worker process that were given none of their own."""
    return ProcessBudget()
