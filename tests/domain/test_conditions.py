"""Conditions, the rows of spec/graph.md 4 and Dify's differences."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from xworkflow.domain.conditions import (
    Case,
    Condition,
    Mismatch,
    Verdict,
    evaluate_condition,
    evaluate_group,
    select_case,
)
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue, to_file


def check(
    operator: str, actual: JsonValue, expected: JsonValue = None, dialect: Dialect = "native"
) -> Verdict:
    given: dict[str, Any] = {
        "variable_selector": ["n", "x"],
        "comparison_operator": operator,
        "value": expected,
    }
    return evaluate_condition(
        Condition.model_validate(given), VariablePool({"n": {"x": actual}}).get, dialect
    )


PICTURE = to_file({"name": "a.png", "mime_type": "image/png", "size": 10})
PAPER = to_file({"name": "b.pdf", "mime_type": "application/pdf", "size": 3000})


@pytest.mark.parametrize(
    ("operator", "actual", "expected", "verdict"),
    [
        ("contains", "hello world", "lo w", True),
        ("contains", "hello", 5, False),
        ("contains", "a 5.0 b", 5.0, True),
        ("contains", ["a", "b"], "b", True),
        ("contains", ["ab"], "b", False),
        ("contains", [1, 2.0, True], "2", True),
        ("contains", [1, 2.0, True], True, True),
        ("contains", [PICTURE], "a.png", True),
        ("contains", [PICTURE], "png", False),
        ("contains", None, "", False),
        ("contains", 5, "5", False),
        ("contains", {"a": 1}, "a", False),
        ("contains", PICTURE, "a.png", False),
        ("not_contains", None, "x", True),
        ("not_contains", 5, "5", True),
        ("not_contains", "abc", "b", False),
        ("start_with", 12.0, "12", True),
        ("start_with", "abc", "b", False),
        ("end_with", True, "ue", True),
        ("end_with", None, "", True),
        ("is", "a", "a", True),
        ("is", True, "true", True),
        ("is", True, True, True),
        ("is", 5, 5, True),
        ("is", 5.0, 5.0, False),  # "5" against "5.0"
        ("is", None, "", True),
        ("is", [1, "a"], '[1,"a"]', True),
        ("is_not", "a", "b", True),
        ("is_not", None, None, False),
        ("empty", None, None, True),
        ("empty", "", None, True),
        ("empty", [], None, True),
        ("empty", {}, None, True),
        ("empty", 0, None, False),
        ("empty", False, None, False),
        ("empty", PICTURE, None, False),
        ("not_empty", " ", None, True),
        ("not_empty", None, None, False),
        ("in", "b", ["a", "b"], True),
        ("in", 2, ["1", "2"], True),
        ("in", 2.0, [2], True),
        ("in", "a", "a", True),
        ("in", "a", "abc", False),
        ("in", None, [""], True),
        ("in", "1", 1, False),
        ("not_in", "c", ["a", "b"], True),
        ("not_in", "1", 1, True),
        ("all_of", ["a", "b", "c"], ["a", "c"], True),
        ("all_of", ["a"], ["a", "c"], False),
        ("all_of", [1, 2], [2], True),
        ("all_of", [PICTURE, PAPER], ["b.pdf"], True),
        ("all_of", ["a"], "a", True),
        ("all_of", ["a"], 5, True),
        ("all_of", "a", ["a"], False),
        ("equal", 5, 5.0, True),
        ("equal", 0.1 + 0.2, 0.3, True),
        ("equal", 1.0, 1.0 + 1e-15, False),
        ("=", 4, 5, False),
        ("not_equal", 4, 5, True),
        ("≠", 5, 5, False),
        ("greater_than", 5, 4, True),
        (">", 4, 4, False),
        ("less_than", -1.5, 0, True),
        ("greater_or_equal", 4, 4, True),
        ("≥", 3, 4, False),
        ("greater_than_or_equal", 5, 4, True),
        ("less_or_equal", 4, 4, True),
        ("≤", 5, 4, False),
        ("less_than_or_equal", 3, 4, True),
        ("null", None, None, True),
        ("null", "", None, False),
        ("not_null", "", None, True),
        ("not_null", None, None, False),
    ],
)
def test_an_operator_does_what_the_table_says(
    operator: str, actual: JsonValue, expected: JsonValue, verdict: bool
) -> None:
    assert check(operator, actual, expected) is verdict


@pytest.mark.parametrize(("operator", "sign"), [("<", 1), (">", -1)])
def test_an_integer_beyond_all_floats_still_compares(operator: str, sign: int) -> None:
    assert check(operator, 1, sign * 10**400) is True


@pytest.mark.parametrize(
    ("actual", "expected", "kind"),
    [
        (None, 1, "null"),
        ("5", 1, "string"),
        (True, 1, "boolean"),
        ([], 1, "array"),
        ({}, 1, "object"),
        (PICTURE, 1, "object"),
        (5, "5", "string"),
        (5, None, "null"),
        (5, True, "boolean"),
    ],
)
@pytest.mark.parametrize("operator", ["=", "≠", ">", "<", "≥", "≤"])
def test_a_numeric_operator_on_anything_else_is_a_mismatch(
    operator: str, actual: JsonValue, expected: JsonValue, kind: str
) -> None:
    verdict = check(operator, actual, expected)
    assert isinstance(verdict, Mismatch)
    assert verdict.actual == kind


@pytest.mark.parametrize(
    ("operator", "named"),
    [(">", "GreaterThan"), ("≤", "LessOrEqual"), ("equal", "Equal"), ("≠", "NotEqual")],
)
def test_a_mismatch_reads_as_the_strict_error(operator: str, named: str) -> None:
    text = str(check(operator, "x", 1))
    assert text == f"Condition type mismatch: expected number, got string for {named}"


@pytest.mark.parametrize(
    ("spelling", "kept"),
    [
        ("not contains", "not_contains"),
        ("start with", "start_with"),
        ("end with", "end_with"),
        ("is not", "is_not"),
        ("not in", "not_in"),
        ("all of", "all_of"),
        ("not null", "not_null"),
        ("not empty", "not_empty"),
        ("is empty", "empty"),
        ("is not empty", "not_empty"),
        ("exists", "not_null"),
        ("not exists", "null"),
        ("≥", "greater_or_equal"),
    ],
)
def test_a_spelling_is_kept_in_snake_case(spelling: str, kept: str) -> None:
    condition = Condition.model_validate(
        {"variable_selector": "n.x", "comparison_operator": spelling}
    )
    assert condition.comparison_operator == kept
    assert Condition.model_validate(condition.model_dump()) == condition


@pytest.mark.parametrize("spelling", ["==", "Contains", "", None, 5, [], "matches"])
def test_an_unknown_operator_is_refused(spelling: object) -> None:
    with pytest.raises(ValidationError, match="unknown comparison operator"):
        Condition.model_validate({"variable_selector": "n.x", "comparison_operator": spelling})


def test_a_value_selector_beside_the_condition_is_ignored() -> None:
    condition = Condition.model_validate(
        {"variable_selector": ["n", "x"], "comparison_operator": "<", "value_selector": ["n", "y"]}
    )
    assert evaluate_condition(condition, lambda _: 1, "native") == Mismatch("null", "less_than")


def test_the_declared_type_is_kept_in_both_spellings() -> None:
    given = {"variable_selector": "n.x", "comparison_operator": "=", "varType": "number"}
    condition = Condition.model_validate(given)
    assert condition.var_type == "number"
    assert Condition.model_validate(condition.model_dump()).var_type == "number"


def number(variable: str, operator: str, value: JsonValue) -> Condition:
    return Condition.model_validate(
        {"variable_selector": ["n", variable], "comparison_operator": operator, "value": value}
    )


YES, NO, ODD = number("one", "=", 1), number("one", "=", 2), number("text", ">", 1)
LATER_ODD = number("none", "<", 1)
VALUES = VariablePool({"n": {"one": 1, "text": "t", "none": None}}).get


@pytest.mark.parametrize(
    ("conditions", "logical", "verdict"),
    [
        ((YES, YES), "and", True),
        ((YES, NO, ODD), "and", False),
        ((YES, ODD, NO), "and", Mismatch("string", "greater_than")),
        ((), "and", True),
        ((NO, YES), "or", True),
        ((ODD, YES), "or", True),
        ((NO, NO), "or", False),
        ((ODD, LATER_ODD, NO), "or", Mismatch("null", "less_than")),
        ((), "or", False),
    ],
)
def test_a_group_combines_its_conditions(
    conditions: tuple[Condition, ...], logical: Any, verdict: Verdict
) -> None:
    assert evaluate_group(conditions, logical, VALUES, "native") == verdict


def test_a_group_reads_no_more_than_it_needs() -> None:
    read: list[Selector] = []

    def get(selector: Selector) -> JsonValue:
        read.append(selector)
        return 1

    evaluate_group((NO, YES), "and", get, "native")
    assert read == [("n", "one")]


def case(case_id: str, *conditions: Condition) -> Case:
    return Case(case_id=case_id, logical_operator="and", conditions=conditions)


def test_the_first_case_that_holds_wins() -> None:
    cases = (case("a", NO), case("b", YES), case("c", YES))
    assert select_case(cases, VALUES, "native") == ("b", None)


def test_no_case_means_false() -> None:
    assert select_case((case("a", NO),), VALUES, "native") == ("false", None)


def test_a_mismatch_ends_the_search() -> None:
    cases = (case("a", ODD), case("b", YES))
    assert select_case(cases, VALUES, "native") == ("false", Mismatch("string", "greater_than"))


def test_a_case_needs_a_logical_operator() -> None:
    with pytest.raises(ValidationError, match="logical_operator"):
        Case.model_validate({"case_id": "a", "conditions": []})


@pytest.mark.parametrize(
    ("operator", "actual", "expected", "verdict"),
    [
        ("=", 5, "5", True),
        ("=", 5, " 5.0 ", True),
        ("≥", 2, "2", True),
        (">", 2.5, "2", True),
        ("=", "200", "200.0", True),
        ("≠", "3", 4, True),
        ("=", 5, "five", Mismatch("string", "equal")),
        ("=", 5, "", Mismatch("string", "equal")),
        ("=", 5, "nan", Mismatch("string", "equal")),
        ("=", 10, "1_0", Mismatch("string", "equal")),
        ("<", None, "1", False),
        ("≠", None, "1", False),
        ("is", True, "True", True),
        ("is", True, "false", False),
        ("is", False, False, True),
        ("is not", True, "false", True),
        ("=", True, "true", True),
        ("=", True, "1", True),
        ("≠", True, "true", False),
        ("is", "5.0", "5", False),
        ("contains", ["a"], "a", True),
        ("in", "image", ["image", "audio"], True),
    ],
)
def test_dify_reads_numbers_and_booleans_in_texts(
    operator: str, actual: JsonValue, expected: JsonValue, verdict: Verdict
) -> None:
    assert check(operator, actual, expected, "dify") == verdict


def test_dify_fills_placeholders_in_the_expected_value() -> None:
    get = VariablePool({"n": {"x": "ab", "y": "b", "limit": 3}}).get
    text = Condition.model_validate(
        {"variable_selector": "n.x", "comparison_operator": "is", "value": "a{{#n.y#}}"}
    )
    several = text.model_copy(update={"comparison_operator": "in", "value": ["a{{#n.y#}}"]})
    limit = text.model_copy(
        update={
            "comparison_operator": "equal",
            "value": "{{#n.limit#}}",
            "variable_selector": ("n", "limit"),
        }
    )
    for condition in (text, several, limit):
        assert evaluate_condition(condition, get, "dify") is True
    assert evaluate_condition(text, get, "native") is False


def about_files(
    operator: str, *subs: tuple[str, str, JsonValue], logical: str = "and"
) -> Condition:
    return Condition.model_validate(
        {
            "variable_selector": ["sys", "files"],
            "comparison_operator": operator,
            "value": "",
            "varType": "array[file]",
            "sub_variable_condition": {
                "case_id": "c",
                "logical_operator": logical,
                "conditions": [
                    {"key": key, "comparison_operator": op, "value": value, "varType": "string"}
                    for key, op, value in subs
                ],
            },
        }
    )


IMAGE = ("type", "in", ["image"])
SMALL = ("size", "<", "100")
LARGE = ("size", ">", "100")


@pytest.mark.parametrize(
    ("condition", "files", "verdict"),
    [
        (about_files("contains", IMAGE), [PAPER, PICTURE], True),
        (about_files("contains", IMAGE), [PAPER], False),
        (about_files("contains", IMAGE, LARGE), [PAPER, PICTURE], False),
        (about_files("contains", IMAGE, LARGE, logical="or"), [PAPER], True),
        (about_files("not contains", IMAGE), [PAPER], True),
        (about_files("not contains", IMAGE), [PAPER, PICTURE], False),
        (about_files("all of", SMALL), [PICTURE], True),
        (about_files("all of", SMALL), [PICTURE, PAPER], False),
        (about_files("contains", IMAGE), PICTURE, True),
        (about_files("contains", IMAGE), [], False),
        (about_files("contains", IMAGE), None, False),
        (about_files("not empty", IMAGE), [PAPER], True),
        (about_files("contains", ("hash", "exists", None)), [PAPER], False),
        (about_files("contains", ("name", "<", "1")), [PAPER], Mismatch("string", "less_than")),
    ],
)
def test_dify_asks_files_for_their_attributes(
    condition: Condition, files: JsonValue, verdict: Verdict
) -> None:
    assert evaluate_condition(condition, lambda _: files, "dify") == verdict
