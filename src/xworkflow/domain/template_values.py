"""Read-only views in which lists and objects enter a template.

minijinja hands a Python list or dict to the template as it is, with its methods: a template could
clear a list of the pool, or print the address of a method, which no replay repeats. The views show
the items and nothing else, make children views on demand, and print in the style of the dialect.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue, display_float


def view(value: JsonValue, dialect: Dialect) -> JsonValue:
    """The value as a template of the dialect sees it: scalars as they are, containers as views."""
    if isinstance(value, (list, tuple)):
        return (NativeList if dialect == "native" else DifyList)(cast("Sequence[Any]", value))
    if isinstance(value, dict):
        return (NativeObject if dialect == "native" else DifyObject)(cast("dict[str, Any]", value))
    return value


def native_text(value: JsonValue) -> str:
    """A value as minijinja prints it at the top: texts bare, ``none``, ``true``, ``2.0``."""
    return value if isinstance(value, str) else _native(value)


def _native(value: JsonValue) -> str:
    """A value as minijinja prints it inside a list. Raises RecursionError for a very deep one."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _native_float(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_native, cast('list[Any]', value)))}]"
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value).items()
        return f"{{{', '.join(f'{_native(k)}: {_native(v)}' for k, v in members)}}}"
    return json.dumps(value, ensure_ascii=False)


def _native_float(number: float) -> str:
    text = display_float(number)
    return f"{text}.0" if text.lstrip("-").isdigit() else text


class _Absent(str):
    """A method that a dict must have for minijinja to see a mapping, and a template must not."""

    __slots__ = ()

    def __call__(self, *_: object) -> None:
        raise AttributeError("unknown method: an object has no method of that name")


class _View:
    """What both kinds have in common. Underscored names are out of a template's reach."""

    __slots__ = ("_value",)
    _dialect: Dialect
    _noun: str

    def __len__(self) -> int:
        return len(self._value)

    def __getitem__(self, key: object) -> JsonValue:
        return view(self._value[key], self._dialect)

    def __eq__(self, other: object) -> bool:
        return bool(self._value == bare(other))

    __hash__ = None  # type: ignore[assignment]

    def __getattr__(self, name: str) -> JsonValue:
        raise AttributeError(f"unknown method: {self._noun} has no method named {name}")

    def __str__(self) -> str:
        try:
            return _native(self._value) if self._dialect == "native" else str(self._value)
        except RecursionError:  # minijinja has no way to hear of an error here
            return "[...]"

    __repr__ = __str__


class _ListView(_View):
    __slots__ = ()
    _noun = "a list"

    def __init__(self, value: Sequence[JsonValue]) -> None:
        self._value = value


class _ObjectView(_View):
    __slots__ = ()
    _noun = "an object"

    def __init__(self, value: dict[str, JsonValue]) -> None:
        self._value = value

    def __iter__(self) -> Iterator[str]:
        return iter(self._value)


class NativeList(_ListView):
    """A list without methods."""

    __slots__ = ()
    _dialect: Dialect = "native"


class NativeObject(_ObjectView):
    """An object without methods."""

    __slots__ = ()
    _dialect: Dialect = "native"
    items: Final = _Absent()


class DifyList(_ListView):
    """A list with the Python methods that read."""

    __slots__ = ()
    _dialect: Dialect = "dify"

    def index(self, item: JsonValue) -> int:
        return self._value.index(bare(item))

    def count(self, item: JsonValue) -> int:
        return self._value.count(bare(item))


class DifyObject(_ObjectView):
    """An object with the Python methods that read."""

    __slots__ = ()
    _dialect: Dialect = "dify"

    def keys(self) -> DifyList:
        return DifyList(list(self._value))

    def values(self) -> DifyList:
        return DifyList(list(self._value.values()))

    def items(self) -> DifyList:
        return DifyList(list(self._value.items()))

    def get(self, key: JsonValue, default: JsonValue = None) -> JsonValue:
        return view(self._value.get(key, bare(default)), "dify")


def bare(value: JsonValue) -> JsonValue:
    """The JSON value behind a view; anything else as it is."""
    return value._value if isinstance(value, _View) else value  # pyright: ignore[reportPrivateUsage]


# minijinja takes for a list what calls itself one; the class's own methods stay out this way
cast("Any", Sequence).register(_ListView)
