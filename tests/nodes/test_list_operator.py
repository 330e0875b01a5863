"""The list-operator node: native operations, and Dify's steps."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.nodes.conftest import node, pool
from xworkflow.domain.diagnostics import Diagnostic
from xworkflow.domain.values import compact_json, to_file
from xworkflow.engine.validation import validate
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.list_operations import sorted_by, unique
from xworkflow.nodes.list_operator import ListOperator


def operated(operation: str, items: Any, **more: Any) -> Any:
    drawn = node(
        "list-operator",
        operation=operation,
        input_selector=["x", "items"],
        output_variable="out",
        **more,
    )
    values = pool(x={"items": items, "more": [8, 9], "text": "t"})
    return ListOperator().run(drawn, values).outputs["out"]


def failure(operation: str, items: Any, **more: Any) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        operated(operation, items, **more)
    return caught.value.failure


# --- native


@pytest.mark.parametrize(
    ("operation", "items", "result"),
    [
        ("first", [3, 1], 3),
        ("first", [], None),
        ("last", [3, 1], 1),
        ("last", [], None),
        ("length", [3, 1], 2),
        ("reverse", [3, 1, 2], [2, 1, 3]),
        ("flatten", [1, [2, [3]], [], "ab"], [1, 2, [3], "ab"]),
        ("unique", [3, 1, 2, 1, 3], [3, 1, 2]),
        ("unique", [{"a": 1, "b": 2}, {"b": 2, "a": 1}], [{"a": 1, "b": 2}]),
        ("unique", [1, 1.0, True, "1"], [1, 1.0, True, "1"]),
        ("slice", [1, 2, 3], [1, 2, 3]),
    ],
)
def test_operations_without_options(operation: str, items: Any, result: Any) -> None:
    assert compact_json(operated(operation, items)) == compact_json(result)


@pytest.mark.parametrize(
    ("start", "end", "result"),
    [(1, None, [2, 3]), (None, 2, [1, 2]), (1, 2, [2]), (2, 1, []), (0, 99, [1, 2, 3]), (9, 9, [])],
)
def test_a_slice_never_counts_from_the_back(
    start: int | None, end: int | None, result: list[int]
) -> None:
    assert operated("slice", [1, 2, 3], start=start, end=end) == result


def keyed(*keys: Any) -> list[dict[str, Any]]:
    return [{"k": key, "n": index} for index, key in enumerate(keys)]


@pytest.mark.parametrize(
    ("keys", "order", "sorted_as"),
    [
        ([3, 1.5, 2], "asc", [1, 2, 0]),
        ([3, 1.5, 2], "desc", [0, 2, 1]),
        (["b", "A", "a"], "asc", [1, 2, 0]),
        ([1, 1, 0], "asc", [2, 0, 1]),
        ([1, 1, 2], "desc", [2, 0, 1]),
        ([None, True, [1]], "asc", [0, 1, 2]),
    ],
)
def test_sorting_is_stable_in_both_directions(keys: Any, order: str, sorted_as: list[int]) -> None:
    found = operated("sort", keyed(*keys), sort_key="k", sort_order=order)
    assert [item["n"] for item in found] == sorted_as


def test_concat_appends_the_second_list() -> None:
    assert operated("concat", [1], second_input_selector="x.more") == [1, 8, 9]


@pytest.mark.parametrize(
    ("operation", "more", "code"),
    [
        ("sort", {}, "config_error"),
        ("concat", {}, "config_error"),
        ("concat", {"second_input_selector": ["x", "text"]}, "type_error"),
        ("map", {}, "config_error"),
    ],
)
def test_what_an_operation_lacks_fails_it(operation: str, more: Any, code: str) -> None:
    assert failure(operation, [1], **more).code == code


@pytest.mark.parametrize("value", [None, "text", 5, {"a": 1}])
def test_an_input_that_is_no_array_is_a_type_error(value: Any) -> None:
    failed = failure("length", value)
    assert failed.code == "type_error"
    assert failed.text.startswith("Type error: x.items: not an array: ")


items = st.lists(st.integers(0, 3) | st.text(max_size=1) | st.floats(0, 1), max_size=8)


@given(items)
def test_unique_keeps_each_once_in_the_order_of_its_first(found: list[Any]) -> None:
    once = unique(found)
    assert [compact_json(i) for i in once] == list(dict.fromkeys(map(compact_json, found)))


@given(st.lists(st.integers(0, 9), max_size=9))
def test_sorting_agrees_with_python_where_all_are_numbers(found: list[int]) -> None:
    assert sorted_by(list(found), found, "asc") == sorted(found)
    assert sorted_by(list(found), found, "desc") == sorted(found, reverse=True)


# --- validation


def diagnostics(**data: Any) -> list[Diagnostic]:
    drawn = node("list-operator", **data)
    return list(ListOperator().check(drawn))


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"operation": "first", "input_selector": ["x", "y"]},
        {"operation": "first", "output_variable": "o"},
        {"operation": "shuffle", "input_selector": ["x", "y"], "output_variable": "o"},
        {"operation": "first", "input_selector": [], "output_variable": "o"},
        {"operation": "slice", "input_selector": "x.y", "output_variable": "o", "start": -1},
        {"operation": "sort", "input_selector": "x.y", "output_variable": "o", "sort_order": "up"},
    ],
)
def test_a_drawing_without_sense_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        node("list-operator", **data)


def test_a_drawing_that_cannot_be_read_has_a_code_of_its_own() -> None:
    text = b"""
version: "0.1.0"
nodes:
- {id: s, data: {type: start, title: S}}
- {id: l, data: {type: list-operator, title: L, operation: shuffle, input_selector: [s, x], output_variable: o}}
- {id: e, data: {type: end, title: E, outputs: []}}
edges: [{source: s, target: l}, {source: l, target: e}]
"""  # noqa: E501
    from xworkflow.domain.loading import load

    assert {found.code for found in validate(load(text, "yaml")).errors} == {"E216"}


def test_a_selector_that_is_too_deep_is_refused() -> None:
    (found,) = diagnostics(operation="first", input_selector=["a", "b", "c"], output_variable="o")
    assert (found.code, found.field_path) == ("E216", "input_selector")


# --- Dify


def piped(values: Any, **pipeline: Any) -> dict[str, Any]:
    drawn = node("list-operator", "dify", input_selector=["x", "items"], pipeline=pipeline)
    return ListOperator().run(drawn, pool(x={"items": values, "n": 2, "text": "b"})).outputs


def filtered(values: Any, operator: str, value: Any, key: str = "") -> Any:
    condition = {"comparison_operator": operator, "value": value, "key": key}
    return piped(values, filter_by={"conditions": [condition]})["result"]


IMAGE = to_file({"type": "image", "url": "http://h/b.png", "size": 20})
TEXT = to_file({"type": "document", "url": "http://h/a.txt", "size": 3})
FILES = [IMAGE, TEXT]


def test_without_steps_the_list_stays() -> None:
    assert piped([3, 1]) == {"result": [3, 1], "first_record": 3, "last_record": 1}


def test_an_empty_list_has_no_records() -> None:
    empty: dict[str, Any] = {"result": [], "first_record": None, "last_record": None}
    assert piped([], extract_by={"serial": "1"}) == empty


@pytest.mark.parametrize(
    ("values", "operator", "value", "result"),
    [
        (["ab", "bc"], "contains", "a", ["ab"]),
        (["ab", "bc"], "not contains", "a", ["bc"]),
        (["ab", "bc"], "start with", "{{#x.text#}}", ["bc"]),
        (["ab", ""], "not empty", None, ["ab"]),
        (["a", "b", "c"], "in", ["a", "c"], ["a", "c"]),
        ([1, 5, 10], "≥", "5", [5, 10]),
        ([1, 5, 10], "<", "{{#x.n#}}", [1]),
        ([True, False], "is", "true", [True]),
        (["x", 5], ">", "1", [5]),
    ],
)
def test_items_stay_where_the_condition_holds(
    values: Any, operator: str, value: Any, result: Any
) -> None:
    assert filtered(values, operator, value) == result


@pytest.mark.parametrize(
    ("key", "operator", "value", "result"),
    [
        ("type", "in", ["image"], [IMAGE]),
        ("type", "not in", ["image"], [TEXT]),
        ("size", "<", "10", [TEXT]),
        ("name", "contains", "b", [IMAGE]),
        ("extension", "is", ".txt", [TEXT]),
        ("mime_type", "start with", "image/", [IMAGE]),
        ("transfer_method", "in", ["local_file"], []),
    ],
)
def test_files_are_filtered_by_their_attributes(
    key: str, operator: str, value: Any, result: Any
) -> None:
    assert filtered(FILES, operator, value, key) == result


def test_all_conditions_must_hold() -> None:
    conditions = [
        {"comparison_operator": ">", "value": "1"},
        {"comparison_operator": "<", "value": "5"},
    ]
    assert piped([1, 3, 7], filter_by={"conditions": conditions})["result"] == [3]


@pytest.mark.parametrize(
    ("values", "order", "result"),
    [
        ([3, 1, 2], {"value": "asc"}, [1, 2, 3]),
        (["a", "c", "b"], {"key": "", "value": "desc"}, ["c", "b", "a"]),
        (FILES, {"key": "name", "value": "asc"}, [TEXT, IMAGE]),
        (FILES, {"key": "size", "value": "desc"}, [IMAGE, TEXT]),
        ([{"n": 2}, {"n": 1}], {"key": "n", "value": "asc"}, [{"n": 1}, {"n": 2}]),
    ],
)
def test_items_are_ordered_by_themselves_or_by_a_key(values: Any, order: Any, result: Any) -> None:
    assert piped(values, order_by=order)["result"] == result


@pytest.mark.parametrize(("size", "result"), [(2, [1, 2]), (9, [1, 2, 3]), (0, []), (-1, [])])
def test_a_limit_cuts_the_list(size: int, result: list[int]) -> None:
    assert piped([1, 2, 3], limit={"size": size})["result"] == result


@pytest.mark.parametrize("serial", ["2", 2, "{{#x.n#}}", " 2 "])
def test_a_serial_number_takes_one_item_and_counts_from_one(serial: Any) -> None:
    assert piped([7, 8, 9], extract_by={"serial": serial})["result"] == [8]


@pytest.mark.parametrize("serial", ["0", "4", "-1", "x", "", "1.5", "{{#x.text#}}"])
def test_a_serial_number_that_leads_nowhere_fails(serial: str) -> None:
    with pytest.raises(NodeError) as caught:
        piped([7, 8, 9], extract_by={"serial": serial})
    assert caught.value.failure.text.startswith("Execution error: extract_by.serial: ")


def test_steps_are_taken_in_difys_order() -> None:
    steps = {
        "filter_by": {"conditions": [{"comparison_operator": ">", "value": "1"}]},
        "order_by": {"value": "desc"},
        "limit": {"size": 2},
    }
    assert piped([1, 4, 2, 3], **steps) == {
        "result": [4, 3],
        "first_record": 4,
        "last_record": 3,
    }


def test_what_the_steps_name_is_read() -> None:
    steps = {
        "filter_by": {"conditions": [{"comparison_operator": "in", "value": ["{{#a.b#}}"]}]},
        "extract_by": {"serial": "{{#c.d#}}"},
    }
    drawn = node("list-operator", "dify", input_selector=["x", "items"], pipeline=steps)
    read = set(ListOperator().hidden_reads(drawn))
    assert {("a", "b"), ("c", "d"), ("x", "items")} == read
    assert list(ListOperator().selectors(drawn)) == [("input_selector", ("x", "items"))]
