"""OpenAI's chat completions as bytes: requests written, answers read. Pure (spec/runtime.md
3.3)."""

from __future__ import annotations

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
from xworkflow.domain.foreign_json import read_json
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue, compact_json

Object = dict[str, JsonValue]

_UNKNOWN_MODEL: Final = "unknown"
_DONE: Final = "[DONE]"


class UnreadableAnswerError(ValueError):
    """An answer that is not what the protocol says; the message has nothing of its content."""


class AnswerErrorEvent(Exception):  # noqa: N818 - an event of the protocol, named as such
    """A stream says that its answer failed. ``status`` is the HTTP status it would have had."""

    def __init__(self, message: str, kind: str, status: int | None) -> None:
        super().__init__(message)
        self.kind = kind
        self.status = status


def written_request(request: ChatRequest, default_model: str, *, stream: bool = False) -> bytes:
    """The body: compact JSON, without a space between its tokens.

    What the node's other parameters say never replaces what the protocol's own fields say.
    """
    body: Object = {
        "model": request.model or default_model,
        "messages": [_message(message) for message in request.messages],
        "stream": stream,
    }
    if stream:
        body["stream_options"] = {"include_usage": True}
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


class StreamedAnswer:
    """An answer that comes event by event (``chat.completion.chunk``)."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._calls: dict[int, _CallSoFar] = {}
        self._usage: JsonValue = None
        self._model = _UNKNOWN_MODEL
        self._finish_reason: str | None = None
        self._done = False

    @property
    def is_complete(self) -> bool:
        """Whether the answer has ended, and not just its stream."""
        return self._done or self._finish_reason is not None

    def take(self, data: str) -> str | None:
        """The next event's piece of text, which may be empty; None where it has no choice.

        Raises UnreadableAnswerError, and AnswerErrorEvent for an error in the place of an answer.
        """
        if data == _DONE:
            self._done = True
            return None
        event = _object(_parsed(data), "an event of the answer")
        if event.get("error"):
            raise _error_event(event["error"])
        self._model = str(event.get("model") or self._model)
        if isinstance(event.get("usage"), dict):
            self._usage = event["usage"]
        choice = _first_choice(event.get("choices"))
        if choice is None or self._finish_reason is not None:
            return None
        return self._choice(choice)

    def _choice(self, choice: Mapping[str, JsonValue]) -> str:
        delta = _object(choice.get("delta") or {}, "the delta of an event")
        finish_reason = choice.get("finish_reason")
        self._finish_reason = None if finish_reason is None else str(finish_reason)
        calls = delta.get("tool_calls")
        for call in cast("list[Any]", calls) if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._call(cast("Object", call))
        piece = _text(delta.get("content"))
        self._pieces.append(piece)
        return piece

    def _call(self, delta: Object) -> None:
        index = delta.get("index")
        number = index if isinstance(index, int) else len(self._calls)
        self._calls.setdefault(number, _CallSoFar()).add(delta)

    def response(self) -> ChatResponse:
        calls = (self._calls[number] for number in sorted(self._calls))
        return ChatResponse(
            content="".join(self._pieces),
            usage=_usage(self._usage),
            model=self._model,
            finish_reason=self._finish_reason,
            tool_calls=tuple(_read_call(call.whole()) for call in calls),
        )


class _CallSoFar:
    """A call of a tool: its id and name come once, its arguments in pieces of a JSON text."""

    def __init__(self) -> None:
        self._id = ""
        self._name = ""
        self._arguments: list[str] = []

    def add(self, delta: Object) -> None:
        raw: JsonValue = delta.get("function")
        function = cast("Object", raw) if isinstance(raw, dict) else {}
        self._id = self._id or str(delta.get("id") or "")
        self._name = self._name or str(function.get("name") or "")
        self._arguments.append(str(function.get("arguments") or ""))

    def whole(self) -> Object:
        function = {"name": self._name, "arguments": "".join(self._arguments)}
        return {"id": self._id, "function": function}


def _first_choice(choices: JsonValue) -> Mapping[str, JsonValue] | None:
    """The choice number 0; None where an event has none (usage, and what servers add)."""
    every = cast("list[Any]", choices) if isinstance(choices, list) else []
    found = [cast("Object", c) for c in every if isinstance(c, dict)]
    return next((choice for choice in found if not choice.get("index")), None)


def _error_event(error: JsonValue) -> AnswerErrorEvent:
    if not isinstance(error, dict):
        return AnswerErrorEvent(str(error), "", None)
    said = cast("Object", error)
    numbers = [n for n in (said.get("status"), said.get("code")) if isinstance(n, int)]
    status = next((n for n in numbers if 400 <= n < 600), None)  # noqa: PLR2004 - HTTP's errors
    kinds = [k for k in (said.get("type"), said.get("code")) if isinstance(k, str)]
    message = str(said.get("message") or "the server names no reason")
    return AnswerErrorEvent(message, next(iter(kinds), ""), status)


def _parsed(content: bytes | str) -> JsonValue:
    try:
        return read_json(content)
    except ValueError:
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
        arguments: JsonValue = read_json(function.get("arguments") or "{}")
    except (AttributeError, TypeError, ValueError):
        arguments = {}
    return ToolCall(str(call.get("id") or ""), str(function.get("name") or ""), arguments)
