"""YAML, JSON or TOML text to plain JSON values. No dialect is known here.

Whatever the text holds, the result is null, booleans, numbers that a 64-bit float or integer can
hold, texts, lists and objects with text keys. What is no such number stays the text that it was.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Final, Literal, cast

from xworkflow.domain.loading.limits import (
    MAX_BYTES,
    MAX_DEPTH,
    MAX_TOML_BYTES,
    MAX_TOML_KEY,
    MAX_VALUES,
    TOO_DEEP,
    TOO_LARGE,
    TOO_LARGE_TOML,
    TOO_MANY,
)
from xworkflow.domain.loading.numbers import integer, real
from xworkflow.domain.loading.yaml_text import parse_yaml
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError

Format = Literal["yaml", "json", "toml"]

_SUFFIXES: Mapping[str, Format] = MappingProxyType({"json": "json", "toml": "toml"})
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_KEY_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(
    rf"""(?<![\w.'"-]){_KEY_PART}(?:[ \t]*+\.[ \t]*+{_KEY_PART}){{{MAX_TOML_KEY}}}"""
)
"""A dotted key of absurd length in TOML: 50 KB of these keep the standard parser for ten seconds."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. ``lines`` has the line of every object of a YAML text, by its ``id()``."""

    root: JsonValue
    lines: Mapping[int, int] = field(default_factory=dict[int, int])


def format_of(path_name: str) -> Format:
    """The format that a file name's suffix names; YAML for every other name."""
    return _SUFFIXES.get(path_name.rpartition(".")[2].lower(), "yaml")


def parse(text: str | bytes, format: Format | None = None) -> Document:  # noqa: A002
    """Parse a text of at most 10 MB; no format means YAML. Raises DslParseError."""
    plain = _decoded(text)
    if not plain.strip():
        raise DslParseError("the text is empty")
    match format:
        case "json":
            return Document(parse_json(plain))
        case "toml":
            return Document(_parse_toml(plain))
        case _:
            return Document(*parse_yaml(plain))


def parse_json(text: str) -> JsonValue:
    """Parse JSON; a key that stands twice in an object is an error. Raises DslParseError."""
    try:
        value = json.loads(
            text, object_pairs_hook=_object, parse_int=integer, parse_float=real, parse_constant=str
        )
    except json.JSONDecodeError as error:
        raise DslParseError(f"{error.msg} (column {error.colno})", line=error.lineno) from None
    except RecursionError:
        raise DslParseError(TOO_DEEP) from None
    return _checked(value)


def _parse_toml(text: str) -> JsonValue:
    if len(text.encode()) > MAX_TOML_BYTES:
        raise DslParseError(TOO_LARGE_TOML)
    if _LONG_KEY.search(text):
        raise DslParseError(f"the text holds a dotted key of more than {MAX_TOML_KEY} parts")
    try:
        return _checked(tomllib.loads(text))
    except RecursionError:
        raise DslParseError(TOO_DEEP) from None
    except ValueError as error:
        raise DslParseError(str(error), line=_toml_line(str(error))) from None


def _toml_line(message: str) -> int | None:
    # before Python 3.14 the error has no attribute for it
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    return int(found[1]) if found else None


def _decoded(text: str | bytes) -> str:
    """The text, if it is UTF-8 of a bearable size; a byte order mark is dropped."""
    if len(text) > MAX_BYTES:
        raise DslParseError(TOO_LARGE)
    try:
        plain = text.decode() if isinstance(text, bytes) else text
        size = len(text) if isinstance(text, bytes) else len(text.encode())
    except UnicodeError:
        raise DslParseError("the text is not UTF-8") from None
    if size > MAX_BYTES:
        raise DslParseError(TOO_LARGE)
    return plain.removeprefix("\ufeff")


def _object(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    made = dict(pairs)
    if len(made) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))
        raise DslParseError(f"the key '{twice}' stands twice in one object")
    return made


def _checked(root: JsonValue) -> JsonValue:
    """The value within limits and of JSON types; walks without recursion."""
    counted = 0
    holder: list[JsonValue] = [root]
    todo: list[tuple[Any, int]] = [(holder, 0)]
    while todo:
        container, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise DslParseError(TOO_DEEP)
        counted += len(container)
        if counted > MAX_VALUES:
            raise DslParseError(TOO_MANY)
        for key, value in _items(container):
            if isinstance(value, (dict, list)):
                todo.append((cast("Any", value), depth + 1))
            else:
                container[key] = _scalar(value)
    return holder[0]


def _items(container: Any) -> list[tuple[Any, JsonValue]]:  # noqa: ANN401 - a list or an object
    if isinstance(container, list):
        return list(enumerate(cast("list[Any]", container)))
    for key in container:
        _sound(key)
    return list(container.items())


def _scalar(value: Any) -> JsonValue:  # noqa: ANN401 - whatever a parser makes
    convert = _CONVERT.get(type(value))  # pyright: ignore[reportUnknownArgumentType]
    return value if convert is None else convert(value)


def _sound(text: str) -> str:
    if not text.isascii() and _SURROGATE.search(text):
        raise DslParseError("the text holds half of a surrogate pair")
    return text


def _instant(value: dt.datetime) -> str:
    return value.isoformat().replace("+00:00", "Z")


_CONVERT: Mapping[type, Callable[[Any], JsonValue]] = MappingProxyType(
    {
        str: _sound,
        int: lambda value: integer(str(value)),
        float: lambda value: real(repr(value)),
        dt.datetime: _instant,
        dt.date: dt.date.isoformat,
        dt.time: dt.time.isoformat,
    }
)
