"""Lists and objects that a template of Dify's dialect may change, as it may in Jinja2.

A draft is a copy: what came from outside stays as it was. ``python_style`` says which templates
get drafts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from xworkflow.domain.template_values import DifyList, DifyObject, bare
from xworkflow.domain.values import JsonValue

_ABSENT = object()


def draft(value: JsonValue) -> JsonValue:
    """A list or an object as a draft, all that it holds included; anything else as it is."""
    if isinstance(value, (DraftList, DraftObject)):
        return value
    plain = bare(value)
    if isinstance(plain, tuple):
        return tuple(draft(item) for item in cast("tuple[Any, ...]", plain))
    if isinstance(plain, list):
        return DraftList([draft(item) for item in cast("list[Any]", plain)])
    if isinstance(plain, dict):
        return DraftObject({k: draft(v) for k, v in cast("dict[str, Any]", plain).items()})
    return value


class DraftList(DifyList):
    """A list with all of Python's methods."""

    __slots__ = ()
    _value: list[JsonValue]

    def append(self, item: JsonValue) -> None:
        self._value.append(draft(item))

    def extend(self, items: JsonValue) -> None:
        self._value.extend([draft(item) for item in items])

    def insert(self, index: int, item: JsonValue) -> None:
        self._value.insert(index, draft(item))

    def pop(self, index: int = -1) -> JsonValue:
        return self._value.pop(index)

    def remove(self, item: JsonValue) -> None:
        self._value.remove(item)

    def clear(self) -> None:
        self._value.clear()

    def reverse(self) -> None:
        self._value.reverse()

    def sort(self, *, reverse: bool = False) -> None:
        self._value.sort(reverse=reverse)

    def copy(self) -> DraftList:
        return DraftList(list(self._value))


class DraftObject(DifyObject):
    """An object with Python's methods."""

    __slots__ = ()
    _value: dict[str, JsonValue]

    def update(self, other: JsonValue = None, **members: JsonValue) -> None:
        given = cast("Mapping[str, Any]", bare(other) or {})
        self._value.update({k: draft(v) for k, v in {**given, **members}.items()})

    def setdefault(self, key: str, default: JsonValue = None) -> JsonValue:
        return self._value.setdefault(key, draft(default))

    def pop(self, key: str, default: JsonValue = _ABSENT) -> JsonValue:
        return self._value.pop(key) if default is _ABSENT else self._value.pop(key, default)

    def clear(self) -> None:
        self._value.clear()

    def copy(self) -> DraftObject:
        return DraftObject(dict(self._value))
