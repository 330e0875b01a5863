"""When a run that is watched says nothing for a while, the user hears what holds it up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from xworkflow.cli.printing import print_note
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.hold_ups import HoldUp
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.errors import EngineError

IDLE_SECS = 10.0
"""So long a run may be silent without a word: a dead worker looks alive for minutes."""


class Silence:
    """Asks each ``IDLE_SECS`` of silence, and says each thing once until the run is heard again.

    Belongs to who watches the run, and is ended by it. A server that does not answer here is no
    news: whoever reads the run will say so.
    """

    def __init__(self, handle: WorkflowHandle) -> None:
        self._handle = handle
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._said: set[HoldUp] = set()
        self._titles: dict[str, str] = {}
        self._asking = asyncio.create_task(self._ask())

    def broken(self, news: Sequence[GraphEngineEvent]) -> None:
        """The run has said something."""
        for event in news:
            if event.type == "node_run_started":
                self._titles[event.data["node_id"]] = event.data["node_title"]
        self._heard = self._loop.time()
        self._said.clear()

    def end(self) -> None:
        self._asking.cancel()

    async def _ask(self) -> None:
        while True:
            left = self._heard + IDLE_SECS - self._loop.time()
            if left > 0:
                await asyncio.sleep(left)
                continue
            with suppress(EngineError):
                self._say(await self._handle.hold_ups())
            await asyncio.sleep(IDLE_SECS)

    def _say(self, found: Sequence[HoldUp]) -> None:
        for one in found:
            if one not in self._said:
                print_note(one.told(self._titles))
        self._said.update(found)
