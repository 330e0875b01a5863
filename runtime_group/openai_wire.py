"""OpenAI's chat completions as bytes: requests written, answers read. Pure (spec/runtime.md
3.3)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final, cast

from xworkflow.domain.chat import (
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    Part,
    TextPart,
    ToolCall,
    ToolDefinition,
)
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue, compact_json

Object = dict[str, JsonValue]

_UNKNOWN_MODEL: Final = "unknown"


class UnreadableAnswerError(ValueError):
    """An answer that is not what the protocol says; the message has nothing of its content."""


def written_request(request: ChatRequest, default_model: str) -> bytes:
    """The body: compact JSON, without a space between its tokens.

    What the node's other parameters say never replaces what the protocol's own fields say.
    """
    body: Object = {
        "model": request.model or default_model,
        "messages": [_message(message) for message in request.messages],
        "stream": False,
    }
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    for name in ("temperature", "top_p", "max_tokens"):
        value = getattr(request, name)
        if value is not None:
            body[name] = value
    body = {**request.parameters, **body} if request.parameters else body
    # half a surrogate pair is legal in a JSON text, and in no UTF-8
    return compact_json(body).encode(errors="replace")


def _message(message: Message) -> Object:
    content = message.content
    written: Object = {
        "role": message.role,
        "content": content if isinstance(content, str) else [_part(part) for part in content],
    }
    if message.tool_calls:
        written["tool_calls"] = [_tool_call(call) for call in message.tool_calls]
    if message.tool_call_id is not None:
        written["tool_call_id"] = message.tool_call_id
    return written


def _part(part: Part) -> Object:
    match part:
        case TextPart(text):
            return {"type": "text", "text": text}
        case ImagePart(url, detail):
            return {"type": "image_url", "image_url": {"url": url, "detail": detail}}


def _tool(tool: ToolDefinition) -> Object:
    function = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": function}


def _tool_call(call: ToolCall) -> Object:
    function = {"name": call.name, "arguments": compact_json(call.arguments)}
    return {"id": call.id, "type": "function", "function": function}


def read_answer(content: bytes) -> ChatResponse:
    """The first choice of an answer. Raises UnreadableAnswerError."""
    answer = _object(_parsed(content), "the answer")
    choices: JsonValue = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise UnreadableAnswerError("the answer has no choices")
    choice = _object(cast("list[Any]", choices)[0], "a choice of the answer")
    message = _object(choice.get("message"), "the message of the answer")
    finish_reason = choice.get("finish_reason")
    return ChatResponse(
        content=_text(message.get("content")),
        usage=_usage(answer.get("usage")),
        model=str(answer.get("model") or _UNKNOWN_MODEL),
        finish_reason=None if finish_reason is None else str(finish_reason),
        tool_calls=_tool_calls(message.get("tool_calls")),
    )


def _parsed(content: bytes) -> JsonValue:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        raise UnreadableAnswerError("the answer is no JSON") from None


def _object(value: JsonValue, what: str) -> Mapping[str, JsonValue]:
    if not isinstance(value, dict):
        raise UnreadableAnswerError(f"{what} is no object")
    return cast("Object", value)


def _text(content: JsonValue) -> str:
    """A text; some servers send it in parts, and nothing where only tools are called."""
    if isinstance(content, list):
        parts = [cast("Object", p) for p in cast("list[Any]", content) if isinstance(p, dict)]
        return "".join(str(part.get("text") or "") for part in parts)
    return content if isinstance(content, str) else ""


def _usage(raw: JsonValue) -> LlmUsage:
    counts = cast("Object", raw) if isinstance(raw, dict) else {}

    def count(name: str) -> int:
        given = counts.get(name)
        return int(given) if isinstance(given, (int, float)) and 0 <= given < 2**53 else 0

    return LlmUsage(
        prompt_tokens=count("prompt_tokens"),
        completion_tokens=count("completion_tokens"),
        total_tokens=count("total_tokens"),
    )


def _tool_calls(raw: JsonValue) -> tuple[ToolCall, ...]:
    calls = cast("list[Any]", raw) if isinstance(raw, list) else []
    return tuple(_read_call(cast("Object", call)) for call in calls if isinstance(call, dict))


def _read_call(call: Object) -> ToolCall:
    raw: JsonValue = call.get("function")
    function = cast("Object", raw) if isinstance(raw, dict) else {}
    try:
        arguments: JsonValue = json.loads(function.get("arguments") or "{}")
    except (TypeError, ValueError, RecursionError):
        arguments = {}
    return ToolCall(str(call.get("id") or ""), str(function.get("name") or ""), arguments)
