"""Named values that a node takes from the pool: ``[{variable, value_selector}]``."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from xworkflow.domain.selectors import Selector, SelectorField
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Values


class Binding(BaseModel):
    """One value under the name by which the node knows it (spec/graph.md 1.6)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    variable: str
    value_selector: SelectorField = Field(
        validation_alias=AliasChoices("value_selector", "variable_selector")
    )


def bound(bindings: Iterable[Binding], values: Values) -> dict[str, JsonValue]:
    """``{variable: value}``; a missing value is null, its key still there (CASE 108)."""
    return {binding.variable: values.get(binding.value_selector) for binding in bindings}


def binding_selectors(bindings: Iterable[Binding], field: str) -> Iterator[tuple[str, Selector]]:
    """(field path, selector) of each binding."""
    for index, binding in enumerate(bindings):
        yield f"{field}[{index}].value_selector", binding.value_selector
