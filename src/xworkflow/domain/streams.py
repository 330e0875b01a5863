"""The pieces in which an output came: how they travel, and how they are found again.

A node whose output came in pieces gives their lengths beside it, under the reserved name
``__chunks``: ``{variable: [length, …]}`` in characters. The text itself is whole, so whatever does
not care about pieces never sees them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, cast

from xworkflow.domain.placeholders import Lookup
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue

CHUNKS: Final = "__chunks"
"""The reserved output that holds lengths. It is in the pool, and never in events or outputs."""

_VARIABLE_DEPTH: Final = 2


def chunks_selector(selector: Selector) -> Selector:
    """Where the lengths of a variable's pieces lie, if it has any."""
    return selector[0], CHUNKS


def chunks_of(variable: str, pieces: Iterable[str]) -> dict[str, JsonValue]:
    """The output that says in which pieces a variable came; to be merged into the outputs."""
    return {CHUNKS: {variable: [len(piece) for piece in pieces]}}


def in_one_piece(outputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The outputs of a node that streams where something else stands for them (a default value):
    each text is one piece, so that whoever listens hears it."""
    texts = {name: [len(value)] for name, value in outputs.items() if isinstance(value, str)}
    return {**outputs, CHUNKS: texts} if texts else dict(outputs)


def pieces_at(get: Lookup, selector: Selector) -> tuple[str, ...] | None:
    """The pieces of the text at a selector; None where it did not come in pieces.

    Joined they are the text. Lengths that do not fit it are as good as none: anybody may write an
    output of this name.
    """
    if len(selector) != _VARIABLE_DEPTH:
        return None
    raw, text = get(chunks_selector(selector)), get(selector)
    if not isinstance(raw, dict) or not isinstance(text, str):
        return None
    lengths = cast("dict[str, Any]", raw).get(selector[1])
    return None if lengths is None else cut(text, lengths)


def cut(text: str, lengths: JsonValue) -> tuple[str, ...] | None:
    """The text in pieces of these lengths; None unless they are whole numbers that fit it."""
    if not isinstance(lengths, list):
        return None
    pieces: list[str] = []
    at = 0
    for length in cast("list[JsonValue]", lengths):
        if type(length) is not int or length < 0:
            return None
        pieces.append(text[at : at + length])
        at += length
    return tuple(pieces) if at == len(text) else None


def visible(outputs: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The outputs as events and results show them."""
    return {name: value for name, value in outputs.items() if name != CHUNKS}


def merged(pieces: Sequence[str], most: int) -> list[str]:
    """The same text in at most so many pieces, each made of whole ones."""
    count = len(pieces)
    if count <= most:
        return list(pieces)
    edges = [count * number // most for number in range(most + 1)]
    return ["".join(pieces[a:b]) for a, b in pairwise(edges)]
