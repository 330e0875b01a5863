"""``template-transform``: a Jinja2 template over declared variables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.jinja import render, syntax_error
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.screen import is_bounded
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.streams import chunks_of, chunks_selector, merged, pieces_at
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values, WorkNode
from xworkflow.nodes.bindings import Binding, binding_selectors, bound
from xworkflow.nodes.registry import node_type
from xworkflow.ports import Ports, SandboxLimits

MAX_DIFY_OUTPUT_LENGTH = 400_000
"""Dify's own limit, in characters (spec/dify.md E1)."""
MAX_STEPS = 64
"""Renderings for each stream that a template quotes: it runs on the workflow thread."""


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

    def quotes(self, node: Node[TemplateTransformData]) -> Iterator[Selector]:
        return (binding.value_selector for binding in node.data.variables)

    def hidden_reads(self, node: Node[TemplateTransformData]) -> Iterator[Selector]:
        if node.dialect == "native":
            yield from (chunks_selector(selector) for selector in self.quotes(node))

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
        text = _checked(_rendered(node, variables), node.dialect)
        outputs: dict[str, JsonValue] = {"output": text}
        streams = _streams(node, values)
        if streams:
            outputs |= chunks_of("output", _pieces(node, variables, streams, text))
        return NodeRunResult(inputs=variables, outputs=outputs)

    async def execute(
        self, node: Node[TemplateTransformData], values: Values, ports: Ports
    ) -> NodeRunResult:
        """As ``run``, and a text that quotes streams comes in one piece: steps cost too much."""
        variables = bound(node.data.variables, values)
        async with ports.sandbox.template_vm() as vm:
            text = await vm.render(
                node.data.template, variables, node.dialect, ports.sandbox_limits
            )
        outputs: dict[str, JsonValue] = {"output": _checked(text, node.dialect)}
        if _streams(node, values):
            outputs |= chunks_of("output", [text])
        return NodeRunResult(inputs=variables, outputs=outputs)


def _rendered(node: Node[TemplateTransformData], variables: Mapping[str, JsonValue]) -> str:
    cap = SandboxLimits().max_output_bytes
    return render(node.data.template, variables, node.dialect, max_output_bytes=cap)


def _streams(node: Node[TemplateTransformData], values: Values) -> dict[str, list[str]]:
    """The pieces of the variables that came in pieces, in the order of the drawing."""
    if node.dialect != "native":
        return {}
    found = {b.variable: pieces_at(values.get, b.value_selector) for b in node.data.variables}
    return {name: merged(pieces, MAX_STEPS) for name, pieces in found.items() if pieces}


def _pieces(
    node: Node[TemplateTransformData],
    variables: Mapping[str, JsonValue],
    streams: Mapping[str, Sequence[str]],
    text: str,
) -> list[str]:
    """The pieces of the text while one stream after another comes (spec/graph.md 5.5).

    Of each rendering the part counts with which the whole text begins. (The reference sends a text
    again that does not go on where the last one ended; then pieces would not be the text.)
    """
    seen = {**variables, **dict.fromkeys(streams, "")}
    pieces: list[str] = []
    at = 0
    for name, parts in streams.items():
        for part in parts:
            seen[name] = f"{seen[name]}{part}"
            sure = _sure(node, seen, text)
            if sure > at:
                pieces.append(text[at:sure])
                at = sure
    return [*pieces, text[at:]] if at < len(text) or not pieces else pieces


def _sure(node: Node[TemplateTransformData], seen: Mapping[str, JsonValue], text: str) -> int:
    """With how much of what is rendered now the whole text begins."""
    try:
        now = _rendered(node, seen)
    except NodeError:
        return 0  # half a value may be none
    low, high = 0, min(len(now), len(text))
    while low < high:
        middle = (low + high + 1) // 2
        if text.startswith(now[:middle]):
            low = middle
        else:
            high = middle - 1
    return low


def _checked(text: str, dialect: Dialect) -> str:
    if dialect == "dify" and len(text) > MAX_DIFY_OUTPUT_LENGTH:
        raise NodeError.of_kind(
            "template_error",
            f"the output is longer than {MAX_DIFY_OUTPUT_LENGTH} characters (it has {len(text)})",
        )
    return text
