"""A block may be left from another task than it was entered in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import pytest

from xworkflow.activities.own_task import OwnTask


class Block:
    def __init__(self, fault: Exception | None = None) -> None:
        self.fault = fault
        self.entered = 0
        self.left = 0

    @asynccontextmanager
    async def open(self) -> AsyncGenerator[None]:
        if self.fault is not None:
            raise self.fault
        self.entered += 1
        try:
            yield
        finally:
            self.left += 1


async def test_the_block_is_open_from_start_to_stop() -> None:
    block = Block()
    task = OwnTask(block.open())
    await asyncio.gather(task.start(), task.start())
    assert (block.entered, block.left, task.raise_if_ended()) == (1, 0, False)
    await asyncio.create_task(task.stop())
    assert (block.left, task.raise_if_ended()) == (1, True)


async def test_what_keeps_the_block_from_opening_is_raised() -> None:
    task = OwnTask(Block(ValueError("closed")).open())
    with pytest.raises(ValueError, match="closed"):
        await task.start()
    await task.stop()
    with pytest.raises(ValueError, match="closed"):
        task.raise_if_ended()


async def test_a_block_that_was_never_entered_is_stopped_at_once() -> None:
    block = Block()
    await OwnTask(block.open()).stop()
    assert block.entered == 0


async def test_a_block_that_dies_is_told_of_and_one_that_was_stopped_is_not() -> None:
    holders: list[asyncio.Task[object]] = []
    told: list[str] = []
    died = asyncio.Event()

    @asynccontextmanager
    async def mortal() -> AsyncGenerator[None]:
        holder = asyncio.current_task()
        assert holder is not None
        holders.append(holder)
        yield

    def tell() -> None:
        told.append("died")
        died.set()

    await OwnTask(mortal()).start(tell)
    holders[0].cancel()
    await asyncio.wait_for(died.wait(), 1)
    stopped = OwnTask(Block().open())
    await stopped.start(lambda: told.append("stopped"))
    await stopped.stop()
    assert told == ["died"]
