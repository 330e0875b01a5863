"""The prompt of a native llm node: memory, prompt, context, vision, in this order.

spec/runtime.md 3.2.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from xworkflow.domain.chat import ImagePart, Message, parse_role
from xworkflow.domain.placeholders import TextBudget, render
from xworkflow.domain.values import JsonValue, display
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Node, Values
from xworkflow.nodes.chat_history import history
from xworkflow.nodes.images import checked_url, files_in, image_parts
from xworkflow.nodes.llm_data import Context, LlmData, PromptMessage, Vision
from xworkflow.ports import Ports


async def native_prompt(node: Node[LlmData], values: Values, ports: Ports) -> tuple[Message, ...]:
    """The messages of one call. Raises NodeError."""
    data = node.data
    fill = partial(
        render,
        get=values.get,
        dialect="native",
        strict=ports.strict_template,
        budget=TextBudget(),
    )
    messages = [
        *history(data.memory, values),
        *(_message(drawn, fill) for drawn in data.prompt_template),
    ]
    messages = _with_context(messages, data.context, values)
    if images := await _images(data.vision, values, node.id, ports):
        messages.append(Message("user", images))
    return tuple(messages)


def _message(drawn: PromptMessage, fill: Callable[[str], str]) -> Message:
    text = fill(drawn.text)
    try:
        return Message(parse_role(drawn.role), text)
    except ValueError as error:
        raise NodeError.of_kind("config_error", str(error)) from None


def _with_context(
    messages: list[Message], context: Context | None, values: Values
) -> list[Message]:
    """The context at the end of the first system message, or as one of its own."""
    if context is None or not context.enabled or context.variable_selector is None:
        return messages
    text = display(values.get(context.variable_selector))
    if not text:
        return messages
    first = next((i for i, message in enumerate(messages) if message.role == "system"), None)
    if first is None:
        return [Message("system", text), *messages]
    system = Message("system", f"{messages[first].content}\n{text}")
    return [*messages[:first], system, *messages[first + 1 :]]


async def _images(
    vision: Vision | None, values: Values, node_id: str, ports: Ports
) -> tuple[ImagePart, ...]:
    """A text or file, or a list of them; anything else is not looked at."""
    if vision is None or not vision.enabled or vision.variable_selector is None:
        return ()
    value: JsonValue = values.get(vision.variable_selector)
    parts: list[ImagePart] = []
    for item in cast("list[Any]", value) if isinstance(value, list) else [value]:
        if isinstance(item, str) and item:
            parts.append(ImagePart(checked_url(item, node_id, ports), vision.detail))
        elif isinstance(item, dict):
            parts += await image_parts(files_in(item), vision.detail, node_id, ports)
    return tuple(parts)
