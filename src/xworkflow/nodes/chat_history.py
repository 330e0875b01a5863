"""Earlier turns of a conversation, as a variable holds them: ``[{role, text}]``."""

from __future__ import annotations

from typing import Any, cast

from xworkflow.domain.chat import Message, parse_role
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Values
from xworkflow.nodes.llm_data import Memory


def history(memory: Memory | None, values: Values) -> list[Message]:
    """The last turns of the window; nothing where the variable holds no list.

    Raises NodeError ``serialization_error`` for an item that is no turn (spec/runtime.md 3.2).
    """
    if memory is None or not memory.enabled or memory.variable_selector is None:
        return []
    value: JsonValue = values.get(memory.variable_selector)
    if not isinstance(value, list):
        return []
    window = max(memory.window_size or 0, 0)
    return [_turn(item) for item in cast("list[Any]", value)[-window:]]


def _turn(item: JsonValue) -> Message:
    turn = cast("dict[str, Any]", item) if isinstance(item, dict) else {}
    role, text = turn.get("role"), turn.get("text")
    if not isinstance(role, str) or not isinstance(text, str):
        raise NodeError.of_kind(
            "serialization_error", "an item of the memory is no object with a role and a text"
        )
    try:
        return Message(parse_role(role), text)
    except ValueError as error:
        raise NodeError.of_kind("serialization_error", str(error)) from None
