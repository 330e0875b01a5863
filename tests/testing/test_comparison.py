"""Strict JSON equality has the laws of an equality, and differences are sentences."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.values import JsonValue
from xworkflow.testing.cases import Expectation
from xworkflow.testing.comparison import differences, same_json

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(values)
def test_a_value_is_the_same_as_its_copy_with_the_keys_in_another_order(value: JsonValue) -> None:
    assert same_json(value, _turned(copy.deepcopy(value)))


@given(values, values)
def test_the_order_of_two_values_does_not_matter(one: JsonValue, other: JsonValue) -> None:
    assert same_json(one, other) == same_json(other, one)


@given(values, values)
def test_two_values_are_the_same_when_their_sorted_texts_are(
    one: JsonValue, other: JsonValue
) -> None:
    """But for the two zeros of floating point, which JSON tells apart and nobody else does."""
    texts = [json.dumps(value, sort_keys=True).replace("-0.0", "0.0") for value in (one, other)]
    assert same_json(one, other) == (texts[0] == texts[1])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (4, 4.0),
        (1, True),
        (0, False),
        (0, None),
        ("", None),
        ([], {}),
        ([1, 2], [2, 1]),
        ([1], [1, 1]),
        ({"a": None}, {}),
        ({"a": [{"b": 4}]}, {"a": [{"b": 4.0}]}),
    ],
)
def test_types_order_and_absence_count(one: JsonValue, other: JsonValue) -> None:
    assert not same_json(one, other)


def _turned(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _turned(inner) for key, inner in reversed(value.items())}  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]
    if isinstance(value, list):
        return [_turned(inner) for inner in value]  # pyright: ignore[reportUnknownVariableType]
    return value


def found(expected: dict[str, Any], status: str, outputs: dict[str, Any], error: str = "") -> Any:
    return differences(Expectation.model_validate(expected), status, outputs, error)


def test_there_are_no_differences_where_all_is_as_expected() -> None:
    assert found({"outputs": {"a": 1}}, "completed", {"a": 1}) == []


def test_another_status_is_said_with_the_error() -> None:
    assert found({}, "failed", {}, "no credit") == [
        "status: expected completed, got failed no credit"
    ]


def test_each_output_that_differs_lacks_or_is_too_much_is_a_sentence() -> None:
    expected = {"outputs": {"a": 4, "b": [1]}}
    assert found(expected, "completed", {"a": 4.0, "c": None}) == [
        "output a: expected 4, got 4.0",
        "output b: expected [1], got nothing",
        "output c: not expected, got null",
    ]


def test_a_partial_match_allows_more_outputs_but_no_others() -> None:
    expected = {"outputs": {"a": 1}, "partial_match": True}
    assert found(expected, "completed", {"a": 1, "b": 2}) == []
    assert found(expected, "completed", {"a": 2, "b": 2}) == ["output a: expected 1, got 2"]


def test_outputs_json_is_laid_over_the_outputs() -> None:
    expected = {"outputs": {"a": 1, "b": 2}, "outputs_json": '{"b": null}'}
    assert found(expected, "completed", {"a": 1, "b": None}) == []


def test_the_outputs_of_a_run_that_has_to_fail_do_not_matter() -> None:
    assert found({"status": "failed", "outputs": {"a": 1}}, "failed", {"b": 2}) == []


def test_the_error_has_to_contain_the_expected_part() -> None:
    expected = {"status": "failed", "error_contains": "credit"}
    assert found(expected, "failed", {}, "no credit left") == []
    assert found(expected, "failed", {}, "boom") == [
        "error: expected to contain 'credit', got 'boom'"
    ]
