"""What may be hidden in a model's answer: its reasoning, and data as JSON (Dify)."""

from __future__ import annotations

import json
from typing import Any, Final, cast

from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure

_OPEN: Final = "<think>"
_CLOSE: Final = "</think>"
_FENCE: Final = "```"


def separated(text: str) -> tuple[str, str]:
    """(what is left, what stood between ``<think>`` and ``</think>``). One pass over the text."""
    rest: list[str] = []
    thoughts: list[str] = []
    while True:
        before, opened, after = text.partition(_OPEN)
        thought, closed, following = after.partition(_CLOSE)
        if not opened or not closed:
            rest.append(text)
            break
        rest.append(before)
        thoughts.append(thought.strip())
        text = following
    return "".join(rest).strip() if thoughts else text, "\n".join(thoughts)


def structured(text: str) -> JsonValue:
    """The object that an answer spells, with or without a Markdown fence. Raises NodeError."""
    bare = text.strip()
    if bare.startswith(_FENCE):
        bare = bare.partition("\n")[2].rpartition(_FENCE)[0]
    try:
        value: JsonValue = json.loads(bare)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        failure = NodeFailure(code="OutputParserError", text="the answer is no JSON object")
        raise NodeError(failure)
    return cast("dict[str, Any]", value)
