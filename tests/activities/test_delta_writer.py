"""Deltas go to the store in batches, and no node waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence

import pytest

from xworkflow.activities import delta_writer
from xworkflow.activities.delta_writer import BATCH, DeltaWriter
from xworkflow.domain.deltas import Delta, StreamItem, StreamKey
from xworkflow.errors import InfrastructureError

KEY = StreamKey("run", "llm")


class Store:
    """Keeps batches; writes wait for ``gate``, and fail after ``fails_after`` of them."""

    def __init__(self, fails_after: int | None = None) -> None:
        self.batches: list[list[Delta]] = []
        self.written = asyncio.Event()
        self.gate = asyncio.Event()
        self.gate.set()
        self._fails_after = fails_after

    @property
    def text(self) -> str:
        return "".join(delta.text for batch in self.batches for delta in batch)

    async def append(self, key: StreamKey, deltas: Sequence[Delta]) -> None:
        assert key.run_id == "run"
        await self.gate.wait()
        if self._fails_after is not None and len(self.batches) >= self._fails_after:
            raise InfrastructureError("no disk")
        self.batches.append(list(deltas))
        self.written.set()

    async def read(self, run_id: str, after: int = 0, *, limit: int = 0) -> list[StreamItem]:
        raise NotImplementedError

    def follow(self, run_id: str, after: int = 0) -> AsyncGenerator[StreamItem]:
        raise NotImplementedError

    async def delete_run(self, run_id: str) -> None:
        raise NotImplementedError

    async def delete_older_than(self, days: float) -> int:
        raise NotImplementedError

    async def aclose(self) -> None:
        raise NotImplementedError


async def test_what_was_put_is_written_when_the_node_ends_numbered_from_one() -> None:
    store = Store()
    async with DeltaWriter(store, KEY) as writer:
        for piece in ("a", "", "b"):
            writer.put("text", piece)
        assert store.batches == [], "the node did not wait"
    assert store.batches == [[Delta(1, "text", "a"), Delta(2, "text", ""), Delta(3, "text", "b")]]


async def test_a_piece_is_written_soon_while_the_node_goes_on() -> None:
    store = Store()
    async with DeltaWriter(store, KEY) as writer, asyncio.timeout(5):
        writer.put("text", "a")
        await store.written.wait()
        assert store.text == "a"


async def test_a_full_batch_is_written_at_once() -> None:
    store = Store()
    async with DeltaWriter(store, KEY) as writer:
        for _ in range(BATCH):
            writer.put("text", "x")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [len(batch) for batch in store.batches] == [BATCH]


async def test_what_comes_while_the_store_writes_is_the_next_batch() -> None:
    store = Store()
    store.gate.clear()
    async with DeltaWriter(store, KEY) as writer:
        for number in range(3 * BATCH):
            writer.put("text", str(number % 10))
            await asyncio.sleep(0)
        store.gate.set()
    assert store.text == "".join(str(number % 10) for number in range(3 * BATCH))
    assert len(store.batches) == 2


async def test_a_retry_announces_itself_before_its_first_piece() -> None:
    store = Store()
    async with (
        DeltaWriter(store, StreamKey("run", "llm", activity_try=2)) as writer,
        asyncio.timeout(5),
    ):
        await store.written.wait()
        assert store.batches == [[]]
        writer.put("text", "a")
    assert store.text == "a"


async def test_after_an_error_of_the_store_nothing_more_is_written_and_the_node_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    store = Store(fails_after=1)
    async with DeltaWriter(store, KEY) as writer, asyncio.timeout(5):
        writer.put("text", "a")
        await store.written.wait()
        for _ in range(2 * BATCH):
            writer.put("text", "b")
            await asyncio.sleep(0)
        writer.put("text", "c")
    assert store.text == "a"
    assert "no live deltas of llm in run run: no disk" in caplog.text


async def test_a_store_that_hangs_does_not_hold_the_node_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(delta_writer, "CLOSE_SECS", 0.01)
    store = Store()
    store.gate.clear()
    async with asyncio.timeout(5), DeltaWriter(store, KEY) as writer:
        writer.put("text", "a")
    assert "did not answer in time" in caplog.text


async def test_a_node_that_is_cancelled_waits_for_nothing() -> None:
    store = Store()
    store.gate.clear()
    entered = asyncio.Event()

    async def node() -> None:
        async with DeltaWriter(store, KEY) as writer:
            writer.put("text", "a")
            entered.set()
            await asyncio.Event().wait()

    running = asyncio.create_task(node())
    await entered.wait()
    running.cancel()
    async with asyncio.timeout(1):
        with pytest.raises(asyncio.CancelledError):
            await running
    assert store.batches == []
