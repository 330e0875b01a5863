"""``RedisOutbox``: what Redis has to hear and may hear late: ends of runs, and what calls used.

Whoever puts something in goes on at once. All that has come together goes in one round trip, and
where nobody is in need of it, it may gather for a moment; while Redis is away it is kept and said
again, which is harmless as each is taken once.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, Final

from xworkflow.domain.governing import RunEnds
from xworkflow.errors import GovernorAwayError

_BATCH: Final = 500
_FIRST_PAUSE_SECS, _LONGEST_PAUSE_SECS = 0.05, 2.0
_CLOSING_SECS: Final = 2.0
_GATHERING_SECS: Final = 0.05

_log = logging.getLogger("xworkflow.governor")


class RedisOutbox:
    """``send`` says a batch; ``settled`` hears when calls of it were settled."""

    def __init__(
        self, send: Callable[[str], Awaitable[object]], settled: Callable[[], None]
    ) -> None:
        self._send = send
        self._settled = settled
        self._settles: deque[tuple[str, str, int, int]] = deque()
        self._ends: deque[RunEnds] = deque()
        self._sending: asyncio.Task[None] | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._is_closed = False

    def settle(self, part: str, kind: str, used: int, window_ms: int, *, soon: bool) -> None:
        if self._is_closed:
            return
        self._settles.append((part, kind, used, window_ms))
        if soon:
            self._speak()
        elif self._gathering is None:
            loop = asyncio.get_running_loop()
            self._gathering = loop.call_later(_GATHERING_SECS, self._speak)

    def end(self, end: RunEnds) -> None:
        if self._is_closed:
            return
        self._ends.append(end)
        self._speak()

    async def aclose(self) -> None:
        """Say what is left, as far as Redis answers at once. What comes later is not said, as a
        sweep finds the runs that are over."""
        self._is_closed = True
        if self._settles:
            self._speak()
        if self._sending is not None and not self._sending.done():
            _, late = await asyncio.wait({self._sending}, timeout=_CLOSING_SECS)
            if late:
                self._sending.cancel()
                await asyncio.wait({self._sending})

    def _speak(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send_all())

    async def _send_all(self) -> None:
        pause = _FIRST_PAUSE_SECS
        while self._settles or self._ends:
            settles = [self._settles.popleft() for _ in range(min(_BATCH, len(self._settles)))]
            ends = [self._ends.popleft() for _ in range(min(_BATCH, len(self._ends)))]
            try:
                await self._send(_as_json(settles, ends))
            except GovernorAwayError as error:
                _log.info("%s", error)
                self._settles.extendleft(reversed(settles))
                self._ends.extendleft(reversed(ends))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_SECS)
                continue
            pause = _FIRST_PAUSE_SECS
            if settles:
                self._settled()


def _as_json(settles: list[tuple[str, str, int, int]], ends: list[RunEnds]) -> str:
    told: dict[str, Any] = {
        "settles": settles,
        "ends": [(end.run,) if end.turn is None else (end.run, end.turn) for end in ends],
    }
    return json.dumps(told)
