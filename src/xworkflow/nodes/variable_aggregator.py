"""``variable-aggregator``: the first value that is there, of branches of which one ran."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorField
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class AggregatorGroup(BaseModel):
    """One of several independent choices of one node (Dify)."""

    model_config = ConfigDict(frozen=True, extra="allow")

    group_name: str
    variables: tuple[SelectorField, ...] = ()


class VariableAggregatorData(NodeData):
    """With ``groups``, each of them chooses for itself and ``variables`` is not used."""

    variables: tuple[SelectorField, ...] = ()
    groups: tuple[AggregatorGroup, ...] = ()


@node_type
class VariableAggregator(InlineNode[VariableAggregatorData]):
    """Outputs ``output``: the first value that is not null; an empty text counts (CASE 107).

    With groups: ``{group_name: {"output": value}}``, so that ``[node, group, output]`` reads it.
    """

    type: ClassVar[str] = "variable-aggregator"
    aliases = ("variable-assigner",)
    data_model = VariableAggregatorData

    def selectors(self, node: Node[VariableAggregatorData]) -> Iterator[tuple[str, Selector]]:
        if not node.data.groups:
            yield from _selectors(node.data.variables, "variables")
        for index, group in enumerate(node.data.groups):
            yield from _selectors(group.variables, f"groups[{index}].variables")

    def check(self, node: Node[VariableAggregatorData]) -> Iterator[Diagnostic]:
        # the old name has no such rule: CASE 167 draws one without variables
        if node.type == self.type and not (node.data.variables or node.data.groups):
            yield finding("E215", "nothing to aggregate", node=node.id, field="variables")

    def run(self, node: Node[VariableAggregatorData], values: Values) -> NodeRunResult:
        data = node.data
        if not data.groups:
            return NodeRunResult(outputs={"output": _first(data.variables, values)})
        return NodeRunResult(
            outputs={g.group_name: {"output": _first(g.variables, values)} for g in data.groups}
        )


def _selectors(selectors: Iterable[Selector], field: str) -> Iterator[tuple[str, Selector]]:
    for index, selector in enumerate(selectors):
        yield f"{field}[{index}]", selector


def _first(selectors: Iterable[Selector], values: Values) -> JsonValue:
    found = (values.get(selector) for selector in selectors)
    return next((value for value in found if value is not None), None)
