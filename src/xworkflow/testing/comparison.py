"""What came out of a run against what should have: strict JSON, a sentence for each difference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from xworkflow.domain.values import JsonValue, compact_json
from xworkflow.testing.cases import Expectation


def differences(
    expected: Expectation, status: str, outputs: Mapping[str, JsonValue], error: str
) -> list[str]:
    """What is not as expected; 4 is not 4.0 and null not absent. Empty when all is."""
    problems: list[str] = []
    if status != expected.status:
        problems.append(f"status: expected {expected.status}, got {status} {error}".rstrip())
    if expected.status != "failed":
        wanted = expected.expected_outputs()
        problems += _differing_outputs(wanted, outputs, partial=expected.partial_match)
    if expected.error_contains is not None and expected.error_contains not in error:
        problems.append(f"error: expected to contain {expected.error_contains!r}, got {error!r}")
    return problems


def _differing_outputs(
    wanted: Mapping[str, JsonValue], got: Mapping[str, JsonValue], *, partial: bool
) -> list[str]:
    problems = [
        f"output {key}: expected {compact_json(value)}, "
        f"got {compact_json(got[key]) if key in got else 'nothing'}"
        for key, value in wanted.items()
        if key not in got or not same_json(value, got[key])
    ]
    if not partial:
        extra = [key for key in got if key not in wanted]
        problems += [f"output {key}: not expected, got {compact_json(got[key])}" for key in extra]
    return problems


def same_json(one: JsonValue, other: JsonValue) -> bool:
    """Strict equality: types count, the order of keys does not."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        left, right = cast("dict[str, Any]", one), cast("dict[str, Any]", other)
        return left.keys() == right.keys() and all(same_json(v, right[k]) for k, v in left.items())
    if isinstance(one, list):
        first, second = cast("list[Any]", one), cast("list[Any]", other)
        return len(first) == len(second) and all(map(same_json, first, second))
    return bool(one == other)
