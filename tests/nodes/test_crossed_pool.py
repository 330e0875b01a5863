"""What an executor can read: what crossed to it, and a clear error for all else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.pool import VariablePool
from xworkflow.errors import MisuseError
from xworkflow.nodes.crossed_pool import CrossedPool

names = st.sampled_from(["a", "b", "0", "1"])
selectors = st.lists(names, min_size=2, max_size=4).map(tuple)
leaves = st.none() | st.integers() | st.text(max_size=3)
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(names, inner, max_size=3)
)
pools = st.dictionaries(names, st.dictionaries(names, values, max_size=3), max_size=3)


def test_it_is_a_variable_pool() -> None:
    assert isinstance(CrossedPool({}), VariablePool)


def test_what_crossed_is_read_and_so_is_what_it_holds() -> None:
    pool = CrossedPool({("a", "b"): {"c": [1, 2]}})
    assert pool.get(("a", "b")) == {"c": [1, 2]}
    assert pool.get(("a", "b", "c", "1")) == 2
    assert pool.get(("a", "b", "nope")) is None


def test_what_crossed_empty_reads_as_nothing() -> None:
    pool = CrossedPool({("a", "b"): None})
    assert pool.get(("a", "b")) is None
    assert not pool.has(("a", "b"))


@pytest.mark.parametrize("selector", [("a", "x"), ("x", "b"), ("a", "d")])
def test_what_did_not_cross_raises_and_names_the_remedy(selector: tuple[str, ...]) -> None:
    pool = CrossedPool({("a", "b"): 1, ("a", "d", "e"): 2})
    with pytest.raises(MisuseError, match=r"did not cross .*reads_all = True"):
        pool.get(selector)
    with pytest.raises(MisuseError, match=str(selector[1])):
        pool.has(selector)


def test_a_namespace_as_a_whole_did_not_cross() -> None:
    with pytest.raises(MisuseError, match="namespace 'a' as a whole did not cross"):
        CrossedPool({("a", "b"): 1}).namespace("a")


def test_a_part_does_not_spoil_the_whole_that_it_is_from() -> None:
    pool = CrossedPool({("a", "b", "0"): "x", ("a", "b"): ["x", "y"], ("a", "c", "k"): 1})
    assert pool.get(("a", "b")) == ["x", "y"]
    assert pool.get(("a", "b", "1")) == "y"
    assert pool.get(("a", "c", "k")) == 1


@given(pools, st.lists(selectors, max_size=4), selectors)
def test_it_reads_what_the_whole_pool_reads_or_raises(
    spaces: dict[str, dict[str, object]],
    crossed: list[tuple[str, ...]],
    asked: tuple[str, ...],
) -> None:
    whole = VariablePool(spaces)
    pool = CrossedPool({selector: whole.get(selector) for selector in crossed})
    for selector in crossed:
        assert pool.get(selector) == whole.get(selector)
    if any(asked[: len(selector)] == selector for selector in crossed):
        assert pool.get(asked) == whole.get(asked)
    else:
        with pytest.raises(MisuseError):
            pool.get(asked)
