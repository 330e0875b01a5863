"""Which governor holds a worker's group to its quota, and what runs beside it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from xworkflow.activities.own_task import OwnTask
from xworkflow.domain.governing import UsageQuota
from xworkflow.ports import ResourceGovernor
from xworkflow.runtime_group.group import RuntimeGroup


@dataclass(frozen=True, slots=True)
class Governed:
    """A governor, and the block in which it works: it is closed at the end of that."""

    governor: ResourceGovernor
    beside: AbstractAsyncContextManager[None]


@dataclass(frozen=True, slots=True, eq=False)
class _Kept:
    quota: UsageQuota
    governor: ResourceGovernor
    beside: OwnTask


class Governance:
    """The governor of one group: its own, or one that is made for its quota. Belongs to the
    worker's event loop."""

    def __init__(self, make: Callable[[UsageQuota], Governed]) -> None:
        self._make = make
        self._kept: _Kept | None = None
        self._is_running = False
        self._died: Callable[[], object] | None = None
        self.governor: ResourceGovernor | None = None

    def over(self, group: RuntimeGroup) -> RuntimeGroup:
        """The group with its governor, which is the same while its quota is. A group without a
        name is not counted."""
        quota = group.usage_quota
        if group.resource_governor is not None or group.group_id is None or quota is None:
            self._kept, self.governor = None, group.resource_governor
            return group
        if self._kept is None or self._kept.quota != quota:
            made = self._make(quota)
            self._kept = _Kept(quota, made.governor, OwnTask(made.beside))
        self.governor = self._kept.governor
        return group.replaced(resource_governor=self.governor)

    @asynccontextmanager
    async def running(self) -> AsyncGenerator[None]:
        """Have the governor work for the length of a block, and whichever takes its place. The
        block is cancelled when what runs beside it dies."""
        task = asyncio.current_task()
        self._died = None if task is None else task.cancel
        self._is_running = True
        try:
            if self._kept is not None:
                await self._kept.beside.start(self._died)
            yield
        finally:
            self._is_running = False
            if self._kept is not None:
                await self._kept.beside.stop()

    @asynccontextmanager
    async def handing_over(self, group: RuntimeGroup) -> AsyncGenerator[RuntimeGroup]:
        """As ``over``; the governor that it replaces, if any, is closed at the end of the block."""
        before = self._kept
        governed = self.over(group)
        if self._kept is not None and self._kept is not before and self._is_running:
            await self._kept.beside.start(self._died)
        try:
            yield governed
        finally:
            if before is not None and before is not self._kept:
                await before.beside.stop()
