"""Reading what a sandbox process sends: it is not trusted, nor is the script behind it."""

from __future__ import annotations

import json
from collections.abc import Iterable
from math import isfinite
from typing import Any, Final, cast

from xworkflow.domain.values import JsonValue
from xworkflow.runtime_group.sandbox import failures

MAX_DEPTH: Final = 200
"""Nesting of a result. The models that carry it onwards refuse to go deeper than 255."""

_INT64: Final = 2**63
_INT64_DIGITS: Final = 19


def read_reply(frame: bytes) -> dict[str, Any]:
    """The JSON object in a frame, with values as the variable pool holds them.

    Raises SandboxError when it is nested too deeply, ValueError when it is no such object.
    """
    try:
        reply: JsonValue = json.loads(
            frame, parse_int=_pool_number, parse_float=_finite, parse_constant=_null
        )
    except RecursionError:
        raise failures.nested_too_deeply() from None
    if not isinstance(reply, dict):
        raise ValueError("a reply is a JSON object")  # noqa: TRY004 - bad data, not a bad call
    if frame.count(b"[") + frame.count(b"{") > MAX_DEPTH and _depth(reply) > MAX_DEPTH + 1:
        raise failures.nested_too_deeply()
    if b"\\ud" in frame or b"\\uD" in frame:
        return _well_formed(reply)
    return cast("dict[str, Any]", reply)


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
    """NaN and infinities are no JSON; our engines send null for them."""


def _depth(value: JsonValue) -> int:
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


def _well_formed(value: JsonValue) -> JsonValue:
    """Replace halves of surrogate pairs, which JavaScript texts may hold and UTF-8 cannot."""
    if isinstance(value, str):
        return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    if isinstance(value, list):
        return [_well_formed(item) for item in cast("list[JsonValue]", value)]
    if isinstance(value, dict):
        items = cast("dict[str, JsonValue]", value).items()
        return {_well_formed(key): _well_formed(item) for key, item in items}
    return value
