"""``if-else``: takes the branch of the first case that is true, else ``false``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import ClassVar

from xworkflow.domain.conditions import ELSE, Case, select_case
from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class IfElseData(NodeData):
    """``cases`` are tried in order (spec/graph.md 4)."""

    cases: tuple[Case, ...]


@node_type
class IfElse(InlineNode[IfElseData]):
    """Outputs ``selected_case``; in Dify's dialect ``result`` and ``selected_case_id``.

    A type mismatch (a number compared with something else) is no failure: it takes ``false``.
    """

    type: ClassVar[str] = "if-else"
    data_model = IfElseData

    def selectors(self, node: Node[IfElseData]) -> Iterator[tuple[str, Selector]]:
        for i, case in enumerate(node.data.cases):
            for j, condition in enumerate(case.conditions):
                yield f"cases[{i}].conditions[{j}].variable_selector", condition.variable_selector

    def hidden_reads(self, node: Node[IfElseData]) -> Iterator[Selector]:
        """What the expected values of Dify's dialect refer to."""
        for case in node.data.cases:
            for condition in case.conditions:
                for text in condition.texts():
                    yield from references(text, node.dialect)

    def handles(self, node: Node[IfElseData]) -> tuple[str, ...]:
        return (*(case.case_id for case in node.data.cases), ELSE)

    def check(self, node: Node[IfElseData]) -> Iterator[Diagnostic]:
        cases = node.data.cases
        if not cases:
            yield finding("E204", "if-else has no cases", node=node.id, field="cases")
        for index, case in enumerate(cases):
            if not case.conditions:
                yield finding(
                    "E205",
                    f"case '{case.case_id}' has no conditions",
                    node=node.id,
                    field=f"cases[{index}].conditions",
                )
        for case_id, count in Counter(case.case_id for case in cases).items():
            if count > 1:
                yield finding(
                    "E206", f"case id '{case_id}' is used twice", node=node.id, field="cases"
                )

    def run(self, node: Node[IfElseData], values: Values) -> NodeRunResult:
        selected, mismatch = select_case(node.data.cases, values.get, node.dialect)
        return NodeRunResult(
            outputs={"selected_case": selected}
            if node.dialect == "native"
            else {"result": selected != ELSE, "selected_case_id": selected},
            metadata={"condition_mismatch": str(mismatch)} if mismatch else {},
            edge_source_handle=selected,
        )
