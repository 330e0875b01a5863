"""The policies of a node as Dify exports them (spec/dify.md E1)."""

from __future__ import annotations

from typing import Final, cast

from xworkflow.domain.loading.policies import Policies
from xworkflow.domain.loading.shapes import Object, ShapeError, as_object, list_at, string_at
from xworkflow.domain.loading.typed_values import TypedValueError, typed
from xworkflow.domain.schema import ErrorStrategy, RetryConfig
from xworkflow.domain.values import JsonValue

_SWITCHES: Final = ("retry_enabled", "enabled")
"""Dify's own switch, and the one of hand-written files."""


class DifyPolicies(Policies):
    """The strategy is a plain text with its defaults beside it; retries have a switch."""

    def error_strategy(self) -> ErrorStrategy | None:
        drawn = self.data.get("error_strategy")
        if drawn in ("", "none"):
            return None
        if not isinstance(drawn, str):
            return super().error_strategy()
        defaults = self._defaults() if drawn == "default-value" else {}
        raw = {"type": drawn, "default_value": defaults}
        return self.validated(ErrorStrategy, "error_strategy", raw)

    def retry_config(self) -> RetryConfig | None:
        raw = self.data.get("retry_config")
        if not isinstance(raw, dict):
            return super().retry_config()
        given = cast("Object", raw)
        if not any(given.get(switch) is True for switch in _SWITCHES):
            return None
        # Dify tries again whatever the error is
        wanted: Object = {"retry_on_retryable_only": False}
        for key in ("max_retries", "retry_interval"):
            if given.get(key) is not None:
                wanted[key] = given[key]
        return self.validated(RetryConfig, "retry_config", wanted)

    def _defaults(self) -> dict[str, JsonValue]:
        """``[{key, type, value}]`` as a map of values of those types."""
        defaults: dict[str, JsonValue] = {}
        if self.data.get("default_value") is None:
            return defaults
        try:
            for index, item in enumerate(list_at(self.data, "default_value")):
                entry = as_object(item, f"default_value[{index}]")
                key = string_at(entry, "key")
                defaults[key] = typed(entry.get("value"), str(entry.get("type") or "string"))
        except (ShapeError, TypedValueError) as error:
            self.wrong("default_value", str(error))
        return defaults
