"""``template-transform``: a Jinja2 template over declared variables."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.errors import NodeError
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values, WorkNode
from xworkflow.nodes.bindings import Binding, binding_selectors, bound
from xworkflow.nodes.registry import node_type
from xworkflow.ports import Ports, SandboxLimits

MAX_DIFY_OUTPUT_LENGTH = 400_000
"""Dify's own limit, in characters (spec/dify.md E1)."""


class TemplateTransformData(NodeData):
    template: str
    variables: tuple[Binding, ...] = ()


@node_type
class TemplateTransform(InlineNode[TemplateTransformData], WorkNode[TemplateTransformData]):
    """Outputs ``output: str``. Inline when its cost is bounded beforehand, else in a sandbox."""

    type: ClassVar[str] = "template-transform"
    sub_graph_aliases = ("template",)
    data_model = TemplateTransformData
    placement = Placement.LOCAL

    def place(self, node: Node[TemplateTransformData]) -> Placement:
        return Placement.INLINE if is_bounded(node.data.template) else Placement.LOCAL

    def selectors(self, node: Node[TemplateTransformData]) -> Iterator[tuple[str, Selector]]:
        return binding_selectors(node.data.variables, "variables")

    def check(self, node: Node[TemplateTransformData]) -> Iterator[Diagnostic]:
        if not node.data.template.strip():
            yield finding("E210", "the template is empty", node=node.id, field="template")
            return
        problem = syntax_error(node.data.template)
        if problem is not None:
            where = f" (line {problem.line} of the template)" if problem.line else ""
            yield finding("E501", problem.message + where, node=node.id, field="template")

    def run(self, node: Node[TemplateTransformData], values: Values) -> NodeRunResult:
        variables = bound(node.data.variables, values)
        cap = SandboxLimits().max_output_bytes
        text = render(node.data.template, variables, node.dialect, max_output_bytes=cap)
        return NodeRunResult(inputs=variables, outputs={"output": _checked(text, node.dialect)})

    async def execute(
        self, node: Node[TemplateTransformData], values: Values, ports: Ports
    ) -> NodeRunResult:
        variables = bound(node.data.variables, values)
        async with ports.sandbox.template_vm() as vm:
            text = await vm.render(
                node.data.template, variables, node.dialect, ports.sandbox_limits
            )
        return NodeRunResult(inputs=variables, outputs={"output": _checked(text, node.dialect)})


def _checked(text: str, dialect: Dialect) -> str:
    if dialect == "dify" and len(text) > MAX_DIFY_OUTPUT_LENGTH:
        raise NodeError.of_kind(
            "template_error",
            f"the output is longer than {MAX_DIFY_OUTPUT_LENGTH} characters (it has {len(text)})",
        )
    return text
