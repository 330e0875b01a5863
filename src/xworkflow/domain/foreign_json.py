"""JSON that somebody else wrote (a model, a server, a script), as values of the variable pool.

What JSON can spell and the pool, or the way through Temporal, cannot hold: integers beyond 64 bits
become floats, infinities and NaN null, halves of surrogate pairs U+FFFD; and what is nested too
deeply is refused.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, cast

from xworkflow.domain.values import HALF_A_PAIR, MAX_DEPTH, JsonValue

_INT64: Final = 2**63
_INT64_DIGITS: Final = 19


class NestedTooDeeply(ValueError):  # noqa: N818 - a verdict on the text, not a fault of ours
    """Arrays and objects lie in one another, more than ``max_depth`` of them."""


def read_json(text: str | bytes, *, max_depth: int = MAX_DEPTH) -> JsonValue:
    """The value that a JSON text spells. Raises ValueError for one that is none, or too deep."""
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text), "replace")
    try:
        value: JsonValue = json.loads(
            text, parse_int=_pool_number, parse_float=_finite, parse_constant=_null
        )
    except RecursionError:
        raise NestedTooDeeply(f"nested deeper than {max_depth} levels") from None
    if text.count("[") + text.count("{") > max_depth and depth_of(value) > max_depth:
        raise NestedTooDeeply(f"nested deeper than {max_depth} levels")
    return well_formed(value) if _may_hold_halves(text) else value


def well_formed(value: JsonValue) -> JsonValue:
    """The value without halves of surrogate pairs, which UTF-8 cannot spell."""
    if isinstance(value, str):
        return (
            value
            if value.isascii()
            else value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        )
    if isinstance(value, list):
        return [well_formed(item) for item in cast("list[Any]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
        return {well_formed(key): well_formed(item) for key, item in items}
    return value


def _may_hold_halves(text: str) -> bool:
    escaped = "\\ud" in text or "\\uD" in text
    return escaped or (not text.isascii() and HALF_A_PAIR.search(text) is not None)


def _pool_number(digits: str) -> int | float | None:
    """Whole numbers beyond 64 bits are floats in the variable pool."""
    if len(digits) > _INT64_DIGITS + 1:
        return _finite(digits)
    number = int(digits)
    return number if -_INT64 <= number < _INT64 else float(number)


def _finite(digits: str) -> float | None:
    """Null for a number that no float can hold: ``1e999``."""
    number = float(digits)
    return number if isfinite(number) else None


def _null(_name: str) -> None:
    """NaN and infinities are no JSON."""


def depth_of(value: JsonValue) -> int:
    """How many arrays and objects lie inside one another."""
    depth = 0
    level = _containers([value])
    while level:
        depth += 1
        level = _containers([inner for item in level for inner in _members(item)])
    return depth


def _containers(values: list[JsonValue]) -> list[JsonValue]:
    return [value for value in values if isinstance(value, (list, dict))]


def _members(container: JsonValue) -> Iterable[JsonValue]:
    if isinstance(container, dict):
        return cast("dict[str, JsonValue]", container).values()
    return container
