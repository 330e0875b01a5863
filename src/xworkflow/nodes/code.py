"""``code``: a script's ``main`` in a sandbox process (spec/runtime.md 2.1)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any, ClassVar, cast

from pydantic import Field

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorField
from xworkflow.domain.streams import chunks_of, chunks_selector, pieces_at
from xworkflow.domain.values import JsonValue, display, kind_of
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import Node, NodeData, Values, WorkNode
from xworkflow.nodes.bindings import Binding, binding_selectors, bound
from xworkflow.nodes.code_outputs import OutputSpec, declared
from xworkflow.nodes.registry import node_type
from xworkflow.ports import CodeResult, Language, Ports

DEFAULT_TIMEOUT_SECS = 30.0
STREAM_OUTPUT = "output"
"""The output of a script that listens to pieces."""
_CALLBACK = "on_chunk"

LANGUAGES: Mapping[str, Language] = MappingProxyType(
    {
        "javascript": "javascript",
        "js": "javascript",
        "javascript3": "javascript",
        "typescript": "typescript",
        "ts": "typescript",
        "python": "python",
        "python3": "python",
        "wasm": "wasm",
    }
)
"""What runs. Validation is stricter (E208): it takes only ``DRAWN_LANGUAGES``, and TypeScript."""
DRAWN_LANGUAGES = ("javascript", "wasm", "python3")
_SCRIPTED = ("javascript", "typescript")


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

    A native script in JavaScript may ask for the pieces of a text that came in pieces:
    ``inputs.text.on_chunk(fn)``, ``.on_end(fn)``, ``.on_error(fn)``. What the callbacks give last
    is one more output, ``output``. Without ``on_chunk`` it gets the whole text.

    ``language`` is ``javascript``, ``typescript`` (the worker needs the extra ``typescript``),
    ``python3`` or ``wasm``. TypeScript's types are left out and never checked; enums, namespaces,
    parameter properties, decorators and ``<T>x`` casts are refused with their place.
    """

    type: ClassVar[str] = "code"
    data_model = CodeData
    placement = Placement.LOCAL

    def selectors(self, node: Node[CodeData]) -> Iterator[tuple[str, Selector]]:
        yield from binding_selectors(node.data.variables, "variables")
        for name, selector in node.data.inputs.items():
            yield f"inputs.{name}", selector

    def hidden_reads(self, node: Node[CodeData]) -> Iterator[Selector]:
        if _may_listen(node):
            for selector in _sources(node.data).values():
                yield chunks_selector(selector)

    def check(self, node: Node[CodeData]) -> Iterator[Diagnostic]:
        language = node.data.language
        if not node.data.code.strip():
            yield finding("E207", "the code is empty", node=node.id, field="code")
        if language not in DRAWN_LANGUAGES and LANGUAGES.get(language) != "typescript":
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
        result = await _run(data, inputs, _streams(node, values), ports)
        outputs = _outputs(node, result.value)
        if result.chunks is not None:
            outputs |= _streamed(result.chunks)
        return NodeRunResult(
            inputs=inputs,
            outputs=outputs,
            metadata={"stdout": result.stdout} if result.stdout else {},
        )


def _sources(data: CodeData) -> dict[str, Selector]:
    """Where each input comes from, in the order in which streams are played."""
    return {b.variable: b.value_selector for b in data.variables} | data.inputs


def _may_listen(node: Node[CodeData]) -> bool:
    """Whether the script may ask for pieces; Dify's never do."""
    data = node.data
    is_native_js = node.dialect == "native" and LANGUAGES.get(data.language) in _SCRIPTED
    return is_native_js and _CALLBACK in data.code


def _streams(node: Node[CodeData], values: Values) -> dict[str, tuple[str, ...]]:
    """The inputs that came in pieces; none for a script that does not ask for any."""
    if not _may_listen(node):
        return {}
    found = {name: pieces_at(values.get, source) for name, source in _sources(node.data).items()}
    return {name: pieces for name, pieces in found.items() if pieces is not None}


def _streamed(chunks: tuple[JsonValue, ...]) -> dict[str, JsonValue]:
    """The stream that the callbacks made: its value is the last thing that they gave."""
    outputs: dict[str, JsonValue] = {STREAM_OUTPUT: chunks[-1] if chunks else None}
    pieces = [display(chunk) for chunk in chunks]
    if "".join(pieces) == outputs[STREAM_OUTPUT]:
        outputs |= chunks_of(STREAM_OUTPUT, pieces)
    return outputs


async def _run(
    data: CodeData,
    inputs: Mapping[str, JsonValue],
    streams: Mapping[str, Sequence[str]],
    ports: Ports,
) -> CodeResult:
    """Run the script in a VM of its language, lent for this one use. Raises SandboxError."""
    limits = replace(ports.sandbox_limits, timeout_secs=data.timeout or DEFAULT_TIMEOUT_SECS)
    match LANGUAGES.get(data.language):
        case "javascript":
            lent = ports.sandbox.js_vm()
            if streams:
                async with lent as js:
                    return await js.execute(data.code, inputs, limits, streams=streams)
        case "typescript":
            pieces = streams or None
            async with ports.sandbox.js_vm() as js:
                return await js.execute(data.code, inputs, limits, streams=pieces, typescript=True)
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
