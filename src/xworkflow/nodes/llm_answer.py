"""What may be hidden in a model's answer: its reasoning, and data as JSON (Dify)."""

from __future__ import annotations

from typing import Any, Final, cast

from xworkflow.domain.foreign_json import read_json
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


class Visible:
    """``separated`` while the text comes: each piece without thoughts.

    It holds back what may be the begin of a thought, and white space that the end of the text
    would lose.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._thinking = False
        self._thought = False
        self._spaces = ""
        self._shown = False

    def of(self, piece: str) -> str:
        """What can be shown of the text once this piece has come."""
        self._rest += piece
        found: list[str] = []
        while True:
            mark = _CLOSE if self._thinking else _OPEN
            before, closed, after = self._rest.partition(mark)
            if not closed:
                break
            if not self._thinking:
                found.append(before)
            self._thinking = not self._thinking
            self._thought = True
            self._rest = after
        held = _overlap(self._rest, mark)
        if not self._thinking:
            found.append(self._rest[: len(self._rest) - held])
        self._rest = self._rest[len(self._rest) - held :]
        return self._trimmed("".join(found))

    def _trimmed(self, text: str) -> str:
        text = self._spaces + text
        self._spaces = text[len(text.rstrip()) :]
        text = text.rstrip()
        if not self._shown and self._thought:
            text = text.lstrip()
        self._shown = self._shown or bool(text)
        return text


def _overlap(text: str, mark: str) -> int:
    """How much of a text's end is the begin of a mark."""
    lengths = range(min(len(text), len(mark) - 1), 0, -1)
    return next((length for length in lengths if text.endswith(mark[:length])), 0)


def structured(text: str) -> JsonValue:
    """The object that an answer spells, with or without a Markdown fence. Raises NodeError."""
    bare = text.strip()
    if bare.startswith(_FENCE):
        bare = bare.partition("\n")[2].rpartition(_FENCE)[0]
    try:
        value: JsonValue = read_json(bare)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        failure = NodeFailure(code="OutputParserError", text="the answer is no JSON object")
        raise NodeError(failure)
    return cast("dict[str, Any]", value)
