"""``answer``: a text with references, shown to the user and kept as an output of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import render
from xworkflow.domain.results import NodeRunResult
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class AnswerData(NodeData):
    answer: str


@node_type
class Answer(InlineNode[AnswerData]):
    """Outputs ``answer: str``. ``strict_template`` does not apply to it (spec/graph.md 3.7)."""

    type: ClassVar[str] = "answer"
    data_model = AnswerData
    is_output = True

    def texts(self, node: Node[AnswerData]) -> Iterator[tuple[str, str]]:
        yield "answer", node.data.answer

    def check(self, node: Node[AnswerData]) -> Iterator[Diagnostic]:
        if not node.data.answer.strip():
            yield finding("E203", "the answer is empty", node=node.id, field="answer")

    def run(self, node: Node[AnswerData], values: Values) -> NodeRunResult:
        return NodeRunResult(outputs={"answer": render(node.data.answer, values.get, node.dialect)})
