"""Many groups in one worker process, each with a worker of its own, as ``xworkflow.toml`` has them.

A change of the file is taken without a restart: what begins later is done with the new settings,
what has begun ends with the old ones. Runs are never lost by it, as they are Temporal's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass
from typing import Final

from temporalio.client import Client

from xworkflow.activities.own_task import OwnTask
from xworkflow.configuration import Assembled, ProcessParts, Settings, assembled
from xworkflow.errors import InfrastructureError
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import GroupWorker

_STARTING_AT_ONCE: Final = 16
_LOOK_SECS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Changes:
    """Ids of groups, each in the order of the file. ``restarted`` are those whose worker had to
    be: other slots, or a quota where there was none."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    restarted: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(eq=False)
class _Serving:
    """A group that is served. Its worker finishes at a stop what takes no longer than 5 s, and
    hands back the rest."""

    made: Assembled
    worker: GroupWorker
    polling: OwnTask


class GroupWorkers:
    """Serves what ``apply`` was given last. Owns the live groups; ``aclose`` ends everything."""

    def __init__(self, client: Client, parts: ProcessParts, *, sandboxed: bool = False) -> None:
        self._client = client
        self._parts = parts
        self._sandboxed = sandboxed
        self._served: dict[str, _Serving] = {}
        self._background: set[asyncio.Task[None]] = set()

    async def apply(self, settings: Settings, only: Iterable[str] | None = None) -> Changes:
        """Serve the groups of the settings (``only`` some of them), and no others.

        Raises ConfigurationError when a part that they name is not there; then nothing changes.
        """
        wanted = [group_id for group_id in settings.groups if only is None or group_id in only]
        before = {group_id: serving.made for group_id, serving in self._served.items()}
        made = {i: assembled(settings, i, self._parts, before.get(i)) for i in wanted}
        added = tuple(i for i in wanted if i not in before)
        removed = tuple(i for i in before if i not in made)
        altered = [i for i in wanted if i in before and not made[i].is_of(before[i])]
        restarted = tuple(
            i for i in altered if not self._served[i].worker.can_become(made[i].group)
        )
        changed = tuple(i for i in altered if i not in restarted)
        for group_id in changed:
            self._replace(self._served[group_id], made[group_id])
        await _some_at_once(self._restart(self._served[i], made[i]) for i in restarted)
        await _some_at_once(self._add(made[i]) for i in added)
        await _some_at_once(self._remove(i) for i in removed)
        return Changes(added, changed, restarted, removed)

    def group(self, group_id: str) -> RuntimeGroup:
        """The live group of what begins now. Raises KeyError for one that is not served."""
        return self._served[group_id].made.group

    async def wait(self) -> None:
        """Wait until a worker ends that nobody stopped; raises what it died of."""
        while True:
            await asyncio.sleep(_LOOK_SECS)
            for group_id, serving in self._served.items():
                if serving.polling.raise_if_ended():
                    raise InfrastructureError(f"the worker of group '{group_id}' has ended")

    async def handed_over(self) -> None:
        """Wait until nothing uses what was replaced, and that is closed."""
        if self._background:
            await asyncio.wait(self._background)

    async def aclose(self) -> None:
        """Stop all workers at once, then end all processes and connections of their groups."""
        await asyncio.gather(*(serving.polling.stop() for serving in self._served.values()))
        await self.handed_over()
        for serving in self._served.values():
            await self._close(serving.made, keep=None)
        self._served.clear()

    async def _add(self, made: Assembled) -> None:
        worker = GroupWorker(self._client, made.group, sandboxed=self._sandboxed)
        serving = _Serving(made, worker, OwnTask(worker.worker))
        try:
            await serving.polling.start()
        except BaseException:
            await self._close(made, keep=None)
            raise
        self._served[made.group_id] = serving

    async def _remove(self, group_id: str) -> None:
        serving = self._served.pop(group_id)
        await serving.polling.stop()
        await self._close(serving.made, keep=None)

    async def _restart(self, old: _Serving, made: Assembled) -> None:
        """One after the other: a client has one worker for a queue. Tasks wait meanwhile."""
        del self._served[made.group_id]
        await old.polling.stop()
        await self._close(old.made, keep=made)
        await self._add(made)

    def _replace(self, serving: _Serving, made: Assembled) -> None:
        before, serving.made = serving.made, made
        task = asyncio.create_task(self._hand_over(serving.worker, before, made))
        self._background.add(task)
        task.add_done_callback(self._background.discard)

    async def _hand_over(self, worker: GroupWorker, before: Assembled, made: Assembled) -> None:
        await worker.replace(made.group)
        await self._close(before, keep=made)

    async def _close(self, made: Assembled, keep: Assembled | None) -> None:
        """End what no other group uses."""
        shared: list[object] = [self._parts.stream_store]
        if keep is not None:
            shared += [keep.group.sandbox_pool, keep.group.http_client_provider]
        await made.group.aclose(but=shared)


async def _some_at_once(work: Iterable[Awaitable[None]]) -> None:
    places = asyncio.Semaphore(_STARTING_AT_ONCE)

    async def one(of: Awaitable[None]) -> None:
        async with places:
            await of

    await asyncio.gather(*(one(of) for of in work))
