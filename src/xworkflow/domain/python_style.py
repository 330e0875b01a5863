"""What a template says in Python's way and minijinja cannot: a rewrite of its tokens.

Dify renders with Jinja2, where values are Python's own. minijinja lets nobody define an operator or
a method of its texts, so these become filters (``template_python``):

=====================  =================================================
written                becomes
=====================  =================================================
``a % b``              ``a | python_percent(b | default(''))``: texts, too
``s.zfill(3)``         ``(s | python_zfill(3))``, for methods it lacks
=====================  =================================================

Its lists and objects cannot change, which ``{% set _ = found.append(x) %}`` wants. A template with
a method that changes one (``CHANGES``) gets drafts: in such a template variables enter as drafts,
and so do literals of ``set`` and of the calls themselves, and what is set to a name that changes.

Nothing is added between lines, so the line numbers of errors stay. None of this passes the screen,
so what the filters do costs a sandbox process at most. Not reached: a whole float on its way into a
filter or a draft, where minijinja makes it an integer (``'%s' % 2.0`` prints 2).
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from xworkflow.domain.template_operands import (
    ARITHMETIC,
    closing,
    ends_operand,
    operand_after,
    operand_before,
)
from xworkflow.domain.template_tokens import Part, Tag, Token

METHODS: Final = frozenset({
    "casefold", "center", "expandtabs", "index", "ljust", "partition", "removeprefix",
    "removesuffix", "rindex", "rjust", "rpartition", "rsplit", "swapcase", "zfill",
})  # fmt: skip
"""Methods of texts that minijinja does not know."""
CHANGES: Final = frozenset({
    "append", "clear", "extend", "insert", "pop", "remove", "reverse", "setdefault", "sort",
    "update",
})  # fmt: skip
"""Methods that change a list or an object."""
DRAFT: Final = "python_draft"
"""The function that makes a draft of a list or an object."""
_HIGHER: Final = ARITHMETIC - {"+", "-"}
_Edit: TypeAlias = tuple[int, int, str]
"""Replace from offset to offset by a text."""


class Pythonised(NamedTuple):
    """A rewritten template; ``drafts`` if it changes lists or objects."""

    source: str
    drafts: bool


def pythonise(template: str, parts: tuple[Part, ...]) -> Pythonised:
    """The template, rewritten to do as Jinja2 does. ``parts`` are its own, from ``scan``."""
    tags = [part for part in parts if isinstance(part, Tag)]
    changing = {tag.start for tag in tags if any(_calls(tag.tokens, CHANGES))}
    names = {name for tag in tags for name in _changed_names(tag.tokens)}
    edits: list[_Edit] = []
    for tag in tags:
        edits += _percent_edits(tag.tokens)
        edits += _method_edits(tag.tokens)
        if changing and (tag.keyword == "set" or tag.start in changing):
            edits += _literal_edits(tag.tokens)
        if tag.keyword == "set":
            edits += _set_edits(tag.tokens, names)
    return Pythonised(_edited(template, edits), bool(changing))


def _edited(template: str, edits: list[_Edit]) -> str:
    """Insertions at one place stay in their order, those that close before those that open."""
    pieces: list[str] = []
    at = 0
    for start, end, text in sorted(
        edits, key=lambda edit: (edit[0], not edit[2].endswith(")"), edit[1])
    ):
        pieces += (template[at:start], text)
        at = end
    return "".join((*pieces, template[at:]))


def _calls(tokens: tuple[Token, ...], methods: frozenset[str]) -> Iterator[int]:
    """The positions of the names of methods that are called."""
    for position in range(1, len(tokens) - 1):
        dot, name, bracket = tokens[position - 1 : position + 2]
        if dot.text == "." and name.text in methods and bracket.text == "(":
            yield position


def _changed_names(tokens: tuple[Token, ...]) -> Iterator[str]:
    for position in _calls(tokens, CHANGES):
        if position >= 2 and tokens[position - 2].kind == "name":  # noqa: PLR2004 - name, dot
            yield tokens[position - 2].text


def _percent_edits(tokens: tuple[Token, ...]) -> Iterator[_Edit]:
    for position, token in enumerate(tokens):
        if token.text != "%":
            continue
        left, right = operand_before(tokens, position), operand_after(tokens, position)
        if left is None or right is None or _binds_tighter(tokens, left[0], right[1]):
            continue
        if tokens[position - 1].kind == "number":
            continue  # no text, so minijinja can do it
        yield token.start, token.end, "|python_percent("
        yield tokens[right[1]].end, tokens[right[1]].end, "|default(''))"


def _binds_tighter(tokens: tuple[Token, ...], first: int, last: int) -> bool:
    """Whether an operator on the outer side of two operands would take one of them."""
    before = tokens[first - 1].text if first else ""
    unary = before in ("+", "-") and (first == 1 or not ends_operand(tokens[first - 2]))
    after = tokens[last + 1].text if last + 1 < len(tokens) else ""
    return before in _HIGHER or unary or after == "**"


def _method_edits(tokens: tuple[Token, ...]) -> Iterator[_Edit]:
    for position in _calls(tokens, METHODS):
        operand = operand_before(tokens, position - 1)
        if operand is None:
            continue
        dot, name = tokens[position - 1 : position + 1]
        end = tokens[closing(tokens, position + 1)].end
        yield tokens[operand[0]].start, tokens[operand[0]].start, "("
        yield dot.start, name.end, f"|python_{name.text}"
        yield end, end, ")"


def _literal_edits(tokens: tuple[Token, ...]) -> Iterator[_Edit]:
    """Each list and object that is written down becomes a draft."""
    for position, (before, token) in enumerate(pairwise(tokens), start=1):
        if token.text == "{" or (token.text == "[" and not ends_operand(before)):
            end = tokens[closing(tokens, position)].end
            yield token.start, token.start, f"{DRAFT}("
            yield end, end, ")"


def _set_edits(tokens: tuple[Token, ...], names: set[str]) -> Iterator[_Edit]:
    """``set name = …`` of a name that changes: a value of another origin becomes a draft."""
    if len(tokens) > 3 and tokens[1].text in names and tokens[2].text == "=":  # noqa: PLR2004
        yield tokens[3].start, tokens[3].start, f"{DRAFT}("
        yield tokens[-1].end, tokens[-1].end, ")"
