"""A worker's group may be replaced while executions use it."""

from __future__ import annotations

import asyncio

import pytest

from xworkflow.activities.lending import Lending
from xworkflow.runtime_group.group import RuntimeGroup


async def test_an_execution_keeps_the_group_that_it_began_with() -> None:
    old, new = RuntimeGroup(), RuntimeGroup()
    lending = Lending(old)
    with lending.lent() as first, lending.lent() as second:
        replacing = asyncio.create_task(lending.replace(new))
        await asyncio.sleep(0)
        with lending.lent() as third:
            assert (first, second, third) == (old, old, new)
        assert lending.group is new
    await replacing


async def test_a_group_is_replaced_once_its_last_execution_has_ended() -> None:
    lending = Lending(RuntimeGroup())
    replacing: asyncio.Task[None] | None = None
    with lending.lent():
        with lending.lent():
            replacing = asyncio.create_task(lending.replace(RuntimeGroup()))
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert not replacing.done()
    await asyncio.wait_for(replacing, 1)


async def test_an_execution_that_fails_gives_its_group_back() -> None:
    lending = Lending(RuntimeGroup())
    with pytest.raises(ZeroDivisionError), lending.lent():
        _ = 1 / 0
    await asyncio.wait_for(lending.replace(RuntimeGroup()), 1)
