"""How much one workflow task may still say, and what waits for the next one.

A workflow task ends in one message with all that the workflow starts, and the server refuses those
of more than 4 MB, for ever. What does not fit waits for a task of its own, which a timer brings;
``client/history.py`` knows such a timer from the run's own by its length.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from temporalio import workflow

from xworkflow.domain.wire import NEXT_TASK_SECS

TURNS: Final = "large-starts-take-turns"
"""The patch under which starts wait for each other."""
MOST_SENT: Final = 3 * 1024 * 1024


class Room:
    """Of one history. Deterministic: the length of the history tells one task from the next."""

    def __init__(self) -> None:
        self._task = -1
        self._used = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wakes = False

    def turn(self, size: int, unsent: int) -> asyncio.Future[None] | None:
        """None where so many bytes may be said now, else what is done when they may be.

        ``unsent`` are bytes that the message has besides; cancel the future of what no longer
        wants to be said.
        """
        if self._take(size, unsent) or not workflow.patched(TURNS):
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._wake_later()
        return turn

    def _take(self, size: int, unsent: int) -> bool:
        """Whatever is larger than a message by itself fails elsewhere: here it has one alone."""
        task = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._used = task, 0
        before = self._used + unsent
        if before and before + size > MOST_SENT:
            return False
        self._used += size
        return True

    def _wake_later(self) -> None:
        if not self._wakes:
            self._wakes = True
            asyncio.get_running_loop().call_later(NEXT_TASK_SECS, self._next_task)

    def _next_task(self) -> None:
        self._wakes = False
        while self._waiting:
            size, turn = self._waiting[0]
            if not turn.done() and not self._take(size, 0):
                self._wake_later()
                return
            self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
