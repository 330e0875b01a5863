"""Laws of conditions: they agree with a plain oracle, and placeholders are read once."""

from __future__ import annotations

import json
import re
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st

from xworkflow.domain.conditions import Condition, Mismatch, Verdict, evaluate_condition
from xworkflow.domain.conditions import evaluate_group as group
from xworkflow.domain.placeholders import references, render
from xworkflow.domain.values import FILE_MARK, FILE_MARK_VALUE, JsonValue

OPPOSITES = {
    "contains": "not_contains",
    "is": "is_not",
    "empty": "not_empty",
    "in": "not_in",
    "null": "not_null",
    "equal": "not_equal",
}
NUMERIC = ["equal", "not_equal", "greater_than", "less_than", "greater_or_equal", "less_or_equal"]
OTHERS = ["contains", "not_contains", "start_with", "end_with", "is", "is_not", "empty",
          "not_empty", "in", "not_in", "all_of", "null", "not_null"]  # fmt: skip

texts = st.text(alphabet="ab15.-tru ", max_size=4)
numbers = st.integers(-3, 3) | st.sampled_from([0.5, 1.0, 5.0, -1.5])
scalars: st.SearchStrategy[JsonValue] = st.none() | st.booleans() | numbers | texts
files: st.SearchStrategy[JsonValue] = st.fixed_dictionaries(
    {FILE_MARK: st.just(FILE_MARK_VALUE), "name": texts}
)
lists: st.SearchStrategy[JsonValue] = st.lists(scalars, max_size=3) | st.lists(files, max_size=2)
values: st.SearchStrategy[JsonValue] = (
    scalars | lists | files | st.dictionaries(texts, scalars, max_size=2)
)


def shown(value: JsonValue) -> str:
    """The display string, written anew from spec/graph.md 3.2."""
    if isinstance(value, float):
        return f"{value:g}"  # the floats of this file are short
    if isinstance(value, str):
        return value
    return "" if value is None else dumped(value)


def dumped(value: JsonValue) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def wanted(value: JsonValue) -> str:
    return value if isinstance(value, str) else "" if value is None else dumped(value)


def elements(value: list[Any]) -> list[str]:
    if value and all(isinstance(item, dict) for item in value):
        return [item["name"] for item in value]
    return [shown(item) for item in value]


def oracle(operator: str, actual: Any, expected: Any) -> bool | None:
    """spec/graph.md 4 in plain Python; None means a mismatch."""
    if operator in NUMERIC:
        sides = [side for side in (actual, expected) if type(side) in (int, float)]
        if len(sides) < 2:
            return None
        a, b = sides
        table = {"equal": a == b, "not_equal": a != b, "greater_than": a > b, "less_than": a < b,
                 "greater_or_equal": a >= b, "less_or_equal": a <= b}  # fmt: skip
        return table[operator]
    several = cast("list[Any]", expected if isinstance(expected, list) else [expected])
    options = [wanted(item) for item in several if isinstance(expected, (list, str))]
    if isinstance(actual, list):
        found = elements(cast("list[Any]", actual))
        contains = wanted(expected) in found
        all_of = all(option in found for option in options)
    else:
        contains = isinstance(actual, str) and wanted(expected) in actual
        all_of = False
    table = {
        "contains": contains,
        "start_with": shown(actual).startswith(wanted(expected)),
        "end_with": shown(actual).endswith(wanted(expected)),
        "is": shown(actual) == wanted(expected),
        "empty": actual is None or actual in ("", [], {}),
        "in": shown(actual) in options,
        "all_of": all_of,
        "null": actual is None,
    }
    for positive, negative in OPPOSITES.items():
        if operator == negative:
            return not table[positive]
    return table[operator]


def condition(operator: str, expected: JsonValue, variable: str = "x") -> Condition:
    given = {"variable_selector": ["n", variable], "comparison_operator": operator}
    return Condition.model_validate({**given, "value": expected})


def plain(verdict: Verdict) -> bool | None:
    return None if isinstance(verdict, Mismatch) else verdict


@given(st.sampled_from([*NUMERIC, *OTHERS]), values, values)
def test_a_condition_agrees_with_the_oracle(
    operator: str, actual: JsonValue, expected: JsonValue
) -> None:
    verdict = evaluate_condition(condition(operator, expected), lambda _: actual, "native")
    assert plain(verdict) == oracle(operator, actual, expected)


@given(st.sampled_from(sorted(OPPOSITES)), values, values)
def test_opposites_disagree_or_both_mismatch(
    operator: str, actual: JsonValue, expected: JsonValue
) -> None:
    one, other = (
        plain(evaluate_condition(condition(name, expected), lambda _: actual, "native"))
        for name in (operator, OPPOSITES[operator])
    )
    assert (one is None and other is None) or one is not other


@given(st.sampled_from(NUMERIC), numbers, numbers)
def test_dify_reads_a_number_from_its_text(operator: str, actual: float, expected: float) -> None:
    as_number = evaluate_condition(condition(operator, expected), lambda _: actual, "native")
    as_text = evaluate_condition(condition(operator, str(expected)), lambda _: actual, "dify")
    both = evaluate_condition(condition(operator, str(expected)), lambda _: str(actual), "dify")
    assert as_number == as_text == both


def number_of(value: Any) -> float | None:
    """A number, or the one that a text spells in the way of Dify's exports."""
    if isinstance(value, str):
        spelled_so = re.fullmatch(r"\s*[-+]?(\d+\.?\d*|\.\d+)\s*", value)
        return float(value) if spelled_so else None
    return value if type(value) in (int, float) else None


def dify_oracle(operator: str, actual: Any, expected: Any) -> bool | None:
    """Where Dify differs from spec/graph.md 4: spec/graph.md 11 and spec/dify.md E2."""
    if type(actual) is bool and operator in ("is", "equal", "is_not", "not_equal"):
        texts = {True: ("true", "1"), False: ("false", "0")}[actual]
        return (shown(expected).strip().lower() in texts) == (operator in ("is", "equal"))
    if operator not in NUMERIC:
        return oracle(operator, actual, expected)
    if actual is None:
        return False
    return oracle(operator, number_of(actual), number_of(expected))


spelled = st.sampled_from(["1", " 2 ", "-1.5", "+0", "1_0", "1e1x", ".5", "true", "False", "TRUE"])


@given(st.sampled_from([*NUMERIC, *OTHERS]), values | spelled, values | spelled)
@example("equal", True, "TRUE")
@example("not_equal", False, 0)
@example("greater_than", None, "5")
def test_a_condition_of_dify_agrees_with_its_oracle(
    operator: str, actual: JsonValue, expected: JsonValue
) -> None:
    verdict = evaluate_condition(condition(operator, expected), lambda _: actual, "dify")
    assert plain(verdict) == dify_oracle(operator, actual, expected)


file_values = st.fixed_dictionaries(
    {
        FILE_MARK: st.just(FILE_MARK_VALUE),
        "name": texts,
        "size": st.integers(0, 3),
        "mime_type": st.sampled_from(["image/png", "audio/mp3", "text/plain", "x"]),
    }
)
sub_conditions = st.lists(
    st.tuples(st.just("name"), st.sampled_from(["is", "contains", "empty"]), texts)
    | st.tuples(st.just("size"), st.sampled_from(["equal", "greater_than"]), st.integers(0, 3))
    | st.tuples(st.just("type"), st.just("in"), st.lists(st.sampled_from(["image", "audio"]))),
    min_size=1,
    max_size=3,
)


@given(
    st.lists(file_values, max_size=3),
    st.sampled_from(["contains", "not_contains", "all_of"]),
    st.sampled_from(["and", "or"]),
    sub_conditions,
)
def test_conditions_on_files_ask_each_file_and_agree_with_the_oracle(
    given_files: list[dict[str, Any]],
    operator: str,
    logical: str,
    subs: list[tuple[str, str, Any]],
) -> None:
    types = {"image/png": "image", "audio/mp3": "audio", "text/plain": "document", "x": "other"}
    holds = [
        (all if logical == "and" else any)(
            dify_oracle(sub, {**file, "type": types[file["mime_type"]]}[key], expected)
            for key, sub, expected in subs
        )
        for file in given_files
    ]
    wanted_verdict = {
        "contains": any(holds),
        "not_contains": not any(holds),
        "all_of": all(holds),
    }[operator]
    drawn = [{"key": k, "comparison_operator": o, "value": e} for k, o, e in subs]
    about = Condition.model_validate(
        {
            "variable_selector": ["n", "x"],
            "comparison_operator": operator,
            "sub_variable_condition": {"logical_operator": logical, "conditions": drawn},
        }
    )
    assert evaluate_condition(about, lambda _: given_files, "dify") == wanted_verdict


@given(st.lists(st.sampled_from([True, False, None]), max_size=5), st.sampled_from(["and", "or"]))
def test_a_group_agrees_with_the_oracle(verdicts: list[bool | None], logical: Any) -> None:
    conditions = [
        condition("is" if verdict is not None else "greater_than", "1" if verdict else "0", str(i))
        for i, verdict in enumerate(verdicts)
    ]
    if logical == "and":
        expected = next((verdict for verdict in verdicts if verdict is not True), True)
    elif True in verdicts:
        expected = True
    else:
        expected = None if None in verdicts else False
    assert plain(group(conditions, logical, lambda _: "1", "native")) == expected


pieces = st.sampled_from(["{{#", "#}}", "#", "{", "}", "a.b", "a", ".", "n.x.y", " ", "é"])


@given(st.lists(pieces, max_size=12).map("".join), texts)
def test_rendering_looks_up_what_references_names_and_reads_no_value_again(
    text: str, value: str
) -> None:
    read: list[tuple[str, ...]] = []

    def get(selector: tuple[str, ...]) -> JsonValue:
        read.append(selector)
        return "{{#a.b#}}" + value

    rendered = render(text, get, "native")
    assert tuple(dict.fromkeys(read)) == references(text, "native")
    assert rendered.count("{{#a.b#}}" + value) >= len(read)
    if not references(text, "dify"):
        assert "{{#a.b#}}" not in rendered
