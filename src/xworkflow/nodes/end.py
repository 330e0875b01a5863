"""``end``: names the outputs of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.bindings import Binding, binding_selectors, bound
from xworkflow.nodes.registry import node_type


class EndData(NodeData):
    """``outputs`` may be absent: the run then ends with none (CASE 131_compiler)."""

    outputs: tuple[Binding, ...] = ()


@node_type
class End(InlineNode[EndData]):
    """Outputs one key per declared output; what is missing is null (CASE 108)."""

    type: ClassVar[str] = "end"
    data_model = EndData
    is_output = True

    def selectors(self, node: Node[EndData]) -> Iterator[tuple[str, Selector]]:
        return binding_selectors(node.data.outputs, "outputs")

    def run(self, node: Node[EndData], values: Values) -> NodeRunResult:
        outputs = bound(node.data.outputs, values)
        return NodeRunResult(inputs=outputs, outputs=outputs)
