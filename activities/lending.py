"""The group that a worker's activities use, which may be replaced while they work."""

from __future__ import annotations

import asyncio
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from xworkflow.runtime_group.group import RuntimeGroup


@dataclass(eq=False)
class _Lent:
    """A group, and how many executions use it."""

    group: RuntimeGroup
    users: int = 0
    unused: asyncio.Event = field(default_factory=asyncio.Event)


class Lending:
    """Belongs to the worker's event loop. Each execution keeps to its end the group that it began
    with."""

    def __init__(self, group: RuntimeGroup) -> None:
        self._lent = _Lent(group)

    @property
    def group(self) -> RuntimeGroup:
        """The group of executions that begin now."""
        return self._lent.group

    @contextmanager
    def lent(self) -> Generator[RuntimeGroup]:
        """The group for one execution."""
        lent = self._lent
        lent.users += 1
        try:
            yield lent.group
        finally:
            lent.users -= 1
            if not lent.users:
                lent.unused.set()

    async def replace(self, group: RuntimeGroup) -> None:
        """Lend another group from now on. Returns when the one before is used no more: then its
        owner may close what the two do not share."""
        before, self._lent = self._lent, _Lent(group)
        while before.users:
            before.unused.clear()
            await before.unused.wait()
