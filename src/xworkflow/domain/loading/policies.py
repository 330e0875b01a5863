"""What a node says of its own failures: error strategy, retries, time limit (6.2, 6.3).

A wrong one is a finding E217 at its node, which then loads without it.
"""

from __future__ import annotations

import math
from typing import Final, TypeVar, cast

from pydantic import BaseModel, ValidationError

from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import Object, ShapeError, as_object, list_at, string_at
from xworkflow.domain.loading.typed_values import TypedValueError, typed
from xworkflow.domain.schema import ErrorStrategy, RetryConfig
from xworkflow.domain.values import JsonValue, is_number

P = TypeVar("P", bound=BaseModel)

_SWITCHES: Final = ("retry_enabled", "enabled")
"""Dify's own switch, and the one of hand-written files."""


def policy(model: type[P], data: Object, key: str, node: str, findings: Findings) -> P | None:
    """A policy in the native object form; None where it is absent, null or wrong."""
    raw = data.get(key)
    return None if raw is None else _validated(model, raw, key, node, findings)


def timeout_of(data: Object, node: str, findings: Findings) -> float | None:
    """``timeout_secs``: seconds for each attempt; None where it is absent, null or wrong."""
    raw = data.get("timeout_secs")
    if raw is None or (is_number(raw) and 0 <= cast("float", raw) < math.inf):
        return raw
    findings.add(
        "E217", "timeout_secs must be a number of seconds", node=node, field="timeout_secs", at=data
    )
    return None


def dify_strategy(data: Object, node: str, findings: Findings) -> ErrorStrategy | None:
    """``error_strategy`` as a plain text, with the defaults beside it."""
    drawn = data.get("error_strategy")
    if drawn in (None, "", "none"):
        return None
    raw: JsonValue = drawn
    if isinstance(drawn, str):
        raw = {"type": drawn}
        if drawn == "default-value":
            raw["default_value"] = _dify_defaults(data, node, findings)
    return _validated(ErrorStrategy, raw, "error_strategy", node, findings)


def dify_retry(data: Object, node: str, findings: Findings) -> RetryConfig | None:
    """Retries when they are switched on. Dify retries whatever the error is."""
    raw = data.get("retry_config")
    if not isinstance(raw, dict):
        return policy(RetryConfig, data, "retry_config", node, findings)
    given = cast("Object", raw)
    if not any(given.get(switch) is True for switch in _SWITCHES):
        return None
    wanted = {k: v for k, v in given.items() if k in ("max_retries", "retry_interval")}
    return _validated(
        RetryConfig, {**wanted, "retry_on_retryable_only": False}, "retry_config", node, findings
    )


def _dify_defaults(data: Object, node: str, findings: Findings) -> dict[str, JsonValue]:
    """``[{key, type, value}]`` as a map of values of those types."""
    defaults: dict[str, JsonValue] = {}
    if data.get("default_value") is None:
        return defaults
    try:
        for index, item in enumerate(list_at(data, "default_value")):
            entry = as_object(item, f"default_value[{index}]")
            key = string_at(entry, "key")
            defaults[key] = typed(entry.get("value"), str(entry.get("type") or "string"))
    except (ShapeError, TypedValueError) as error:
        findings.add("E217", str(error), node=node, field="default_value", at=data)
    return defaults


def _validated(model: type[P], raw: JsonValue, key: str, node: str, findings: Findings) -> P | None:
    try:
        return model.model_validate(raw, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in (key, *first["loc"]))
        findings.add("E217", f"{field}: {first['msg']}", node=node, field=field, at=raw)
        return None
