"""Where the operands of an expression begin and end, seen from an operator between its tokens."""

from __future__ import annotations

from typing import Final

from xworkflow.domain.template_tokens import Token

ARITHMETIC: Final = frozenset({"+", "-", "*", "/", "//", "%", "**"})
_MATCHING: Final = {")": "(", "]": "[", "}": "{"}
_WORDS: Final = frozenset({"not", "is", "in", "and", "or", "if", "else"})

Operand = tuple[int, int]
"""The positions of an operand's first and last token."""


def operand_before(tokens: tuple[Token, ...], operator: int) -> Operand | None:
    """The operand of names, calls, subscripts and filters that ends before ``operator``."""
    first = operator - 1
    while first >= 0:
        if tokens[first].text in _MATCHING:
            first = opening(tokens, first)
        before = tokens[first - 1] if first > 0 else None
        if before is None or before.text in ARITHMETIC or before.text == "is":
            break
        if before.text in (".", "|"):
            first -= 2
        elif tokens[first].text in ("(", "[") and ends_operand(before):
            first -= 1
        else:
            break
    return (first, operator - 1) if first >= 0 else None


def operand_after(tokens: tuple[Token, ...], operator: int) -> Operand | None:
    """The operand of names, calls, subscripts and filters that starts behind ``operator``."""
    first = last = operator + 1
    if first >= len(tokens) or tokens[first].text in (*ARITHMETIC, *_WORDS):
        return None
    if tokens[first].text in ("(", "[", "{"):
        last = closing(tokens, first)
    while last + 1 < len(tokens):
        following = tokens[last + 1].text
        if following in (".", "|") and last + 2 < len(tokens):
            last += 2
        elif following in ("(", "["):
            last = closing(tokens, last + 1)
        else:
            break
    return first, last


def is_literal(tokens: tuple[Token, ...], operand: Operand) -> bool:
    first, last = operand
    return first == last and tokens[first].kind in ("string", "number")


def ends_operand(token: Token) -> bool:
    """Whether a bracket behind this token subscripts or calls, and opens no value of its own."""
    return (
        token.text in _MATCHING
        or token.kind == "string"
        or (token.kind == "name" and token.text not in _WORDS)
    )


def opening(tokens: tuple[Token, ...], closing_at: int) -> int:
    """The position of the bracket that ``closing_at`` closes; the first token without one."""
    depth = 0
    for position in range(closing_at, -1, -1):
        text = tokens[position].text
        depth += (text in _MATCHING) - (text in _MATCHING.values())
        if depth == 0:
            return position
    return 0


def closing(tokens: tuple[Token, ...], opening_at: int) -> int:
    """The position of the bracket that closes ``opening_at``; the last token without one."""
    depth = 0
    for position in range(opening_at, len(tokens)):
        text = tokens[position].text
        depth += (text in _MATCHING.values()) - (text in _MATCHING)
        if depth == 0:
            return position
    return len(tokens) - 1
