"""The variable pool: ``(namespace, variable) → value`` (spec/graph.md 3.1).

Namespaces are node ids, ``sys``, ``env``, ``conversation``, ``loop`` and ``__scope__``. Immutable:
writing returns the next pool, at the cost of a dict's write.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from xworkflow.domain.persistent import PersistentMap
from xworkflow.domain.pool_size import ABSENT, PoolSize
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import FILE_CATEGORIES, FILE_MARK, JsonValue, is_file

Namespace = Mapping[str, JsonValue]

_FILE_ATTRIBUTES = {
    "type",
    "size",
    "name",
    "mime_type",
    "transfer_method",
    "url",
    "extension",
    "related_id",
}


# no list is longer; Python refuses to convert very long texts
_INDEX = re.compile(r"[0-9]{1,15}")


class VariablePool:
    """All values of a run. A missing key reads as None; "has" means present and not None."""

    __slots__ = ("_size", "_spaces")

    def __init__(
        self, spaces: Mapping[str, Namespace] | PersistentMap[Namespace] | None = None
    ) -> None:
        self._spaces: PersistentMap[Namespace] = (
            spaces if isinstance(spaces, PersistentMap) else PersistentMap(spaces)
        )
        self._size: PoolSize | None = None

    def get(self, selector: Selector) -> JsonValue:
        """The value at a selector; parts after the second go into objects, lists and files."""
        space = self._spaces.get(selector[0])
        if space is None:
            return None
        value = space.get(selector[1])
        for part in selector[2:]:
            value = _descend(value, part)
        return value

    def has(self, selector: Selector) -> bool:
        return self.get(selector) is not None

    def namespace(self, name: str) -> Namespace:
        """Everything below one name; empty when there is nothing."""
        return self._spaces.get(name) or {}

    def set(self, selector: Selector, value: JsonValue) -> VariablePool:
        """The pool with one value written; a path deeper than two parts is made on the way."""
        name, variable = selector[0], selector[1]
        space = dict(self.namespace(name))
        written = _written(space.get(variable), selector[2:], value)
        size = self._size
        if size is not None:
            size = size.with_value(name, variable, space.get(variable, ABSENT), written)
        space[variable] = written
        return self._next(name, space, size)

    def extend(self, name: str, values: Mapping[str, JsonValue]) -> VariablePool:
        """The pool with a node's outputs added to what its namespace holds already."""
        old: Namespace = self._spaces.get(name) or {}
        size = self._size
        if size is not None:
            for variable, value in values.items():
                size = size.with_value(name, variable, old.get(variable, ABSENT), value)
        return self._next(name, {**old, **values} if old else dict(values), size)

    def _next(self, name: str, space: Namespace, size: PoolSize | None) -> VariablePool:
        pool = VariablePool(self._spaces.set(name, space))
        pool._size = size
        return pool

    def size(self, most: int) -> PoolSize:
        """How large the pool is; its bytes are exact as long as no value has more than ``most``.

        Costs a walk through all values once, and nothing for the pools that are made of this one.
        """
        if self._size is None or self._size.most != most:
            size = PoolSize(0, 0, most)
            for name, space in self._spaces.items():
                for variable, value in space.items():
                    size = size.with_value(name, variable, ABSENT, value)
            self._size = size
        return self._size

    def project(self, selectors: Iterable[Selector]) -> VariablePool:
        """A pool with only the variables that the selectors name, whole (first two parts)."""
        spaces: dict[str, dict[str, JsonValue]] = {}
        for selector in selectors:
            space = self._spaces.get(selector[0])
            if space is not None and selector[1] in space:
                spaces.setdefault(selector[0], {})[selector[1]] = space[selector[1]]
        return VariablePool(spaces)

    def to_json(self) -> dict[str, dict[str, JsonValue]]:
        """``{namespace: {variable: value}}``, in order of first writing."""
        return {name: dict(space) for name, space in self._spaces.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, VariablePool) and self._spaces == other._spaces

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"VariablePool({self.to_json()!r})"


def _descend(value: JsonValue, part: str) -> JsonValue:
    if isinstance(value, dict):
        members = cast("dict[str, Any]", value)
        if part in members and part != FILE_MARK:
            return members[part]
        if is_file(members) and part in _FILE_ATTRIBUTES:
            return file_attribute(members, part)
        return None
    if isinstance(value, list) and _INDEX.fullmatch(part):
        items = cast("list[Any]", value)
        return items[int(part)] if int(part) < len(items) else None
    return None


def file_attribute(file: Mapping[str, JsonValue], attribute: str) -> JsonValue:
    """A file's attribute as Dify names it; ``type`` is its category, as given or by MIME type."""
    if attribute == "type":
        given = file.get("type")
        if isinstance(given, str) and given in FILE_CATEGORIES:
            return given
        return file_category(str(file.get("mime_type") or ""))
    return file.get("id" if attribute == "related_id" else attribute)


def file_category(mime_type: str) -> str:
    """image, audio, video, document or other (3.5)."""
    main = mime_type.split("/", 1)[0]
    if main in ("image", "audio", "video"):
        return main
    documents = ("text/", "application/pdf", "application/vnd.", "application/msword")
    return "document" if mime_type.startswith(documents) else "other"


def _written(old: JsonValue, path: Selector, value: JsonValue) -> JsonValue:
    if not path:
        return value
    members: dict[str, JsonValue] = (
        dict(cast("dict[str, Any]", old)) if isinstance(old, dict) else {}
    )
    members[path[0]] = _written(members.get(path[0]), path[1:], value)
    return members
