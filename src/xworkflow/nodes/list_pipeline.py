"""Dify's list-operator: filter, extract, order, limit, in this order (spec/dify.md E2)."""

from __future__ import annotations

from typing import Any, Literal, cast

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.conditions import SubCondition, compare_with
from xworkflow.domain.placeholders import Lookup, render
from xworkflow.domain.pool import file_attribute
from xworkflow.domain.values import JsonValue, is_file
from xworkflow.errors import NodeError
from xworkflow.nodes.list_operations import member, sorted_by
from xworkflow.nodes.numbers import parse_number


class _Step(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class FilterCondition(SubCondition):
    """``key`` is an attribute of a file or a member of an object; other items have none."""

    key: str = ""


class FilterBy(_Step):
    """An item stays when all conditions hold."""

    conditions: tuple[FilterCondition, ...] = ()


class ExtractBy(_Step):
    """``serial`` counts from 1, and may hold ``{{#…#}}`` references."""

    serial: str | int = "1"


class OrderBy(_Step):
    key: str | None = ""
    value: Literal["asc", "desc"] = "asc"


class Limit(_Step):
    size: int = 10


class Pipeline(_Step):
    """The steps that are switched on."""

    filter_by: FilterBy | None = None
    extract_by: ExtractBy | None = None
    order_by: OrderBy | None = None
    limit: Limit | None = None

    def apply(self, items: list[JsonValue], get: Lookup) -> list[JsonValue]:
        """The items that are left. Raises NodeError for a serial number that leads nowhere."""
        if not items:
            return []
        if self.filter_by is not None:
            items = [item for item in items if _passes(item, self.filter_by, get)]
        if self.extract_by is not None:
            items = [_extracted(items, str(self.extract_by.serial), get)]
        if self.order_by is not None:
            keys = [_attribute(item, self.order_by.key or "") for item in items]
            items = sorted_by(items, keys, self.order_by.value)
        if self.limit is not None:
            items = items[: max(self.limit.size, 0)]
        return items


def _passes(item: JsonValue, filter_by: FilterBy, get: Lookup) -> bool:
    """A comparison with something else than a number does not hold."""
    return all(
        compare_with(condition, _attribute(item, condition.key), get) is True
        for condition in filter_by.conditions
    )


def _attribute(item: JsonValue, key: str) -> JsonValue:
    if is_file(item):
        return file_attribute(cast("dict[str, Any]", item), key)
    return member(item, key) if isinstance(item, dict) else item


def _extracted(items: list[JsonValue], serial: str, get: Lookup) -> JsonValue:
    text = render(serial, get, "dify").strip()
    number = parse_number(text)
    if not isinstance(number, int):
        raise _misplaced(f"'{text}' is no whole number")
    if not 1 <= number <= len(items):
        raise _misplaced(f"{number} is not within 1 and {len(items)}")
    return items[number - 1]


def _misplaced(problem: str) -> NodeError:
    return NodeError.of_kind("execution_error", f"extract_by.serial: {problem}")
