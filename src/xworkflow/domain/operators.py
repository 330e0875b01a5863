"""The comparison operators and what they mean for plain values (spec/graph.md 4)."""

from __future__ import annotations

import operator
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, TypeAlias, cast, get_args

from xworkflow.domain.values import JsonValue, compact_json, display, is_file

TextOperator = Literal[
    "contains", "not_contains", "start_with", "end_with", "is", "is_not", "empty", "not_empty",
    "in", "not_in", "all_of", "null", "not_null",
]  # fmt: skip
NumericOperator = Literal[
    "equal", "not_equal", "greater_than", "less_than", "greater_or_equal", "less_or_equal"
]
Operator: TypeAlias = TextOperator | NumericOperator

_ALIASES: Final = {
    "=": "equal",
    "≠": "not_equal",
    ">": "greater_than",
    "<": "less_than",
    "≥": "greater_or_equal",
    "≤": "less_or_equal",
    "greater_than_or_equal": "greater_or_equal",
    "less_than_or_equal": "less_or_equal",
    # Dify's spellings
    "not contains": "not_contains",
    "start with": "start_with",
    "end with": "end_with",
    "is not": "is_not",
    "is empty": "empty",
    "is not empty": "not_empty",
    "not empty": "not_empty",
    "not in": "not_in",
    "all of": "all_of",
    "not null": "not_null",
    "is null": "null",
    "is not null": "not_null",
    "exists": "not_null",
    "not exists": "null",
}
_NAMES: Final = frozenset((*get_args(TextOperator), *get_args(NumericOperator)))


def parse_operator(spelling: object) -> Operator:
    """The operator of a spelling, aliases included. Raises ValueError for any other text."""
    name = _ALIASES.get(spelling, spelling) if isinstance(spelling, str) else None
    if name not in _NAMES:
        raise ValueError(f"unknown comparison operator {spelling!r}")
    return cast("Operator", name)


def camel_case(name: Operator) -> str:
    """``GreaterThan`` for ``greater_than``, as the text of a type error has it."""
    return "".join(word.capitalize() for word in name.split("_"))


def texts_of(expected: JsonValue) -> tuple[str, ...] | None:
    """The texts of an expected list; a text is a list of one; None for anything else."""
    if isinstance(expected, list):
        return tuple(expected_text(item) for item in cast("list[Any]", expected))
    return (expected,) if isinstance(expected, str) else None


def expected_text(expected: JsonValue) -> str:
    """S(e): a text itself, null as nothing, anything else as compact JSON (``5.0`` stays)."""
    if isinstance(expected, str):
        return expected
    return "" if expected is None else compact_json(expected)


def _element_texts(items: Sequence[JsonValue]) -> list[str]:
    """What an array's elements are compared by: files by name, anything else as displayed."""
    if items and all(map(is_file, items)):
        return [display(file.get("name")) for file in items]
    return [display(item) for item in items]


def _contains(actual: JsonValue, expected: JsonValue) -> bool:
    text = expected_text(expected)
    if isinstance(actual, list):
        return text in _element_texts(cast("list[Any]", actual))
    return isinstance(actual, str) and text in actual


def _all_of(actual: JsonValue, expected: JsonValue) -> bool:
    if not isinstance(actual, list):
        return False
    return set(texts_of(expected) or ()) <= set(_element_texts(cast("list[Any]", actual)))


def _empty(actual: JsonValue, _: JsonValue) -> bool:
    return actual is None or (
        isinstance(actual, (str, list, dict)) and len(cast("Any", actual)) == 0
    )


_TEXT: Final[dict[TextOperator, tuple[bool, Callable[[JsonValue, JsonValue], bool]]]] = {
    "contains": (True, _contains),
    "not_contains": (False, _contains),
    "start_with": (True, lambda a, e: display(a).startswith(expected_text(e))),
    "end_with": (True, lambda a, e: display(a).endswith(expected_text(e))),
    "is": (True, lambda a, e: display(a) == expected_text(e)),
    "is_not": (False, lambda a, e: display(a) == expected_text(e)),
    "empty": (True, _empty),
    "not_empty": (False, _empty),
    "in": (True, lambda a, e: display(a) in (texts_of(e) or ())),
    "not_in": (False, lambda a, e: display(a) in (texts_of(e) or ())),
    "all_of": (True, _all_of),
    "null": (True, lambda a, _: a is None),
    "not_null": (False, lambda a, _: a is None),
}
"""Each operator as a predicate and the answer that is wanted of it."""


def holds(name: TextOperator, actual: JsonValue, expected: JsonValue) -> bool:
    """Whether a non-numeric operator holds; defined for values of any kind."""
    wanted, predicate = _TEXT[name]
    return predicate(actual, expected) is wanted


def _close(a: float, b: float) -> bool:
    return a == b or abs(a - b) <= sys.float_info.epsilon


_NUMERIC: Final[dict[str, Callable[[float, float], bool]]] = {
    "equal": _close,
    "not_equal": lambda a, b: not _close(a, b),
    "greater_than": operator.gt,
    "less_than": operator.lt,
    "greater_or_equal": operator.ge,
    "less_or_equal": operator.le,
}


def is_numeric(name: Operator) -> bool:
    return name in _NUMERIC


def compare(name: Operator, actual: float, expected: float) -> bool:
    """Whether a numeric operator holds; equality within 2.22e-16, absolute."""
    return _NUMERIC[name](actual, expected)
