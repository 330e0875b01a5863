"""A persistent map: every version stays readable, and the newest costs what a dict costs.

``RunState`` is frozen, yet a run of 10,000 nodes must not copy 10,000 entries at each step. This is
Baker's version tree: the newest version owns the real dict, and setting a key hands that dict on
and leaves behind, in the older version, only what it must undo. States are nearly always used once
and dropped, so old versions cost nothing; one that is read after all makes itself a dict of its
own.

Iteration follows insertion order, so it is a function of the operations alone (replay-safe). Not
thread-safe: a state belongs to one run, and a run to one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, Generic, TypeVar, cast

V = TypeVar("V")

_MISSING: Final = object()


class PersistentMap(Mapping[str, V], Generic[V]):
    """An immutable mapping from text; ``set`` and ``without`` return the next version."""

    __slots__ = ("_items", "_key", "_newer", "_old")

    def __init__(self, items: Mapping[str, V] | None = None) -> None:
        self._items: dict[str, V] | None = dict(items) if items else {}
        self._newer: PersistentMap[V] | None = None
        self._key: str = ""
        self._old: object = _MISSING

    def set(self, key: str, value: V) -> PersistentMap[V]:
        """The version in which ``key`` has ``value``."""
        items = self._own()
        return self._hand_on(items, key, items.get(key, cast("V", _MISSING)), value)

    def without(self, key: str) -> PersistentMap[V]:
        """The version in which ``key`` is absent; the same one if it is absent already."""
        items = self._own()
        if key not in items:
            return self
        return self._hand_on(items, key, items[key], _MISSING)

    def _hand_on(self, items: dict[str, V], key: str, old: object, new: object) -> PersistentMap[V]:
        if new is _MISSING:
            del items[key]
        else:
            items[key] = cast("V", new)
        newest = object.__new__(type(self))
        newest._items, newest._newer, newest._key, newest._old = items, None, "", _MISSING
        self._items, self._newer, self._key, self._old = None, newest, key, old
        return newest

    def _own(self) -> dict[str, V]:
        """This version's dict; an old version is made whole again on the first read."""
        if self._items is not None:
            return self._items
        undo: list[PersistentMap[V]] = []
        version: PersistentMap[V] = self
        while version._items is None:
            undo.append(version)
            version = cast("PersistentMap[V]", version._newer)
        items = dict(version._items)
        for step in reversed(undo):
            if step._old is _MISSING:
                items.pop(step._key, None)
            else:
                items[step._key] = cast("V", step._old)
        self._items, self._newer, self._old = items, None, _MISSING
        return items

    def __getitem__(self, key: str) -> V:
        return self._own()[key]

    def get(self, key: str, default: Any = None) -> Any:  # noqa: ANN401 - as Mapping's
        return self._own().get(key, default)

    def __iter__(self) -> Iterator[str]:
        return iter(self._own())

    def __len__(self) -> int:
        return len(self._own())

    def __contains__(self, key: object) -> bool:
        return key in self._own()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, PersistentMap):
            return self._own() == cast("PersistentMap[V]", other)._own()
        return isinstance(other, Mapping) and self._own() == dict(cast("Mapping[str, V]", other))

    __hash__ = None  # as any mapping of unhashable values

    def __repr__(self) -> str:
        return f"PersistentMap({self._own()!r})"
