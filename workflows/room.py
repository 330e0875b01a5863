"""How much one workflow task may still say, and what waits for the next one.

A workflow task ends in one message with all that the workflow starts and that its regions have
reported, and the server refuses those of more than 4 MB, for ever. What does not fit waits for a
task of its own, which a timer brings; ``client/history.py`` knows such a timer from the run's own
by its length.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final

from temporalio import workflow

from xworkflow.domain.pool_size import estimate
from xworkflow.domain.wire import NEXT_TASK_SECS, NodeReport

FLUSHES: Final = "large-reports-leave-their-task"
"""The patch under which local nodes become activities behind large reports."""
TURNS: Final = "large-starts-take-turns"
"""The patch under which starts wait for each other."""
MOST_SENT: Final = 3 * 1024 * 1024
MOST_REPORTED: Final = 512 * 1024


class Room:
    """Of one history. Deterministic: the length of the history tells one task from the next. A
    replay takes tasks together that said nothing, and what is counted here was said."""

    def __init__(self) -> None:
        self._task: int = -1
        self._used = 0
        self._reported = 0
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._wakes = False

    def reported(self, report: NodeReport) -> None:
        """A region's report waits for the end of the task, as a marker."""
        if report.result is not None:
            self._look()
            self._reported += estimate(report.result.outputs, MOST_SENT)

    @property
    def must_flush(self) -> bool:
        """Whether so much was reported that more should be said in another message."""
        self._look()
        return self._reported > MOST_REPORTED and workflow.patched(FLUSHES)

    def turn(self, size: int) -> asyncio.Future[None] | None:
        """None where so many bytes may be said now, else what is done when they may be; cancel it
        where they no longer want to be said."""
        if self._take(size) or not workflow.patched(TURNS):
            return None
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        self._wake_later()
        return turn

    def _look(self) -> None:
        """Whether another task has come, whose message is empty."""
        task: int = workflow.info().get_current_history_length()
        if task != self._task:
            self._task, self._used, self._reported = task, 0, 0

    def _take(self, size: int) -> bool:
        """Whatever is larger than a message by itself fails elsewhere: here it has one alone."""
        self._look()
        before = self._used + self._reported
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
            if not turn.done() and not self._take(size):
                self._wake_later()
                return
            self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
