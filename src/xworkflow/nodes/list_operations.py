"""The native operations on lists that need no body (spec/graph.md 7.4). Pure."""

from __future__ import annotations

import json
from collections.abc import Iterable
from functools import cmp_to_key
from typing import Any, Literal, cast

from xworkflow.domain.values import JsonValue, is_number

SortOrder = Literal["asc", "desc"]


def compare(one: JsonValue, other: JsonValue) -> int:
    """Numbers as numbers, texts by code point; anything else is equal."""
    numbers = is_number(one) and is_number(other)
    if numbers or (isinstance(one, str) and isinstance(other, str)):
        return (one > other) - (one < other)
    return 0


def sorted_by(
    items: list[JsonValue], keys: Iterable[JsonValue], order: SortOrder
) -> list[JsonValue]:
    """The items in the order of their keys; equal ones stay as they are, in both directions."""
    sign = -1 if order == "desc" else 1
    pairs = sorted(
        zip(keys, items, strict=True),
        key=cmp_to_key(lambda one, other: sign * compare(one[0], other[0])),
    )
    return [item for _, item in pairs]


def member(item: JsonValue, key: str) -> JsonValue:
    """A member of an object; null of anything else."""
    return cast("dict[str, Any]", item).get(key) if isinstance(item, dict) else None


def part(items: list[JsonValue], start: int | None, end: int | None) -> list[JsonValue]:
    """Items from ``start`` to before ``end``; neither counts from the back."""
    return items[start or 0 : len(items) if end is None else end]


def flattened(items: list[JsonValue]) -> list[JsonValue]:
    """One level; what is no list stays as it is."""
    flat: list[JsonValue] = []
    for item in items:
        flat += cast("list[Any]", item) if isinstance(item, list) else [item]
    return flat


def unique(items: list[JsonValue]) -> list[JsonValue]:
    """The first of those that are the same JSON, whatever the order of their keys."""
    found: dict[str, JsonValue] = {}
    for item in items:
        found.setdefault(_canonical(item), item)
    return list(found.values())


def _canonical(item: JsonValue) -> str:
    return json.dumps(item, sort_keys=True, separators=(",", ":"))
