"""Templates that minijinja must not see: it would overflow the stack, which ends the process.

Its parser counts brackets and blocks, and refuses more than 150 in one another. It does not count
what it nests without them: operators (``a + b + c`` is two deep), ``not``, signs, and ``elif``. A
megabyte of stack is enough for some 3,000 of the first and 900 of the last.
"""

from __future__ import annotations

import re
from typing import Final

from xworkflow.domain.template_tokens import Tag, UnreadableTemplate, scan

_MAX_OPERATORS: Final = 1_000
"""In one expression."""
_MAX_ELIFS: Final = 500
"""In one template."""
_OPERATORS: Final = frozenset({"+", "-", "*", "/", "//", "%", "**", "~", "and", "or", "not"})
_WRITTEN: Final = re.compile(r"[-+*/%~]|\b(?:and|or|not)\b")
_ELIF: Final = re.compile(r"\belif\b")


def too_deep(template: str) -> str | None:
    """What is nested too deeply; None for a template that may be parsed. Linear in the template."""
    if len(template) <= _MAX_OPERATORS:
        return None
    operators, elifs = len(_WRITTEN.findall(template)), len(_ELIF.findall(template))
    if operators > _MAX_OPERATORS or elifs > _MAX_ELIFS:
        try:
            tags = [part for part in scan(template) if isinstance(part, Tag)]
        except UnreadableTemplate:
            pass  # what stands in its tags is not known, so all of it counts
        else:
            counts = (sum(t.text in _OPERATORS for t in tag.tokens) for tag in tags)
            operators = max(counts, default=0)
            elifs = sum(tag.keyword == "elif" for tag in tags)
    if operators > _MAX_OPERATORS:
        return f"an expression has more than {_MAX_OPERATORS} operators"
    if elifs > _MAX_ELIFS:
        return f"the template has more than {_MAX_ELIFS} elif"
    return None
