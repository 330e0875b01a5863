"""The stream store: each delta once, in order, whoever writes and however often."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xworkflow.domain.deltas import Delta, StreamItem, StreamKey
from xworkflow.errors import InfrastructureError, MisuseError
from xworkflow.ports import StreamStore
from xworkflow.store import SqlStreamStore


@pytest.fixture
async def store(url: str) -> AsyncIterator[SqlStreamStore]:
    made = SqlStreamStore(url)
    yield made
    await made.aclose()


@pytest.fixture
def run_id() -> str:
    return str(uuid.uuid4())


def deltas(text: str, start: int = 1) -> list[Delta]:
    """One delta for each letter."""
    return [Delta(number, "text", letter) for number, letter in enumerate(text, start)]


def shown(items: list[StreamItem]) -> str:
    """The letters in order; ``|`` where a node starts again."""
    return "".join("|" if item.is_replacement else item.delta.text for item in items)


async def test_what_was_appended_is_read_in_order(store: SqlStreamStore, run_id: str) -> None:
    key = StreamKey(run_id, "llm")
    await store.append(key, deltas("ab"))
    await store.append(key, deltas("c", 3))
    items = await store.read(run_id)
    assert [(item.key, item.delta) for item in items] == [(key, d) for d in deltas("abc")]
    assert shown(await store.read(run_id, items[0].cursor)) == "bc"
    assert await store.read(run_id, items[-1].cursor) == []
    assert shown(await store.read(run_id, limit=2)) == "ab"
    assert await store.read("another run") == []


async def test_a_delta_that_is_appended_again_is_there_once(
    store: SqlStreamStore, run_id: str
) -> None:
    key = StreamKey(run_id, "llm")
    await store.append(key, deltas("abc"))
    await store.append(key, deltas("bcd", 2))
    assert shown(await store.read(run_id)) == "abcd"


@pytest.mark.parametrize("again", [{"activity_try": 2}, {"attempt": 2}])
async def test_a_retry_announces_that_it_starts_again(
    store: SqlStreamStore, run_id: str, again: dict[str, int]
) -> None:
    first, second = StreamKey(run_id, "llm"), StreamKey(run_id, "llm", **again)
    await store.append(first, deltas("ab"))
    await store.append(second, [])
    await store.append(second, deltas("xy"))
    assert shown(await store.read(run_id)) == "ab|xy"


async def test_a_writer_that_was_followed_by_another_is_not_heard(
    store: SqlStreamStore, run_id: str
) -> None:
    """A worker that stalled and goes on while its node runs again elsewhere."""
    stalled = StreamKey(run_id, "llm", activity_try=2)
    await store.append(stalled, deltas("ab"))
    await store.append(StreamKey(run_id, "llm", activity_try=3), deltas("x"))
    await store.append(stalled, deltas("c", 3))
    await store.append(StreamKey(run_id, "llm", attempt=2), deltas("1"))
    await store.append(StreamKey(run_id, "llm", activity_try=9), deltas("z"))
    await store.append(StreamKey(run_id, "other"), deltas("o"))
    assert shown(await store.read(run_id)) == "|ab|x|1o"


@pytest.mark.parametrize("text", ["é😀", "", "a\nb", "\ud83d", "\0"])
async def test_any_text_can_be_kept(store: SqlStreamStore, run_id: str, text: str) -> None:
    await store.append(StreamKey(run_id, "llm"), [Delta(1, "text", text)])
    (item,) = await store.read(run_id)
    assert len(item.delta.text) == len(text)
    assert item.delta.text in (text, "?", "\ufffd")


async def test_a_follower_gets_what_is_there_and_what_comes(
    store: SqlStreamStore, run_id: str
) -> None:
    key = StreamKey(run_id, "llm")
    await store.append(key, deltas("ab"))
    seen: list[StreamItem] = []
    async with asyncio.timeout(10), aclosing(store.follow(run_id, poll_secs=60)) as items:
        async for item in items:
            seen.append(item)
            if len(seen) == 2:
                await store.append(key, deltas("c", 3))
            if len(seen) == 3:
                break
    assert shown(seen) == "abc"


async def test_a_follower_is_woken_by_a_writer_of_its_process(
    store: SqlStreamStore, run_id: str
) -> None:
    """It would ask again after a minute only."""
    async with asyncio.timeout(10), aclosing(store.follow(run_id, poll_secs=60)) as items:
        waiting = asyncio.ensure_future(anext(items))
        await asyncio.sleep(0)
        await asyncio.to_thread(asyncio.run, store.append(StreamKey(run_id, "n"), deltas("a")))
        assert shown([await waiting]) == "a"


async def test_a_follower_hears_of_a_writer_elsewhere(
    store: SqlStreamStore, url: str, run_id: str
) -> None:
    elsewhere = SqlStreamStore(url)
    async with asyncio.timeout(10), aclosing(store.follow(run_id, poll_secs=0.01)) as items:
        waiting = asyncio.ensure_future(anext(items))
        await elsewhere.append(StreamKey(run_id, "n"), deltas("a"))
        assert shown([await waiting]) == "a"
    await elsewhere.aclose()


async def test_many_writers_of_many_stores_lose_nothing(url: str, run_id: str) -> None:
    """Each store as in a process of its own; the first use of all makes the tables."""
    stores = [SqlStreamStore(url) for _ in range(6)]

    async def write(number: int) -> None:
        for start in range(1, 40, 4):
            key = StreamKey(run_id, f"n{number}")
            await stores[number].append(key, deltas("abcd", start))

    async def follow() -> list[StreamItem]:
        async with aclosing(stores[0].follow(run_id, poll_secs=0.001)) as items:
            return [await anext(items) for _ in range(6 * 40)]

    async with asyncio.timeout(60):
        following = asyncio.create_task(follow())
        await asyncio.gather(*(write(number) for number in range(6)))
        seen = await following
    for number in range(6):
        own = [item for item in seen if item.key.path == f"n{number}"]
        assert [item.delta.seq for item in own] == list(range(1, 41))
    for store in stores:
        await store.aclose()


async def test_a_runs_deltas_are_deleted_with_it_and_cursors_stay_good(
    store: SqlStreamStore, run_id: str
) -> None:
    other = f"{run_id}-2"
    await store.append(StreamKey(run_id, "llm"), deltas("ab"))
    await store.append(StreamKey(other, "llm"), deltas("x"))
    cursor = (await store.read(run_id))[-1].cursor
    await store.delete_run(run_id)
    assert await store.read(run_id) == []
    assert shown(await store.read(other)) == "x"
    await store.append(StreamKey(run_id, "llm"), deltas("c", 3))
    assert shown(await store.read(run_id, cursor)) == "c"


async def test_old_deltas_are_deleted_by_age(store: SqlStreamStore, run_id: str) -> None:
    await store.append(StreamKey(run_id, "llm"), deltas("ab"))
    assert await store.delete_older_than(1) == 0
    assert shown(await store.read(run_id)) == "ab"
    assert await store.delete_older_than(-1) >= 2
    assert await store.read(run_id) == []


async def test_a_closed_store_opens_again(store: SqlStreamStore, run_id: str) -> None:
    await store.append(StreamKey(run_id, "llm"), deltas("a"))
    await store.aclose()
    assert shown(await store.read(run_id)) == "a"


# --- one law, on SQLite


BATCHES = st.lists(
    st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 9), st.integers(0, 4)),
    max_size=12,
)


@given(BATCHES)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_of_each_writer_the_deltas_are_there_once_and_none_after_its_successors(
    tmp_path: Path, batches: list[tuple[int, int, int, int]]
) -> None:
    store, run_id = SqlStreamStore.of_file(tmp_path / "law.db"), str(uuid.uuid4())
    for attempt, activity_try, start, count in batches:
        key = StreamKey(run_id, "n", attempt, activity_try)
        await store.append(key, deltas("x" * count, start))
    items = await store.read(run_id)
    await store.aclose()
    places = [(*item.key.generation, item.delta.seq) for item in items]
    assert len(set(places)) == len(places)
    generations = [item.key.generation for item in items]
    assert generations == sorted(generations)
    again = {item.key.generation for item in items if item.is_replacement}
    assert again == {generation for generation in generations if generation > (1, 1)}


# --- what cannot be opened


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://host/db", "sqlite+nothing:///x"])
def test_another_address_is_refused(url: str) -> None:
    with pytest.raises(MisuseError):
        SqlStreamStore(url)


async def test_a_database_that_is_not_there_is_named_without_its_password(tmp_path: Path) -> None:
    with pytest.raises(InfrastructureError, match="unable to open database file"):
        await SqlStreamStore.of_file(tmp_path / "no" / "folder.db").read("r")
    with pytest.raises(InfrastructureError) as caught:
        await SqlStreamStore("postgresql://me:hidden@127.0.0.1:1/x").read("r")
    assert "hidden" not in str(caught.value)


def test_it_is_a_stream_store(tmp_path: Path) -> None:
    assert isinstance(SqlStreamStore.of_file(tmp_path / "x.db"), StreamStore)
