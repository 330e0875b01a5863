"""The native way of printing: a rewrite of the template's tokens.

minijinja's Python package prints Python style (``True``, ``None``, ``['a']``), also where it joins
texts inside an expression. A ``finalizer`` mends half of that: it is not asked for ``~``, ``join``
and ``string``, an undefined value and a null look the same to it, and whole floats arrive in it as
integers. What tells all of these apart is minijinja's own ``tojson``. So each value that becomes
text goes through ``default('') | tojson | native_text`` (undefined prints empty, null ``none``):

==================  ====================================================
written             becomes
==================  ====================================================
``{{ e }}``         ``{{ (e) | default('') | tojson | native_text }}``
``a ~ b``           the same behind ``a`` and ``b``, unless they are literals or arithmetic
``e | string``      ``e | default('') | tojson | native_text``
``e | join(x)``     ``e | default('') | tojson | native_join(x)``
``e | tojson``      ``e | native_tojson``: the native dialect has none
==================  ====================================================

Where a template only prints what came from outside, by its path, the finalizer does suffice behind
``default('')``, and costs a fifth.

Nothing is added between lines, so the line numbers of errors stay. Not reached: texts made inside
``map('string')``, ``format`` and ``pprint``.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final, TypeAlias

from xworkflow.domain.template_operands import (
    ARITHMETIC,
    ends_operand,
    is_literal,
    operand_after,
    operand_before,
)
from xworkflow.domain.template_tokens import Part, Tag, Token

_DEFAULT: Final = "|default('')"
TO_TEXT: Final = "|default('')|tojson|native_text"
_CONTROL: Final = frozenset({"if", "elif", "else", "endif", "endfor"})
_PATH_MARKS: Final = frozenset(".[],")
_FILTERS: Final = {
    "string": "default('')|tojson|native_text",
    "join": "default('')|tojson|native_join",
    "tojson": "native_tojson",
}
_Edit: TypeAlias = tuple[int, int, str]
"""Replace from offset to offset by a text."""


def nativise(template: str, parts: tuple[Part, ...]) -> str:
    """The template, rewritten to print natively. ``parts`` are its own, from ``scan``."""
    tags = [part for part in parts if isinstance(part, Tag)]
    plain = all(_makes_no_values(tag) for tag in tags)
    pieces: list[str] = []
    at = 0
    for tag in tags:
        for start, end, text in _tag_edits(tag, plain):
            pieces += (template[at:start], text)
            at = end
    return "".join((*pieces, template[at:]))


def _tag_edits(tag: Tag, plain: bool) -> Iterator[_Edit]:
    """The edits of one tag, in the order of the text."""
    edits = [*_filter_edits(tag.tokens), *_concatenation_edits(tag.tokens)]
    edits.sort(key=lambda edit: edit[0])
    if tag.kind == "statement" or not tag.tokens:
        return iter(edits)
    printing = _DEFAULT if plain and _only_paths(tag.tokens) else TO_TEXT
    return iter([(tag.start, tag.start, "("), *edits, (tag.end, tag.end, f"){printing}")])


def _makes_no_values(tag: Tag) -> bool:
    """Whether no name in the template can get a value by this tag that is not one from outside."""
    return (
        tag.kind == "output"
        or tag.keyword in _CONTROL
        or (tag.keyword == "for" and _only_paths(tag.tokens))
    )


def _only_paths(tokens: tuple[Token, ...]) -> bool:
    """Whether there are no calls, filters, arithmetic or literal lists."""
    marks = all(token.kind != "operator" or token.text in _PATH_MARKS for token in tokens)
    lists = any(b.text == "[" and not ends_operand(a) for a, b in pairwise(tokens))
    return marks and not lists and tokens[0].text != "["


def _filter_edits(tokens: tuple[Token, ...]) -> Iterator[_Edit]:
    for before, token in pairwise(tokens):
        if before.text == "|" and token.text in _FILTERS:
            yield token.start, token.end, _FILTERS[token.text]


def _concatenation_edits(tokens: tuple[Token, ...]) -> Iterator[_Edit]:
    ends: set[int] = set()  # in a ~ b ~ c both operators find b
    for position, token in enumerate(tokens):
        if token.text == "~":
            sides = (_printed_before(tokens, position), _printed_after(tokens, position))
            ends.update(last.end for last in sides if last is not None)
    return ((end, end, TO_TEXT) for end in ends)


def _printed_before(tokens: tuple[Token, ...], operator: int) -> Token | None:
    """The last token of a simple operand that ends before ``operator``, if it may print amiss."""
    operand = operand_before(tokens, operator)
    if operand is None or is_literal(tokens, operand):
        return None
    first, last = operand
    simple = not (first and tokens[first - 1].text in (*ARITHMETIC, "is"))
    return tokens[last] if simple else None


def _printed_after(tokens: tuple[Token, ...], operator: int) -> Token | None:
    """The last token of a simple operand that starts behind ``operator``, if it may print amiss."""
    operand = operand_after(tokens, operator)
    if operand is None or is_literal(tokens, operand):
        return None
    last = operand[1]
    followed = last + 1 < len(tokens) and tokens[last + 1].text in (*ARITHMETIC, "is")
    return None if followed else tokens[last]
