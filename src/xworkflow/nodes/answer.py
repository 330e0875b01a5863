"""``answer``: a text with references, shown to the user and kept as an output of the run."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references, render, segments
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.streams import chunks_of, chunks_selector, pieces_at
from xworkflow.domain.values import JsonValue, display
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class AnswerData(NodeData):
    answer: str


@node_type
class Answer(InlineNode[AnswerData]):
    """Outputs ``answer: str``. ``strict_template`` does not apply to it (spec/graph.md 3.7).

    An answer that quotes a stream comes in pieces itself (5.5).
    """

    type: ClassVar[str] = "answer"
    data_model = AnswerData
    is_output = True

    def texts(self, node: Node[AnswerData]) -> Iterator[tuple[str, str]]:
        yield "answer", node.data.answer

    def quotes(self, node: Node[AnswerData]) -> tuple[Selector, ...]:
        return references(node.data.answer, node.dialect)

    def hidden_reads(self, node: Node[AnswerData]) -> Iterator[Selector]:
        if node.dialect == "native":
            yield from (chunks_selector(selector) for selector in self.quotes(node))

    def check(self, node: Node[AnswerData]) -> Iterator[Diagnostic]:
        if not node.data.answer.strip():
            yield finding("E203", "the answer is empty", node=node.id, field="answer")

    def run(self, node: Node[AnswerData], values: Values) -> NodeRunResult:
        text = render(node.data.answer, values.get, node.dialect)
        outputs: dict[str, JsonValue] = {"answer": text}
        if node.dialect == "native":
            outputs |= _chunks(node, values)
        return NodeRunResult(outputs=outputs)


def _chunks(node: Node[AnswerData], values: Values) -> dict[str, JsonValue]:
    """The pieces of an answer that quotes streams: theirs, and each text before one leads it."""
    pieces: list[str] = []
    lead = ""
    streams = False
    for segment in segments(node.data.answer, node.dialect):
        if isinstance(segment, str):
            lead += segment
        elif found := pieces_at(values.get, segment):
            streams = True
            pieces += [lead + found[0], *found[1:]]
            lead = ""
        else:
            lead += display(values.get(segment))
    if not streams:
        return {}
    return chunks_of("answer", [*pieces, lead] if lead else pieces)
