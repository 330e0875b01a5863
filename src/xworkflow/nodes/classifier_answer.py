"""Which category a model's reply names (spec/runtime.md 3.4)."""

from __future__ import annotations

from typing import Any, Final, cast

from xworkflow.domain.foreign_json import read_json
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError
from xworkflow.nodes.llm_answer import separated

_FENCE: Final = "```"
_QUOTES: Final = "\"'`"


def category_named(reply: str, dialect: Dialect) -> str:
    """The id in a JSON object, in one inside a Markdown fence, or as the only word of a reply.

    In Dify's dialect what a model thought aloud before is passed over, and an id may be a number.
    Raises NodeError ``execution_error`` for any other reply.
    """
    text = (separated(reply)[0] if dialect == "dify" else reply).strip()
    found = _in_json(text, dialect) or _in_json(_fenced(text), dialect) or _only_word(text)
    if not found:
        raise NodeError.of_kind(
            "execution_error", f"Failed to parse question-classifier response: {reply}"
        )
    return found


def _in_json(text: str, dialect: Dialect) -> str:
    try:
        value: Any = read_json(text)
    except ValueError:
        return ""
    found = cast("dict[str, Any]", value).get("category_id") if isinstance(value, dict) else None
    if dialect == "dify" and type(found) is int:
        return str(found)
    return found.strip() if isinstance(found, str) else ""


def _fenced(text: str) -> str:
    """What stands in the first fence, without the name of its language."""
    inside = text.partition(_FENCE)[2].partition(_FENCE)[0]
    return inside[max(inside.find("{"), 0) :]


def _only_word(text: str) -> str:
    """JSON that names no category is no word."""
    word = text.strip(_QUOTES)
    return "" if word.startswith(("{", "[")) or len(word.split()) != 1 else word.strip()
