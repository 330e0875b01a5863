"""The operations of the list-operator that repeat a body: filter, map and reduce."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.nodes.conftest import node, pool
from tests.nodes.repeating import outputs_of, repeated
from xworkflow.domain.plan import Placement
from xworkflow.domain.pool import VariablePool
from xworkflow.errors import NodeError
from xworkflow.nodes.base import AnyNode
from xworkflow.nodes.list_operator import ListOperator

BODY = {"nodes": [{"id": "s", "type": "start"}], "edges": []}


def drawn(operation: str, **data: Any) -> AnyNode:
    given: dict[str, Any] = {
        "operation": operation,
        "input_selector": ["x", "items"],
        "output_variable": "out",
        "sub_graph": BODY,
    }
    return node("list-operator", **(given | data))


def result(found: AnyNode, items: Any, give: Callable[[Any, VariablePool], dict[str, Any]]) -> Any:
    body = outputs_of(lambda inner: give(inner.get(("__scope__", "item")), inner))
    return repeated(found, pool(x={"items": items}), body).outputs["out"]


def test_filter_keeps_items_whose_keep_is_exactly_true() -> None:
    def keeps(item: Any, _: VariablePool) -> dict[str, Any]:
        return {"keep": {1: True, 2: "true", 3: 1, 4: True}.get(item)}

    assert result(drawn("filter"), [1, 2, 3, 4, 5], keeps) == [1, 4]
    assert result(drawn("filter"), [], keeps) == []


def test_only_filter_may_run_items_side_by_side() -> None:
    operator, values = ListOperator(), pool(x={"items": [1]})
    assert operator.open(drawn("filter"), values).parallelism == 1
    assert operator.open(drawn("filter", parallel=True), values).parallelism == 10
    assert operator.open(drawn("map", parallel=True), values).parallelism == 1


def test_map_takes_the_value_or_all_outputs() -> None:
    assert result(drawn("map"), [1, 2], lambda item, _: {"value": item * 10}) == [10, 20]
    assert result(drawn("map"), [1], lambda item, _: {"a": item, "b": 2}) == [{"a": 1, "b": 2}]


def test_a_null_value_of_map_is_a_value() -> None:
    def nothing(item: Any, _: VariablePool) -> dict[str, Any]:
        return {"value": None, "item": item}

    assert result(drawn("map"), [1], nothing) == [None]


def test_reduce_hands_its_value_from_item_to_item() -> None:
    def add(item: Any, inner: VariablePool) -> dict[str, Any]:
        before: Any = inner.get(("__scope__", "accumulator"))
        return {"value": (before or 0) + item + inner.get(("__scope__", "index"))}

    assert result(drawn("reduce", initial_value=100), [1, 2, 3], add) == 109
    assert result(drawn("reduce"), [1, 2], add) == 4
    assert result(drawn("reduce", initial_value="kept"), [], add) == "kept"


def test_reduce_takes_all_outputs_where_there_is_no_value() -> None:
    assert result(drawn("reduce"), [1, 2], lambda item, _: {"last": item}) == {"last": 2}


def test_only_operations_with_a_body_run_in_children() -> None:
    operator = ListOperator()
    for operation in ("filter", "map", "reduce"):
        assert operator.place(drawn(operation)) is Placement.CHILD
    assert operator.place(drawn("sort", sort_key="a")) is Placement.INLINE
    assert operator.place(drawn("first", sub_graph=None)) is Placement.INLINE


@pytest.mark.parametrize("body", [None, {"nodes": [], "edges": []}])
@pytest.mark.parametrize("operation", ["filter", "map", "reduce"])
def test_an_operation_without_its_body_is_refused(operation: str, body: Any) -> None:
    (found,) = ListOperator().check(drawn(operation, sub_graph=body))
    assert (found.code, found.field_path) == ("E216", "sub_graph")
    assert operation in found.message


def test_a_missing_body_is_a_config_error_where_nobody_validates() -> None:
    with pytest.raises(NodeError, match="Configuration error: 'map' needs a sub_graph"):
        ListOperator().run(drawn("map", sub_graph=None), pool(x={"items": []}))


def test_the_input_must_be_a_list() -> None:
    with pytest.raises(NodeError, match=r"Type error: x\.items: not an array: string"):
        ListOperator().open(drawn("map"), pool(x={"items": "text"}))


def test_what_the_body_may_read_is_offered() -> None:
    offered = [name for _, name in ListOperator().offers(drawn("filter"))]
    assert offered == ["item", "index"]
    assert ("__scope__", "accumulator") in list(ListOperator().offers(drawn("reduce")))
