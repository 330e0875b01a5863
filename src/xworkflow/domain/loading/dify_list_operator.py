"""Dify's list-operator in the native spelling: its steps as one ``pipeline`` (spec/dify.md E2)."""

from __future__ import annotations

from typing import Any, Final, cast

from xworkflow.domain.loading.shapes import Object

_STEPS: Final = ("filter_by", "extract_by", "order_by", "limit")


def list_operator(data: Object) -> Object:
    """Changes the top level only. A step that is switched off is left out, whatever it holds."""
    if "variable" in data:
        data["input_selector"] = data.pop("variable")
    drawn = {step: data.pop(step, None) for step in _STEPS}
    data["pipeline"] = {step: part for step, part in drawn.items() if _is_on(part)}
    return data


def _is_on(part: Any) -> bool:  # noqa: ANN401 - whatever a file holds
    return isinstance(part, dict) and cast("Object", part).get("enabled") is True
