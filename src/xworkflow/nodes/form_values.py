"""Values of Dify's input forms: each type of field, and what it makes of what was sent."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, cast

from xworkflow.domain.loading.json_text import parse_json
from xworkflow.domain.values import JsonValue, is_number, to_file
from xworkflow.errors import DslParseError
from xworkflow.nodes.numbers import parse_number


class FormValueError(ValueError):
    """A value that does not fit its field; the message completes "must be …"."""


def convert(field_type: str, value: JsonValue) -> JsonValue:
    """The value that a field of this type holds. Never called with null. Raises FormValueError.

    A type that is no form type takes anything.
    """
    converter = _CONVERTERS.get(field_type)
    return converter(value) if converter else value


def _text(value: JsonValue) -> JsonValue:
    if not isinstance(value, str):
        raise FormValueError("a text")
    return value


def _number(value: JsonValue) -> JsonValue:
    """Browsers send what was typed: numeric text becomes a number, an empty field nothing."""
    if is_number(value):
        return value
    if not isinstance(value, str):
        raise FormValueError("a number")
    if not value.strip():
        return None
    number = parse_number(value)
    if number is None:
        raise FormValueError(f"a number, not '{value}'")
    return number


def _checkbox(value: JsonValue) -> JsonValue:
    if isinstance(value, bool):
        return value
    known = {"true": True, "false": False, "1": True, "0": False}
    found = known.get(str(value).strip().lower())
    if found is None:
        raise FormValueError("true or false")
    return found


def _object(value: JsonValue) -> JsonValue:
    if isinstance(value, str):
        try:
            value = parse_json(value)
        except DslParseError:
            raise FormValueError("a JSON object") from None
    if not isinstance(value, dict):
        raise FormValueError("a JSON object")
    return cast("dict[str, Any]", value)


def _file(value: JsonValue) -> JsonValue:
    file = to_file(value)
    if file is None:
        raise FormValueError("a file")
    return file


def _files(value: JsonValue) -> JsonValue:
    if not isinstance(value, list):
        raise FormValueError("a list of files")
    files = [to_file(item) for item in cast("list[Any]", value)]
    if None in files:
        raise FormValueError("a list of files")
    return files


_CONVERTERS: Mapping[str, Callable[[JsonValue], JsonValue]] = MappingProxyType(
    {
        "text-input": _text,
        "paragraph": _text,
        "select": _text,
        "external_data_tool": _text,
        "number": _number,
        "checkbox": _checkbox,
        "json_object": _object,
        "file": _file,
        "file-list": _files,
    }
)
FORM_TYPES = frozenset(_CONVERTERS)
"""The input types of Dify's start node (spec/dify.md E2)."""
