"""``{{#node.variable#}}`` in texts (spec/graph.md 3.7, left column).

A placeholder is ``{{#``, one or more characters that are not ``#``, and ``#}}``; what stands
between is a dotted selector and is not trimmed. One pass, linear in the text; what a placeholder
renders to is never read again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from xworkflow.domain.selectors import (
    Dialect,
    Selector,
    SelectorError,
    check_depth,
    parse_selector,
    show,
)
from xworkflow.domain.values import JsonValue, display
from xworkflow.errors import NodeError

Lookup: TypeAlias = Callable[[Selector], JsonValue]
"""A value by its selector; None for what is missing."""

# possessive: an attempt never gives characters back, so no text makes it quadratic
_PLACEHOLDER: Final = re.compile(r"\{\{#([^#]++)#\}\}")

MAX_TEXT: Final = 16 * 1024 * 1024
"""Characters; no value that travels is as large."""

_DIFY_WORDS: Final = frozenset({"context", "histories", "query"})
"""Placeholders of Dify prompts that the llm node fills by itself."""


def references(text: str, dialect: Dialect, *, trim: bool = False) -> tuple[Selector, ...]:
    """The selectors that the text names, in order, each once; unparsable ones are left out.

    ``trim`` is for validation, which forgives spaces; running does not.
    """
    found = (_selector(raw.strip() if trim else raw, dialect) for raw in _raw(text))
    return tuple(dict.fromkeys(selector for selector in found if selector is not None))


class TextBudget:
    """How many characters the placeholders of one node may still print, all its texts together: a
    file of 60 KB can name a large value thousands of times."""

    def __init__(self, most: int = MAX_TEXT) -> None:
        self._most = self._left = most

    def take(self, shown: str) -> str:
        """The text, counted. Raises NodeError ``template_error``."""
        self._left -= len(shown)
        if self._left < 0:
            raise NodeError.of_kind(
                "template_error", f"the text is longer than {self._most} characters"
            )
        return shown


def render(
    text: str,
    get: Lookup,
    dialect: Dialect,
    *,
    strict: bool = False,
    budget: TextBudget | None = None,
) -> str:
    """The text with each placeholder replaced by its value's display string.

    A missing or null value and an unparsable selector print nothing; when ``strict``, the first of
    them raises NodeError ``variable_not_found``. Texts of one node share a ``budget``; without one
    the text has its own.
    """
    within = budget or TextBudget()

    def value_of(match: re.Match[str]) -> str:
        selector = _selector(match[1], dialect)
        value = None if selector is None else get(selector)
        if value is None and strict:
            raise NodeError.of_kind(
                "variable_not_found", match[1] if selector is None else show(selector)
            )
        return within.take(display(value))

    return _PLACEHOLDER.sub(value_of, text)


def segments(text: str, dialect: Dialect) -> tuple[str | Selector, ...]:
    """The text in order: literals (none of them empty), and selectors in the place of their values.

    An unparsable placeholder prints nothing, so it is not there.
    """
    found: list[str | Selector] = []
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        found.append(text[at : match.start()])
        found.append(_selector(match[1], dialect) or "")
        at = match.end()
    found.append(text[at:])
    return tuple(segment for segment in found if segment)


def bad_references(text: str, dialect: Dialect = "native") -> tuple[str, ...]:
    """The placeholders without a dot inside, trimmed (diagnostic E502).

    Dify's ``{{#context#}}`` and its like are no mistakes there.
    """
    excused = _DIFY_WORDS if dialect == "dify" else frozenset[str]()
    inner = (raw.strip() for raw in _raw(text))
    return tuple(dict.fromkeys(raw for raw in inner if "." not in raw and raw not in excused))


def _raw(text: str) -> Iterator[str]:
    return (match[1] for match in _PLACEHOLDER.finditer(text))


def _selector(raw: str, dialect: Dialect) -> Selector | None:
    try:
        return check_depth(parse_selector(raw), dialect)
    except SelectorError:
        return None
