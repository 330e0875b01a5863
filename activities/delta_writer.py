"""From a node that streams to the stream store: in batches, so that no node waits for a database.

What gets lost here is lost for live readers alone: results do not depend on deltas.
"""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final, Self

from xworkflow.domain.deltas import Delta, StreamKey
from xworkflow.ports import StreamStore

FLUSH_SECS: Final = 0.05
BATCH: Final = 64
CLOSE_SECS: Final = 2.0
"""How long the end of a node waits for its last batch."""

_log = logging.getLogger("xworkflow.streams")


class DeltaWriter:
    """A ``ports.DeltaSink``, open while a node is executed; of one event loop.

    Deltas reach the store in order. After the first error of the store it writes no more, so what a
    reader got is always how the output begins.
    """

    def __init__(self, store: StreamStore, key: StreamKey) -> None:
        self._store = store
        self._key = key
        self._count = 0
        self._pending: list[Delta] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writing: asyncio.Task[None] | None = None
        self._is_broken = False

    def put(self, variable: str, text: str) -> None:
        """Take a piece. Returns at once."""
        if self._is_broken:
            return
        self._count += 1
        self._pending.append(Delta(self._count, variable, text))
        if len(self._pending) >= BATCH:
            self._flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECS, self._flush)

    async def __aenter__(self) -> Self:
        if self._key.is_again:
            self._writing = asyncio.create_task(self._write(announce=True))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        """Write what is left, unless the node was cancelled."""
        if isinstance(error, asyncio.CancelledError):
            self._stop()
            return
        try:
            async with asyncio.timeout(CLOSE_SECS):
                self._flush()
                if self._writing is not None:
                    await self._writing
        except TimeoutError:
            self._give_up("it did not answer in time")
        finally:
            self._stop()

    def _flush(self) -> None:
        self._cancel_timer()
        if self._pending and (self._writing is None or self._writing.done()):
            self._writing = asyncio.create_task(self._write())

    async def _write(self, *, announce: bool = False) -> None:
        """Write until nothing is pending: what comes meanwhile is the next batch."""
        while announce or self._pending:
            announce = False
            batch, self._pending = self._pending, []
            try:
                await self._store.append(self._key, batch)
            except Exception as error:  # noqa: BLE001 - whatever a store raises, the node goes on
                self._give_up(str(error))
                return

    def _give_up(self, why: str) -> None:
        self._is_broken = True
        self._pending.clear()
        _log.warning("no live deltas of %s in run %s: %s", self._key.path, self._key.run_id, why)

    def _stop(self) -> None:
        self._is_broken = True
        self._cancel_timer()
        if self._writing is not None:
            self._writing.cancel()

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
