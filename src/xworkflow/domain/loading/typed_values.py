"""Values that Dify's editor keeps as text beside the name of their type."""

from __future__ import annotations

from collections.abc import Callable

from xworkflow.domain.loading.json_text import parse_json
from xworkflow.domain.values import JsonValue, is_number
from xworkflow.errors import DslParseError

_NUMBERS = frozenset({"number", "integer", "float"})


class TypedValueError(ValueError):
    """A text that is no value of the type it is declared as."""


def typed(value: JsonValue, declared: str) -> JsonValue:
    """The value of a text by its declared type: numbers, booleans, objects and arrays.

    What is no text already has its type. Raises TypedValueError.
    """
    if not isinstance(value, str):
        return value
    if declared in _NUMBERS:
        return _expected(value, declared, is_number)
    if declared == "boolean":
        return _boolean(value)
    if declared == "object":
        return _expected(value, declared, lambda found: isinstance(found, dict))
    if declared.startswith("array"):
        return _expected(value, declared, lambda found: isinstance(found, list))
    return value


def _boolean(text: str) -> bool:
    """``true`` or ``false`` in any case: some exports hold Python's spelling."""
    found = {"true": True, "false": False}.get(text.strip().lower())
    if found is None:
        raise _no(text, "boolean")
    return found


def _expected(text: str, declared: str, fits: Callable[[JsonValue], bool]) -> JsonValue:
    try:
        value = parse_json(text)
    except DslParseError:
        value = None
    if not fits(value):
        raise _no(text, declared)
    return value


def _no(text: str, declared: str) -> TypedValueError:
    return TypedValueError(f"'{text[:40]}' is no {declared}")
