"""How large a pool is, as a quota counts it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.pool import VariablePool
from xworkflow.domain.pool_size import estimate, too_large
from xworkflow.domain.values import JsonValue

MOST = 10**9
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner),
    max_leaves=5,
)
WRITES = st.lists(
    st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.sampled_from(["", "k"]), VALUES)
)


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (None, 8),
        (True, 8),
        (10**40, 8),
        (1.5, 8),
        ("", 0),
        ("abc", 3),
        ("é中", 5),
        ("\ud800", 3),
        ([], 16),
        (["abc", 1], 16 + 3 + 8),
        ({"key": {"k": "v"}}, 16 + 3 + 16 + 1 + 1),
    ],
)
def test_a_value_has_the_bytes_of_its_parts(value: JsonValue, size: int) -> None:
    assert estimate(value, MOST) == size


@given(WRITES)
def test_the_size_that_follows_the_writes_is_that_of_a_pool_seen_for_the_first_time(
    writes: list[tuple[str, str, str, Any]],
) -> None:
    pool = VariablePool({"a": {"x": "first"}})
    assert pool.size(MOST).entries == 1
    for name, variable, part, value in writes:
        if part:
            pool = pool.set((name, variable, part), value)
        else:
            pool = pool.extend(name, {variable: value})
        assert pool.size(MOST) == VariablePool(pool.to_json()).size(MOST)


def test_a_value_that_holds_another_again_and_again_is_not_walked_to_its_end() -> None:
    value: JsonValue = ["x"]
    for _ in range(200):  # 2 ** 200 texts, and 200 lists in memory
        value = [value, value]
    started = time.perf_counter()
    assert estimate(value, 1_000_000) > 1_000_000
    assert time.perf_counter() - started < 5


def test_what_is_within_its_quota_is_no_failure() -> None:
    assert too_large(3, 100, max_entries=3, max_size=100) is None
    assert too_large(10**9, 10**9, max_entries=None, max_size=None) is None


def test_a_failure_is_final_and_names_its_quota() -> None:
    failure = too_large(4, 1, max_entries=3, max_size=100)
    assert failure is not None
    assert failure.text == "Variable pool entries exceeded: 4/3"
    assert (failure.code, failure.severity) == ("resource_limit_exceeded", "fatal")
    assert failure.metadata == {"quota_type": "variable_pool_entries", "limit": 3, "current": 4}
    other = too_large(3, 101, max_entries=3, max_size=100)
    assert other is not None
    assert other.metadata["quota_type"] == "variable_pool_bytes"
