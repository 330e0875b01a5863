"""``code``: a script's ``main`` in a sandbox process (spec/runtime.md 2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, cast

from pydantic import Field

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorField
from xworkflow.domain.values import JsonValue, kind_of
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import Node, NodeData, Values, WorkNode
from xworkflow.nodes.bindings import Binding, binding_selectors, bound
from xworkflow.nodes.code_outputs import OutputSpec, declared
from xworkflow.nodes.registry import node_type
from xworkflow.ports import CodeResult, Language, Ports

DEFAULT_TIMEOUT_SECS = 30.0

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "javascript": "javascript",
        "js": "javascript",
        "javascript3": "javascript",
        "python": "python",
        "python3": "python",
        "wasm": "wasm",
    }
)
"""What runs. Validation is stricter (E208): it takes only the names in ``DRAWN_LANGUAGES``."""
DRAWN_LANGUAGES = ("javascript", "wasm", "python3")


class CodeData(NodeData):
    """``inputs`` is another form of ``variables`` and overrides it. ``timeout`` is seconds."""

    code: str = ""
    language: str = "javascript"
    variables: tuple[Binding, ...] = ()
    inputs: dict[str, SelectorField] = Field(default_factory=dict[str, SelectorField])
    outputs: dict[str, OutputSpec] | None = None
    output_variable: str | None = None
    timeout: float | None = Field(default=None, ge=0)


@node_type
class Code(WorkNode[CodeData]):
    """Outputs what ``main`` returns: one key per member of an object, anything else as ``result``.

    With ``output_variable`` the whole value goes to that one output. Dify's dialect wants an object
    with the declared outputs.
    """

    type: ClassVar[str] = "code"
    data_model = CodeData
    placement = Placement.LOCAL

    def selectors(self, node: Node[CodeData]) -> Iterator[tuple[str, Selector]]:
        yield from binding_selectors(node.data.variables, "variables")
        for name, selector in node.data.inputs.items():
            yield f"inputs.{name}", selector

    def check(self, node: Node[CodeData]) -> Iterator[Diagnostic]:
        language = node.data.language
        if not node.data.code.strip():
            yield finding("E207", "the code is empty", node=node.id, field="code")
        if language not in DRAWN_LANGUAGES:
            yield finding(
                "E208",
                f"unknown language '{language}'; there are {', '.join(DRAWN_LANGUAGES)}",
                node=node.id,
                field="language",
            )
        elif language == "python3" and node.dialect == "native":
            yield finding(
                "W201",
                "python3 runs in a restricted interpreter, without all of the standard library",
                node=node.id,
                field="language",
            )

    async def execute(self, node: Node[CodeData], values: Values, ports: Ports) -> NodeRunResult:
        data = node.data
        inputs = bound(data.variables, values)
        inputs |= {name: values.get(selector) for name, selector in data.inputs.items()}
        result = await _run(data, inputs, ports)
        return NodeRunResult(
            inputs=inputs,
            outputs=_outputs(node, result.value),
            metadata={"stdout": result.stdout} if result.stdout else {},
        )


async def _run(data: CodeData, inputs: Mapping[str, JsonValue], ports: Ports) -> CodeResult:
    """Run the script in a VM of its language, lent for this one use. Raises SandboxError."""
    limits = replace(ports.sandbox_limits, timeout_secs=data.timeout or DEFAULT_TIMEOUT_SECS)
    match LANGUAGES.get(data.language):
        case "javascript":
            lent = ports.sandbox.js_vm()
        case "python":
            lent = ports.sandbox.python_vm()
        case "wasm":
            lent = ports.sandbox.wasm_vm()
        case None:
            raise NodeError.of_kind("config_error", f"Unsupported code language: {data.language}")
    async with lent as vm:
        return await vm.execute(data.code, inputs, limits)


def _outputs(node: Node[CodeData], value: JsonValue) -> dict[str, JsonValue]:
    """The return value as outputs (spec/runtime.md 2.1)."""
    data = node.data
    if data.output_variable:
        return {data.output_variable: value}
    if node.dialect == "dify" and data.outputs:
        return declared(data.outputs, _object(value))
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {"result": value}


def _object(value: JsonValue) -> dict[str, JsonValue]:
    if isinstance(value, dict):
        return cast("dict[str, Any]", value)
    raise NodeError(
        NodeFailure(
            code="output_validation_error",
            text=f"Output validation error: main must return an object, not {kind_of(value)}",
        )
    )
