"""Laws of the variable pool."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.selectors import Selector

NAMES = st.sampled_from(["a", "b", "sys"])
VARIABLES = st.sampled_from(["x", "y", "sys.query"])
LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=3)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("xyz"), inner, max_size=3)
    ),
    max_leaves=6,
)
SELECTORS = st.tuples(NAMES, VARIABLES)
DEEP: st.SearchStrategy[Selector] = st.tuples(
    SELECTORS, st.lists(st.sampled_from("xyz"), max_size=3)
).map(lambda parts: (*parts[0], *parts[1]))
POOLS = st.builds(
    VariablePool,
    st.dictionaries(NAMES, st.dictionaries(VARIABLES, VALUES, max_size=3), max_size=3),
)


@LAWS
@given(pool=POOLS, selector=DEEP, value=VALUES)
def test_what_was_written_is_read_and_the_older_pool_stays(
    pool: VariablePool, selector: Selector, value: Any
) -> None:
    before = json.dumps(pool.to_json())
    assert pool.set(selector, value).get(selector) == value
    assert json.dumps(pool.to_json()) == before


@LAWS
@given(pool=POOLS, selector=SELECTORS, other=SELECTORS, value=VALUES)
def test_writing_one_variable_changes_no_other(
    pool: VariablePool, selector: Selector, other: Selector, value: Any
) -> None:
    if selector != other:
        assert pool.set(selector, value).get(other) == pool.get(other)


@LAWS
@given(pool=POOLS, name=NAMES, values=st.dictionaries(VARIABLES, VALUES, max_size=3))
def test_outputs_are_added_to_what_a_namespace_holds(
    pool: VariablePool, name: str, values: dict[str, Any]
) -> None:
    assert pool.extend(name, values).namespace(name) == {**pool.namespace(name), **values}


@LAWS
@given(pool=POOLS, selectors=st.lists(DEEP, max_size=4))
def test_a_projection_reads_as_the_pool_where_it_was_asked_for_and_nothing_elsewhere(
    pool: VariablePool, selectors: list[Selector]
) -> None:
    projected = pool.project(selectors)
    for selector in selectors:
        assert projected.get(selector) == pool.get(selector)
    named = {selector[:2] for selector in selectors}
    crossed = {(n, v) for n, space in projected.to_json().items() for v in space}
    assert crossed <= named


@LAWS
@given(pool=POOLS)
def test_a_pool_survives_json(pool: VariablePool) -> None:
    loaded = VariablePool(json.loads(json.dumps(pool.to_json())))
    assert loaded == pool
    assert list(loaded.to_json()) == list(pool.to_json())


@LAWS
@given(pool=POOLS, selector=DEEP)
def test_has_means_present_and_not_null(pool: VariablePool, selector: Selector) -> None:
    assert pool.has(selector) == (pool.get(selector) is not None)
