"""``llm``: asks a chat model once, for an answer in one piece or in many (spec/runtime.md 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from xworkflow.domain.chat import ChatRequest, ChatResponse, Message
from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.jinja import syntax_error
from xworkflow.domain.placeholders import references
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorError, check_depth
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Node, Values, WorkNode
from xworkflow.nodes.bindings import binding_selectors
from xworkflow.nodes.llm_answer import Visible, separated, structured
from xworkflow.nodes.llm_data import LlmData
from xworkflow.nodes.model_credentials import credentials_for
from xworkflow.nodes.prompt_dify import QUERY, dify_prompt
from xworkflow.nodes.prompt_native import native_prompt
from xworkflow.nodes.registry import node_type
from xworkflow.ports import (
    DeltaSink,
    HttpClient,
    LlmProvider,
    OnDelta,
    Ports,
    StreamingLlmProvider,
)


@node_type
class Llm(WorkNode[LlmData]):
    """Outputs ``text: str`` and ``usage: object``.

    In Dify's dialect also ``finish_reason``, ``reasoning_content`` and, where a schema is drawn,
    ``structured_output``. With ``stream`` (in Dify's dialect: whenever somebody reads along) the
    answer comes in pieces. It is the same answer, and a stream that fails fails the node.
    """

    type: ClassVar[str] = "llm"
    data_model = LlmData
    placement = Placement.ACTIVITY

    def texts(self, node: Node[LlmData]) -> Iterator[tuple[str, str]]:
        """In Dify's dialect only: the native rules leave prompts alone (spec/graph.md 2.2)."""
        if node.dialect == "dify":
            yield from _texts(node.data)

    def hidden_reads(self, node: Node[LlmData]) -> Iterator[Selector]:
        for _, text in _texts(node.data):
            yield from references(text, node.dialect)
        for _, selector in _selectors(node.data):
            yield selector
        # secret variables alone are filled in there, and by the activity: never a prompt
        for credential in node.data.model.credentials.values():
            yield from references(credential, node.dialect)
        if node.dialect == "dify":
            yield QUERY

    def streams(self, node: Node[LlmData]) -> bool:
        return node.data.stream or node.dialect == "dify"

    def check(self, node: Node[LlmData]) -> Iterator[Diagnostic]:
        for field, selector in _selectors(node.data):
            try:
                check_depth(selector, node.dialect)
            except SelectorError as error:
                yield finding("E217", f"{field}: {error}", node=node.id, field=field)
        for index, message in enumerate(node.data.prompt_template):
            problem = syntax_error(message.template or "") if node.dialect == "dify" else None
            if problem is not None:
                field = f"prompt_template[{index}].jinja2_text"
                yield finding("E501", problem.message, node=node.id, field=field)

    async def execute(self, node: Node[LlmData], values: Values, ports: Ports) -> NodeRunResult:
        data = node.data
        provider = ports.llm.get(data.model.provider)
        prompt = native_prompt if node.dialect == "native" else dify_prompt
        messages = await prompt(node, values, ports)
        credentials = await credentials_for(data.model, provider.id(), node.id, ports)
        request = _request(data, messages, credentials, ports.idempotency_key)
        if not (ports.stream if node.dialect == "dify" else data.stream):
            response = await provider.chat_completion(request, ports.http)
            outputs = _outputs(node, response)
        else:
            pieces = _Pieces(node, ports.deltas)
            response = await _streamed(provider, request, ports.http, pieces.take)
            outputs = _outputs(node, response)
            outputs |= pieces.chunks(outputs["text"])
        return NodeRunResult(
            outputs=outputs,
            metadata={"model": response.model, "provider": data.model.provider},
            llm_usage=response.usage,
        )


class _Pieces:
    """The pieces of one answer: on their way to whoever reads along, and kept for the result."""

    def __init__(self, node: Node[LlmData], deltas: DeltaSink | None) -> None:
        self._visible = Visible() if _hides_reasoning(node) else None
        self._deltas = deltas
        self._pieces: list[str] = []

    def take(self, piece: str) -> None:
        if self._visible is not None:
            piece = self._visible.of(piece)
            if not piece:
                return  # a thought, or what may become one
        self._pieces.append(piece)
        if self._deltas is not None:
            self._deltas.put("text", piece)

    def chunks(self, text: str) -> dict[str, JsonValue]:
        """The output that holds the lengths. What the filter held back ends the last piece."""
        shown = "".join(self._pieces)
        if shown != text and text.startswith(shown):
            self._pieces.append(text.removeprefix(shown))
        return chunks_of("text", self._pieces) if "".join(self._pieces) == text else {}


async def _streamed(
    provider: LlmProvider, request: ChatRequest, http: HttpClient, on_delta: OnDelta
) -> ChatResponse:
    if isinstance(provider, StreamingLlmProvider):
        return await provider.chat_completion_stream(request, http, on_delta)
    response = await provider.chat_completion(request, http)
    on_delta(response.content)
    return response


def _hides_reasoning(node: Node[LlmData]) -> bool:
    return node.dialect == "dify" and node.data.reasoning_format == "separated"


def _texts(data: LlmData) -> Iterator[tuple[str, str]]:
    """(field path, text) of all texts with ``{{#…#}}`` references."""
    for index, message in enumerate(data.prompt_template):
        yield f"prompt_template[{index}].text", message.text
    if data.memory is not None:
        yield "memory.query_prompt_template", data.memory.query_prompt_template


def _selectors(data: LlmData) -> Iterator[tuple[str, Selector]]:
    """(field path, selector) of what is switched on: a switched-off part keeps its old one."""
    parts = {"context": data.context, "vision": data.vision, "memory": data.memory}
    for name, part in parts.items():
        if part is not None and part.enabled and part.variable_selector is not None:
            yield f"{name}.variable_selector", part.variable_selector
    if data.prompt_config is not None:
        variables = data.prompt_config.jinja2_variables
        yield from binding_selectors(variables, "prompt_config.jinja2_variables")


def _request(
    data: LlmData, messages: tuple[Message, ...], credentials: Mapping[str, str], key: str
) -> ChatRequest:
    params = data.model.completion_params
    others = params.others
    if data.output_schema is not None:
        schema = {"name": "output", "schema": data.output_schema}
        others["response_format"] = {"type": "json_schema", "json_schema": schema}
    return ChatRequest(
        model=data.model.name,
        messages=messages,
        temperature=params.temperature,
        top_p=params.top_p,
        max_tokens=params.max_tokens,
        parameters=others,
        credentials=credentials,
        idempotency_key=key,
    )


def _outputs(node: Node[LlmData], response: ChatResponse) -> dict[str, Any]:
    usage = response.usage.model_dump()
    if node.dialect == "native":
        return {"text": response.content, "usage": usage}
    text, reasoning = response.content, ""
    if _hides_reasoning(node):
        text, reasoning = separated(text)
    outputs = {
        "text": text,
        "reasoning_content": reasoning,
        "usage": usage,
        "finish_reason": response.finish_reason,
    }
    if node.data.output_schema is not None:
        outputs["structured_output"] = structured(text)
    return outputs
