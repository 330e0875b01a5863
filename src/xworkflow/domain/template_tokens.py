"""The tokens of a Jinja2 template, read in one pass without backtracking.

Whoever must look into a template before it runs stands on this: the screen (``screen.py``) and the
native way of printing (``native_style.py``). Pure, and linear in the template.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias


class UnreadableTemplate(ValueError):  # noqa: N818 - a verdict on the text, not a fault of ours
    """A tag, text or comment that does not end, or a character that no template has."""


@dataclass(frozen=True, slots=True)
class Token:
    """One token of a tag; ``start`` and ``end`` are offsets into the template."""

    kind: Literal["name", "number", "string", "operator"]
    text: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Text:
    """Literal text. ``raw`` if it stood between ``{% raw %}`` and ``{% endraw %}``."""

    start: int
    end: int
    raw: bool = False


@dataclass(frozen=True, slots=True)
class Tag:
    """``{{ … }}`` (an output) or ``{% … %}`` (a statement).

    ``start`` and ``end`` enclose what stands between the delimiters and their white-space signs.
    """

    kind: Literal["output", "statement"]
    tokens: tuple[Token, ...]
    start: int
    end: int

    @property
    def keyword(self) -> str:
        """The word that a statement starts with, else empty."""
        return self.tokens[0].text if self.kind == "statement" and self.tokens else ""


Part: TypeAlias = Text | Tag

_SIGNS: Final = "-+"
_PAIRS: Final = frozenset({"//", "**", "==", "!=", ">=", "<="})
_SINGLES: Final = frozenset("+-*/%!.,:~|=><()[]{}")
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


def scan(template: str) -> tuple[Part, ...]:
    """The template's texts and tags, in order; comments are left out. Raises UnreadableTemplate."""
    return tuple(_parts(template))


def _parts(template: str) -> Iterator[Part]:
    at = 0
    while at < len(template):
        opening = _next_opening(template, at)
        if opening > at:
            yield Text(at, opening)
        if opening == len(template):
            return
        if template[opening + 1] == "#":
            at = _after(template, "#}", opening + 2)
            continue
        raw = _raw_body(template, opening)
        if raw is not None:
            body, at = raw
            yield body
            continue
        tag, at = _tag(template, opening)
        yield tag


def _next_opening(template: str, at: int) -> int:
    """Where the next ``{{``, ``{%`` or ``{#`` starts; the end of the template when none does."""
    while (at := template.find("{", at)) != -1:
        if template[at + 1 : at + 2] in ("{", "%", "#"):
            return at
        at += 1
    return len(template)


def _after(template: str, mark: str, at: int) -> int:
    found = template.find(mark, at)
    if found == -1:
        raise UnreadableTemplate(f"no {mark} after offset {at}")
    return found + len(mark)


def _raw_body(template: str, opening: int) -> tuple[Text, int] | None:
    """The body of a raw block that opens here, and where the template goes on behind it."""
    start = _bare_statement(template, opening, "raw")
    if start is None:
        return None
    at = start
    while (at := template.find("{%", at)) != -1:
        after = _bare_statement(template, at, "endraw")
        if after is not None:
            return Text(start, at, raw=True), after
        at += 2
    raise UnreadableTemplate("a raw block does not end")


def _bare_statement(template: str, at: int, word: str) -> int | None:
    """The offset behind ``{% word %}`` if just that stands at ``at``."""
    if not template.startswith("{%", at):
        return None
    at += 2 + (template[at + 2 : at + 3] in ("-", "+"))
    at = _skip_space(template, at)
    if not template.startswith(word, at):
        return None
    at = _skip_space(template, at + len(word))
    at += template[at : at + 1] in ("-", "+")
    return at + 2 if template.startswith("%}", at) else None


def _skip_space(template: str, at: int) -> int:
    while at < len(template) and template[at].isspace():
        at += 1
    return at


def _tag(template: str, opening: int) -> tuple[Tag, int]:
    """The tag that opens here, and the offset behind it."""
    output = template[opening + 1] == "{"
    closing = "}}" if output else "%}"
    at = start = opening + 2 + (template[opening + 2 : opening + 3] in ("-", "+"))
    tokens: list[Token] = []
    depth = 0  # inside brackets a closing mark belongs to the expression: {{ {'a': {}}}}
    while True:
        at = _skip_space(template, at)
        if at >= len(template):
            raise UnreadableTemplate(f"the tag at offset {opening} does not end")
        signed = template[at] in _SIGNS and template.startswith(closing, at + 1)
        if depth <= 0 and (signed or template.startswith(closing, at)):
            kind = "output" if output else "statement"
            return Tag(kind, tuple(tokens), start, at), at + 2 + signed
        token = _token(template, at)
        depth += (token.text in _OPEN) - (token.text in _CLOSE)
        tokens.append(token)
        at = token.end


def _token(template: str, at: int) -> Token:
    first = template[at]
    if first in "'\"":
        return Token("string", template[at : (end := _string_end(template, at))], at, end)
    if first.isdigit():
        return Token("number", template[at : (end := _number_end(template, at))], at, end)
    if first.isidentifier():
        return Token("name", template[at : (end := _word_end(template, at))], at, end)
    text = template[at : at + 2]
    if text not in _PAIRS:
        text = first
    if text not in _PAIRS and text not in _SINGLES:
        raise UnreadableTemplate(f"unexpected character {first!r} at offset {at}")
    return Token("operator", text, at, at + len(text))


def _string_end(template: str, at: int) -> int:
    quote, end = template[at], at + 1
    while end < len(template):
        if template[end] == quote:
            return end + 1
        end += 2 if template[end] == "\\" else 1
    raise UnreadableTemplate(f"the string at offset {at} does not end")


def _word_end(template: str, at: int) -> int:
    while at < len(template) and (template[at].isalnum() or template[at] == "_"):
        at += 1
    return at


def _number_end(template: str, at: int) -> int:
    """Digits, then a fraction, then an exponent; also ``0x1f`` and ``1_000``."""
    end = _word_end(template, at)
    if template[end : end + 1] == "." and template[end + 1 : end + 2].isdigit():
        end = _word_end(template, end + 1)
    exponent = template[end - 1] in "eE" and not template.startswith(("0x", "0X"), at)
    if exponent and template[end : end + 1] in ("-", "+") and template[end + 1 : end + 2].isdigit():
        end = _word_end(template, end + 1)
    return end
