"""Compiled workflows by group and content (spec/runtime.md 1.4)."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.client.workflow_cache import CacheStats, WorkflowCache
from xworkflow.errors import DslParseError, ValidationFailed


def text(name: str) -> str:
    """A workflow that differs from others in a title."""
    nodes: list[dict[str, Any]] = [
        {"id": "start", "data": {"type": "start", "title": name}},
        {"id": "end", "data": {"type": "end", "title": "E", "outputs": []}},
    ]
    edges = [{"id": "e", "source": "start", "target": "end"}]
    return json.dumps({"version": "0.1.0", "nodes": nodes, "edges": edges})


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_text_is_compiled_once() -> None:
    cache = WorkflowCache()
    assert cache.get_or_compile("g", text("a")) is cache.get_or_compile("g", text("a"))
    assert cache.stats() == CacheStats(entries=1, hits=1, misses=1)


def test_the_content_counts_and_not_whether_it_is_bytes() -> None:
    cache = WorkflowCache()
    assert cache.get_or_compile("g", text("a").encode()) is cache.get_or_compile("g", text("a"))


def test_another_text_and_another_format_are_other_entries() -> None:
    cache = WorkflowCache()
    cache.get_or_compile("g", text("a"))
    cache.get_or_compile("g", text("b"))
    cache.get_or_compile("g", text("a"), "json")
    assert cache.stats() == CacheStats(entries=3, misses=3)


def test_groups_share_nothing() -> None:
    cache = WorkflowCache()
    one, other = cache.get_or_compile("one", text("a")), cache.get_or_compile("other", text("a"))
    assert one is not other
    assert cache.group_stats("other") == CacheStats(entries=1, misses=1)


def test_a_text_that_cannot_be_compiled_is_not_kept() -> None:
    cache = WorkflowCache()
    for _ in range(2):
        with pytest.raises(DslParseError):
            cache.get_or_compile("g", "{")
        with pytest.raises(ValidationFailed):
            cache.get_or_compile("g", '{"version": "0.1.0", "nodes": [], "edges": []}')
    assert cache.stats() == CacheStats(misses=4)


def test_the_least_recently_used_of_a_group_makes_room() -> None:
    cache = WorkflowCache(max_entries_per_group=2)
    kept = cache.get_or_compile("g", text("a"))
    cache.get_or_compile("g", text("b"))
    cache.get_or_compile("g", text("a"))
    cache.get_or_compile("g", text("c"))
    assert cache.get_or_compile("g", text("a")) is kept
    assert cache.group_stats("g") == CacheStats(entries=2, hits=2, misses=3, evicted=1)


def test_a_full_group_takes_no_room_from_another() -> None:
    cache = WorkflowCache(max_entries_per_group=1)
    kept = cache.get_or_compile("quiet", text("a"))
    for name in "abc":
        cache.get_or_compile("busy", text(name))
    assert cache.get_or_compile("quiet", text("a")) is kept


def test_over_all_groups_the_least_recently_used_makes_room() -> None:
    cache = WorkflowCache(max_total_entries=2)
    cache.get_or_compile("one", text("a"))
    kept = cache.get_or_compile("two", text("a"))
    cache.get_or_compile("three", text("a"))
    assert cache.group_stats("one") == CacheStats(misses=1, evicted=1)
    assert cache.get_or_compile("two", text("a")) is kept


def test_nothing_is_no_limit() -> None:
    cache = WorkflowCache(max_entries_per_group=0, max_total_entries=0)
    for number in range(150):
        cache.get_or_compile("g", text(str(number)))
    assert cache.stats().entries == 150


def test_an_entry_lives_for_its_time_however_often_it_is_used() -> None:
    clock = Clock()
    cache = WorkflowCache(ttl_secs=10, clock=clock)
    first = cache.get_or_compile("g", text("a"))
    clock.now = 9.9
    assert cache.get_or_compile("g", text("a")) is first
    clock.now = 10
    assert cache.get_or_compile("g", text("a")) is not first
    assert cache.stats() == CacheStats(entries=1, hits=1, misses=2, expired=1)


def test_one_text_can_be_forgotten() -> None:
    cache = WorkflowCache()
    first = cache.get_or_compile("g", text("a"))
    assert cache.invalidate("g", text("a"))
    assert not cache.invalidate("g", text("a"))
    assert not cache.invalidate("nobody", text("a"))
    assert cache.get_or_compile("g", text("a")) is not first


def test_a_group_can_be_forgotten_and_so_can_all() -> None:
    cache = WorkflowCache()
    for group in ("one", "two"):
        cache.get_or_compile(group, text("a"))
    cache.clear_group("one")
    assert (cache.group_stats("one"), cache.stats().entries) == (CacheStats(), 1)
    cache.clear_all()
    assert cache.stats() == CacheStats()


def test_threads_get_one_workflow() -> None:
    cache = WorkflowCache()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(cache.get_or_compile, ["g"] * 16, [text("a")] * 16))
    kept = cache.get_or_compile("g", text("a"))
    assert found[-1] is kept
    assert len({id(each) for each in found}) == 1
    assert cache.stats().entries == 1


texts = {name: text(name) for name in "abcd"}


@given(
    st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abcd")), max_size=40),
    st.integers(0, 3),
    st.integers(0, 5),
)
def test_limits_hold_and_the_last_use_is_always_a_hit(
    uses: list[tuple[str, str]], per_group: int, total: int
) -> None:
    cache = WorkflowCache(max_entries_per_group=per_group, max_total_entries=total)
    for group, name in uses:
        found = cache.get_or_compile(group, texts[name])
        assert cache.get_or_compile(group, texts[name]) is found
        assert not per_group or cache.group_stats(group).entries <= per_group
        assert not total or cache.stats().entries <= total
    stats = cache.stats()
    assert stats.hits + stats.misses == 2 * len(uses)
    assert stats.misses == stats.entries + stats.evicted
