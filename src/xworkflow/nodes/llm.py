"""``llm``: asks a chat model once, and waits for its whole answer (spec/runtime.md 3.2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from xworkflow.domain.chat import ChatRequest, ChatResponse, Message
from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.jinja import syntax_error
from xworkflow.domain.placeholders import references
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorError, check_depth
from xworkflow.errors import EngineError, NodeError
from xworkflow.nodes.audit import audit
from xworkflow.nodes.base import Node, Values, WorkNode
from xworkflow.nodes.bindings import binding_selectors
from xworkflow.nodes.llm_answer import separated, structured
from xworkflow.nodes.llm_data import LlmData
from xworkflow.nodes.prompt_dify import QUERY, dify_prompt
from xworkflow.nodes.prompt_native import native_prompt
from xworkflow.nodes.registry import node_type
from xworkflow.ports import Ports

_NO_STREAM: Final = "streaming is not supported yet: take `stream` away, the answer is the same"


@node_type
class Llm(WorkNode[LlmData]):
    """Outputs ``text: str`` and ``usage: object``.

    In Dify's dialect also ``finish_reason``, ``reasoning_content`` and, where a schema is drawn,
    ``structured_output``. Blocking always, as Dify's own API is when it is asked to be.
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

    def check(self, node: Node[LlmData]) -> Iterator[Diagnostic]:
        if node.data.stream and node.dialect == "native":
            yield finding("E051", _NO_STREAM, node=node.id, field="stream")
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
        if data.stream and node.dialect == "native":  # a body, which is not validated
            raise NodeError.of_kind("config_error", _NO_STREAM)
        provider = ports.llm.get(data.model.provider)
        prompt = native_prompt if node.dialect == "native" else dify_prompt
        messages = await prompt(node, values, ports)
        credentials = await _credentials(node, provider.id(), ports)
        request = _request(data, messages, credentials, ports.idempotency_key)
        response = await provider.chat_completion(request, ports.http)
        return NodeRunResult(
            outputs=_outputs(node, response),
            metadata={"model": response.model, "provider": data.model.provider},
            llm_usage=response.usage,
        )


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


async def _credentials(node: Node[LlmData], provider: str, ports: Ports) -> Mapping[str, str]:
    """The node's own under those that the group's provider of credentials has, which win."""
    own = node.data.model.credentials
    if ports.credential_provider is None or ports.group_id is None:
        return own
    try:
        found = await ports.credential_provider.get_credentials(ports.group_id, provider)
    except Exception as error:
        audit(ports, node.id, "CredentialAccess", "Warning", provider=provider, success=False)
        # only our own errors are known to hold no secret
        reason = str(error) if isinstance(error, EngineError) else type(error).__name__
        text = f"no credentials for '{provider}': {reason}"
        raise NodeError.of_kind("execution_error", text) from error
    audit(ports, node.id, "CredentialAccess", "Info", provider=provider, success=True)
    return {**own, **found}


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
    if node.data.reasoning_format == "separated":
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
