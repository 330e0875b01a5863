"""Time and ids: real ones, and the fakes of spec/runtime.md 1.2."""

from __future__ import annotations

import time
import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.ports import IdGenerator, TimeProvider
from xworkflow.providers import (
    FakeIdGenerator,
    FakeTimeProvider,
    RealIdGenerator,
    RealTimeProvider,
)

times = st.integers(0, 4_000_000_000)


@pytest.mark.parametrize("provider", [RealTimeProvider(), FakeTimeProvider(1)])
def test_every_time_provider_is_one(provider: object) -> None:
    assert isinstance(provider, TimeProvider)


@pytest.mark.parametrize("generator", [RealIdGenerator(), FakeIdGenerator("f")])
def test_every_id_generator_is_one(generator: object) -> None:
    assert isinstance(generator, IdGenerator)


def test_the_real_clock_is_the_systems() -> None:
    clock = RealTimeProvider()
    before = time.time()
    seconds, millis = clock.now_timestamp(), clock.now_millis()
    after = time.time()
    assert int(before) <= seconds <= after
    assert int(before * 1000) <= millis <= after * 1000


def test_the_real_clock_never_counts_below_nothing() -> None:
    clock = RealTimeProvider()
    assert clock.elapsed_secs(clock.now_timestamp() + 1000) == 0
    assert clock.elapsed_secs(clock.now_timestamp() - 1000) >= 1000


@given(times, times)
def test_a_fake_clock_stands_still(fixed: int, since: int) -> None:
    clock = FakeTimeProvider(fixed)
    assert clock.now_timestamp() == clock.now_timestamp() == fixed
    assert clock.now_millis() == fixed * 1000
    assert clock.elapsed_secs(since) == max(0, fixed - since)


def test_real_ids_are_random_uuids() -> None:
    ids = {RealIdGenerator().next_id() for _ in range(50)}
    assert len(ids) == 50
    assert {uuid.UUID(text).version for text in ids} == {4}


def test_fake_ids_are_counted_from_nothing() -> None:
    ids = FakeIdGenerator("test")
    assert [ids.next_id() for _ in range(3)] == ["test-0", "test-1", "test-2"]


def test_two_fakes_of_one_prefix_count_apart() -> None:
    one, other = FakeIdGenerator("t"), FakeIdGenerator("t")
    assert one.next_id() == other.next_id() == "t-0"
