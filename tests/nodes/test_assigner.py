"""The assigner node in both of its forms."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tests.nodes.conftest import node, pool
from xworkflow.errors import NodeError
from xworkflow.nodes.assigner import Assigner
from xworkflow.nodes.assignments import operate, written

TARGET = ["conversation", "v"]


def native(old: Any, mode: str, **source: Any) -> Any:
    drawn = node("assigner", assigned_variable_selector=TARGET, write_mode=mode, **source)
    result = Assigner().run(drawn, pool(conversation={"v": old}, x={"v": "read"}))
    (write,) = result.writes
    assert write.selector == tuple(TARGET)
    assert result.outputs == {
        "output": write.value,
        "write_mode": mode,
        "assigned_variable_selector": TARGET,
    }
    return write.value


@pytest.mark.parametrize(
    ("old", "mode", "value", "new"),
    [
        (1, "overwrite", 2, 2),
        (1, "clear", 2, None),
        (None, "append", 1, [1]),
        ([1], "append", 2, [1, 2]),
        (["a"], "append", "b", ["a", "b"]),
        (["a"], "append", 1, ["a", 1]),
        ("a", "append", 1.0, "a1"),
        (1, "append", 2, [1, 2]),
        ({"a": 1}, "append", 2, [{"a": 1}, 2]),
    ],
)
def test_the_native_form_writes_by_its_mode(old: Any, mode: str, value: Any, new: Any) -> None:
    assert native(old, mode, value=value) == new


def test_the_input_selector_goes_before_the_value() -> None:
    assert native(1, "overwrite", input_variable_selector=["x", "v"], value="drawn") == "read"
    assert native(1, "overwrite", input_variable_selector=["x", "gone"], value="drawn") is None


def test_without_a_source_null_is_written() -> None:
    assert native(1, "overwrite") is None


def item(operation: str, value: Any = None, **more: Any) -> dict[str, Any]:
    drawn = {"variable_selector": TARGET, "operation": operation, "value": value}
    return {**drawn, "input_type": "constant", **more}


def dify(old: Any, *items: dict[str, Any]) -> Any:
    drawn = node("assigner", "dify", items=items)
    values = pool(conversation={"v": old}, x={"v": [7, 8], "text": "12"})
    writes = {w.selector: w.value for w in Assigner().run(drawn, values).writes}
    return writes[tuple(TARGET)]


@pytest.mark.parametrize(
    ("old", "operation", "value", "new"),
    [
        ("a", "over-write", "b", "b"),
        ("a", "set", "b", "b"),
        ({"a": 1}, "set", '{"b": 2}', {"b": 2}),
        ([1], "set", "[2]", [2]),
        (1, "set", "2", 2),
        ("a", "clear", None, ""),
        (3, "clear", None, 0),
        (True, "clear", None, False),
        ({"a": 1}, "clear", None, {}),
        ([1], "clear", None, []),
        (None, "clear", None, None),
        ([1], "append", 2, [1, 2]),
        ([1], "append", "2", [1, "2"]),
        (None, "append", 2, [2]),
        ([1], "extend", [2, 3], [1, 2, 3]),
        ([1, 2], "remove-first", None, [2]),
        ([1, 2], "remove-last", None, [1]),
        ([], "remove-first", None, []),
        (3, "+=", 2, 5),
        (3, "+=", "2", 5),
        (3, "-=", 2, 1),
        (3, "*=", 2, 6),
        (3, "/=", 2, 1.5),
        (None, "+=", 2, 2),
    ],
)
def test_an_operation_of_dify_changes_its_variable(
    old: Any, operation: str, value: Any, new: Any
) -> None:
    assert dify(old, item(operation, value)) == new


def test_an_operand_may_be_a_variable() -> None:
    assert dify([1], item("extend", ["x", "v"], input_type="variable")) == [1, 7, 8]
    assert dify({"a": 1}, item("over-write", ["x", "text"], input_type="variable")) == "12"


def test_an_operation_without_operand_reads_none() -> None:
    drawn = node("assigner", "dify", items=[item("clear", "", input_type="variable")])
    assert [s for _, s in Assigner().selectors(drawn)] == [("conversation", "v")]


@pytest.mark.parametrize(
    ("old", "operation", "value", "problem"),
    [
        ("a", "append", 1, "append conversation.v: expected a list, got string"),
        ([1], "extend", 1, "extend conversation.v: expected a list, got number"),
        ("a", "+=", 1, "expected a number, got string"),
        (1, "+=", "x", "expected a number, got string"),
        (1, "/=", 0, "division by zero"),
        (1e308, "*=", 10, "the result is too large"),
        ({}, "set", "{", "the constant is no valid JSON"),
    ],
)
def test_an_operation_that_does_not_fit_is_a_type_error(
    old: Any, operation: str, value: Any, problem: str
) -> None:
    with pytest.raises(NodeError) as caught:
        dify(old, item(operation, value))
    assert caught.value.failure.code == "type_error"
    assert problem in str(caught.value)


def test_items_see_what_those_before_them_wrote() -> None:
    assert dify(1, item("+=", 1), item("*=", 10)) == 20


def test_items_see_writes_below_a_variable() -> None:
    deep = {**item("set", 5), "variable_selector": [*TARGET, "a"]}
    copy = {
        "variable_selector": ["conversation", "copy"],
        "operation": "over-write",
        "value": TARGET,
    }
    drawn = node("assigner", "dify", items=[deep, copy])
    result = Assigner().run(drawn, pool(conversation={"v": {"b": 1}}))
    assert result.writes[1].value == {"a": 5, "b": 1}


def test_each_variable_is_written_once() -> None:
    drawn = node("assigner", "dify", items=[item("set", 1), item("set", 2)])
    assert [w.value for w in Assigner().run(drawn, pool()).writes] == [2]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"assigned_variable_selector": TARGET, "write_mode": "replace"},
        {"items": [item("explode")]},
        {"items": [item("append", 5, input_type="variable")]},
    ],
)
def test_a_drawing_without_sense_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        node("assigner", **data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=3)
    ),
    max_leaves=5,
)


@given(json_values, json_values)
def test_a_native_append_never_fails_and_never_loses_the_new_value(old: Any, new: Any) -> None:
    result = written("append", old, new)
    assert isinstance(result, str) if isinstance(old, str) else result[-1] == new


@given(st.lists(json_values, max_size=4), json_values)
def test_an_append_and_a_removal_of_the_last_leave_the_list_as_it_was(
    old: list[Any], new: Any
) -> None:
    before = repr(old)
    assert operate("remove-last", operate("append", old, new), None) == old
    assert repr(old) == before
