"""What an assignment makes of the value that was there. Pure; the old value is never changed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from xworkflow.domain.loading.json_text import parse_json
from xworkflow.domain.values import JsonValue, display, is_number, kind_of, normalise
from xworkflow.errors import DslParseError
from xworkflow.nodes.numbers import parse_number

WriteMode = Literal["overwrite", "append", "clear"]
Operation = Literal[
    "over-write",
    "set",
    "clear",
    "append",
    "extend",
    "remove-first",
    "remove-last",
    "+=",
    "-=",
    "*=",
    "/=",
]
WITHOUT_OPERAND: Final = frozenset({"clear", "remove-first", "remove-last"})


class AssignmentError(ValueError):
    """An operation that does not fit the kind of its values."""


def written(mode: WriteMode, old: JsonValue, value: JsonValue) -> JsonValue:
    """The native form's result (spec/graph.md 3.6). Fits any kinds, so it never fails."""
    if mode == "overwrite":
        return value
    if mode == "clear":
        return None
    if old is None:
        return [value]
    if isinstance(old, list):
        return [*cast("list[Any]", old), value]
    if isinstance(old, str):
        return old + display(value)
    return [old, value]


def operate(operation: Operation, old: JsonValue, operand: JsonValue) -> JsonValue:
    """The result of one operation of Dify's form. Raises AssignmentError."""
    return _OPERATIONS[operation](old, operand)


def constant(operation: Operation, old: JsonValue, raw: JsonValue) -> JsonValue:
    """A constant as drawn, read by the kind of the value that it replaces.

    Dify's editor keeps objects, lists and numbers as text. Raises AssignmentError.
    """
    if operation not in ("set", "over-write") or not isinstance(raw, str):
        return raw
    if isinstance(old, (dict, list)):
        try:
            return parse_json(raw)
        except DslParseError:
            raise AssignmentError("the constant is no valid JSON") from None
    return _as_number(raw) if is_number(old) else raw


def _set(old: JsonValue, operand: JsonValue) -> JsonValue:
    del old
    return operand


def _clear(old: JsonValue, operand: JsonValue) -> JsonValue:
    """The empty value of the old value's kind."""
    del operand
    empty: dict[str, JsonValue] = {
        "string": "",
        "number": 0,
        "boolean": False,
        "object": {},
        "array": [],
    }
    return empty.get(kind_of(old))


def _append(old: JsonValue, operand: JsonValue) -> JsonValue:
    return [*_as_list(old), operand]


def _extend(old: JsonValue, operand: JsonValue) -> JsonValue:
    return [*_as_list(old), *_as_list(operand)]


def _remove_first(old: JsonValue, operand: JsonValue) -> JsonValue:
    del operand
    return _as_list(old)[1:]


def _remove_last(old: JsonValue, operand: JsonValue) -> JsonValue:
    del operand
    return _as_list(old)[:-1]


def _arithmetic(
    calculate: Callable[[float, float], float],
) -> Callable[[JsonValue, JsonValue], JsonValue]:
    def apply(old: JsonValue, operand: JsonValue) -> JsonValue:
        result = calculate(_as_number(0 if old is None else old), _as_number(operand))
        if not math.isfinite(result):
            raise AssignmentError("the result is too large")
        return normalise(result)

    return apply


def _divide(left: float, right: float) -> float:
    if right == 0:
        raise AssignmentError("division by zero")
    return left / right


def _as_list(value: JsonValue) -> list[JsonValue]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise AssignmentError(f"expected a list, got {kind_of(value)}")
    return cast("list[Any]", value)


def _as_number(value: JsonValue) -> float:
    """A number; numeric text counts, because Dify's editor keeps constants as text."""
    if is_number(value):
        return cast("float", value)
    number = parse_number(value) if isinstance(value, str) else None
    if number is None:
        raise AssignmentError(f"expected a number, got {kind_of(value)}")
    return number


_OPERATIONS: Mapping[Operation, Callable[[JsonValue, JsonValue], JsonValue]] = MappingProxyType(
    {
        "over-write": _set,
        "set": _set,
        "clear": _clear,
        "append": _append,
        "extend": _extend,
        "remove-first": _remove_first,
        "remove-last": _remove_last,
        "+=": _arithmetic(lambda left, right: left + right),
        "-=": _arithmetic(lambda left, right: left - right),
        "*=": _arithmetic(lambda left, right: left * right),
        "/=": _arithmetic(_divide),
    }
)
