"""Templates that minijinja must not see: it would overflow the stack, which ends the process.

Its parser counts brackets and blocks, and refuses more than 150 in one another. It does not count
what it nests without them: operators (``a + b + c`` is two deep), ``not``, signs, ``is``, ``if``,
what follows an operand (``a.b[0]()|e`` is four deep), the brackets around the targets of ``for``
and ``set``, and ``elif``. A megabyte of stack is enough for some 2,000 of the first and 800 of the
last.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from xworkflow.domain.template_tokens import Tag, UnreadableTemplate, scan

_MAX_STEPS: Final = 1_000
"""In one expression."""
_MAX_ELIFS: Final = 500
"""In one template."""
_OPERATORS: Final = frozenset(
    {"+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "not", "is", "if"}
)
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")
_FOLLOWERS: Final = frozenset({".", "|"}) | _OPEN
_SEPARATORS: Final = frozenset({",", ":", "="})
_WRITTEN: Final = re.compile(r"[-+*/%~.|(\[{]|\b(?:and|or|not|is|if)\b")
_ELIF: Final = re.compile(r"\belif\b")


def too_deep(template: str) -> str | None:
    """What is nested too deeply; None for a template that may be parsed. Linear in the template."""
    if len(template) <= _MAX_STEPS:
        return None
    steps, elifs = len(_WRITTEN.findall(template)), len(_ELIF.findall(template))
    if steps > _MAX_STEPS or elifs > _MAX_ELIFS:
        try:
            tags = [part for part in scan(template) if isinstance(part, Tag)]
        except UnreadableTemplate:
            pass  # what stands in its tags is not known, so all of it counts
        else:
            steps = max((_steps(token.text for token in tag.tokens) for tag in tags), default=0)
            elifs = sum(tag.keyword == "elif" for tag in tags)
    if steps > _MAX_STEPS:
        return f"an expression has more than {_MAX_STEPS} operators, accesses and calls in a row"
    if elifs > _MAX_ELIFS:
        return f"the template has more than {_MAX_ELIFS} elif"
    return None


def _steps(tokens: Iterable[str]) -> int:
    """How deep an expression is nested, at most: the operators of a part between separators, and
    of its operands the one with the most behind it; a bracket begins within what is around it."""
    deepest = around = 0
    operators = longest = following = 0
    outer: list[tuple[int, int, int]] = []
    for token in tokens:
        if token in _SEPARATORS:
            operators = longest = following = 0
        elif token in _OPERATORS:
            operators, following = operators + 1, 0
        elif token in _FOLLOWERS:
            following += 1
            longest = max(longest, following)
        deepest = max(deepest, around + operators + longest)
        if token in _OPEN:
            outer.append((operators, longest, following))
            around += operators + longest
            operators = longest = following = 0
        elif token in _CLOSE and outer:
            operators, longest, following = outer.pop()
            around -= operators + longest
    return deepest
