"""``assigner``: writes into variables outside of its own namespace, mostly conversation variables.

Two forms: the native one writes one variable (spec/graph.md 3.6), Dify's a list of operations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult, PoolWrite
from xworkflow.domain.selectors import Selector, SelectorField, parse_selector, show
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError
from xworkflow.nodes.assignments import (
    WITHOUT_OPERAND,
    AssignmentError,
    Operation,
    WriteMode,
    constant,
    operate,
    written,
)
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class AssignerItem(BaseModel):
    """One operation of Dify's form. With ``input_type: variable``, ``value`` is a selector."""

    model_config = ConfigDict(frozen=True, extra="allow")

    variable_selector: SelectorField
    operation: Operation
    input_type: Literal["variable", "constant"] = "variable"
    value: JsonValue = None

    @property
    def source(self) -> Selector | None:
        """The selector that the operand is read from; None for a constant or no operand."""
        if self.operation in WITHOUT_OPERAND or self.input_type == "constant":
            return None
        return parse_selector(self.value)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _ = self.source
        return self


class AssignerData(NodeData):
    """Either ``assigned_variable_selector`` and how to write it, or ``items``."""

    assigned_variable_selector: SelectorField | None = None
    input_variable_selector: SelectorField | None = None
    value: JsonValue = None
    write_mode: WriteMode = "overwrite"
    items: tuple[AssignerItem, ...] | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.assigned_variable_selector is None and self.items is None:
            raise ValueError("assigned_variable_selector is missing")
        return self


@node_type
class Assigner(InlineNode[AssignerData]):
    """Outputs ``output``, ``write_mode`` and ``assigned_variable_selector``; Dify's form none."""

    type: ClassVar[str] = "assigner"
    data_model = AssignerData

    def selectors(self, node: Node[AssignerData]) -> Iterator[tuple[str, Selector]]:
        data = node.data
        if data.items is not None:
            for index, item in enumerate(data.items):
                yield f"items[{index}].variable_selector", item.variable_selector
                if item.source is not None:
                    yield f"items[{index}].value", item.source
            return
        for field in ("assigned_variable_selector", "input_variable_selector"):
            selector: Selector | None = getattr(data, field)
            if selector is not None:
                yield field, selector

    def rewrites(self, node: Node[AssignerData]) -> Iterator[Selector]:
        for item in node.data.items or ():
            yield item.variable_selector
        if node.data.items is None and node.data.assigned_variable_selector is not None:
            yield node.data.assigned_variable_selector

    def run(self, node: Node[AssignerData], values: Values) -> NodeRunResult:
        data = node.data
        if data.items is not None:
            return NodeRunResult(writes=_operations(data.items, values))
        assert data.assigned_variable_selector is not None  # noqa: S101 - see _one_form
        return _single(data, data.assigned_variable_selector, values)


def _single(data: AssignerData, target: Selector, values: Values) -> NodeRunResult:
    source = data.input_variable_selector
    value = data.value if source is None else values.get(source)
    result = written(data.write_mode, values.get(target), value)
    return NodeRunResult(
        inputs={"value": value},
        outputs={
            "output": result,
            "write_mode": data.write_mode,
            "assigned_variable_selector": list(target),
        },
        writes=(PoolWrite(selector=target, value=result),),
    )


def _operations(items: tuple[AssignerItem, ...], values: Values) -> tuple[PoolWrite, ...]:
    """The writes of all items; each item sees what those before it wrote."""
    draft = _Draft(values)
    for item in items:
        try:
            result = _operated(item, draft)
        except AssignmentError as error:
            where = show(item.variable_selector)
            raise NodeError.of_kind("type_error", f"{item.operation} {where}: {error}") from None
        draft.write(item.variable_selector, result)
    return draft.writes


def _operated(item: AssignerItem, draft: _Draft) -> JsonValue:
    old, source = draft.get(item.variable_selector), item.source
    if source is not None:
        return operate(item.operation, old, draft.get(source))
    return operate(item.operation, old, constant(item.operation, old, item.value))


class _Draft:
    """Values as they will be once the writes are applied."""

    def __init__(self, values: Values) -> None:
        self._values = values
        self._written = VariablePool()
        self._writes: dict[Selector, JsonValue] = {}

    def get(self, selector: Selector) -> JsonValue:
        changed = selector[1] in self._written.namespace(selector[0])
        return (self._written if changed else self._values).get(selector)

    def write(self, selector: Selector, value: JsonValue) -> None:
        whole = selector[:2]
        if selector != whole:
            self._written = self._written.set(whole, self.get(whole))
        self._written = self._written.set(selector, value)
        self._writes[selector] = value

    @property
    def writes(self) -> tuple[PoolWrite, ...]:
        return tuple(PoolWrite(selector=s, value=v) for s, v in self._writes.items())
