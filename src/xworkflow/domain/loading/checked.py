"""What a standard parser made, within limits and of JSON types."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from xworkflow.domain.loading.limits import MAX_DEPTH, MAX_VALUES, TOO_DEEP, TOO_MANY
from xworkflow.domain.loading.numbers import integer, real
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError

_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")


def checked(root: JsonValue) -> JsonValue:
    """The value, changed in place, without recursion. Raises DslParseError."""
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


_CONVERT: Final[Mapping[type, Callable[[Any], JsonValue]]] = MappingProxyType(
    {
        str: _sound,
        int: lambda value: integer(str(value)),
        float: lambda value: real(repr(value)),
        dt.datetime: _instant,
        dt.date: dt.date.isoformat,
        dt.time: dt.time.isoformat,
    }
)
