"""Regular expressions of users, run where nothing may take long: without backtracking, and bounded.

The engine is the Rust one of pydantic-core, whose time grows with the text times the pattern; what
it cannot do in such time (look-around, backreferences) it refuses to compile. As counted
repetitions make large patterns out of small ones, the size with all of them written out is bounded,
and so is its product with the length of a text: the worst takes some tenths of a second.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from pydantic_core import SchemaError, SchemaValidator, core_schema

MAX_SIZE: Final = 10_000
"""Characters of a pattern with its repetitions written out."""
MAX_WORK: Final = 20_000_000
"""Size of the pattern times length of the text."""

_COUNT: Final = r"\{\s*(\d*)\s*(?:,\s*(\d*)\s*)?\}"
_TOKEN: Final = re.compile(
    rf"(?P<verbose>\(\?[a-zA-Z]*x[a-zA-Z-]*[:)])|(?P<count>{_COUNT})|(?P<open>\()|(?P<close>\))"
    r"|\\.|\[\^?\]?(?:\\.|[^\]\\])*+\]?|.",
    re.DOTALL,
)


class PatternError(ValueError):
    """A pattern that is not run here; the message says why."""


class TooLongError(ValueError):
    """A text that is too long for its pattern."""


def check_pattern(pattern: str) -> str:
    """The pattern as it is. Raises PatternError where it is wrong, not linear, or too large."""
    _compiled(pattern)
    return pattern


def found_in(pattern: str, text: str) -> bool:
    """Whether the pattern matches anywhere in the text. Raises PatternError, TooLongError."""
    validator, size = _compiled(pattern)
    if size * (len(text) + 1) > MAX_WORK:
        raise TooLongError("the text is too long for its pattern")
    return validator.isinstance_python(text)


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> tuple[SchemaValidator, int]:
    size = len(pattern) if len(pattern) > MAX_SIZE else _written_out(pattern)
    if size > MAX_SIZE:
        raise PatternError(f"too large: {size} characters when its repetitions are written out")
    try:
        schema = core_schema.str_schema(pattern=pattern, regex_engine="rust-regex", strict=True)
        return SchemaValidator(schema), size
    except SchemaError as error:
        # the last line is the reason; those before it draw the place
        reason = str(error).strip().splitlines()[-1].strip()
        raise PatternError(reason.removeprefix("SchemaError: ")) from None


def _written_out(pattern: str) -> int:
    """How long a pattern is once ``x{1,3}`` is written ``xxx``; never less than the truth.

    Where a class holds classes, what is left of it counts as if it stood outside.
    """
    open_groups: list[int] = []
    total, last = 0, 0
    for token in _TOKEN.finditer(pattern):
        if token["verbose"]:
            raise PatternError("the flag x (spaces and comments in a pattern) is not supported")
        if token["open"]:
            open_groups.append(total)
            total, last = 0, 0
        elif token["close"]:
            last = total + 1
            total = open_groups.pop() + last if open_groups else last
        elif token["count"]:
            times = max(1, *(_number(n) for n in token.group(3, 4)))
            last, total = last * times, total + last * (times - 1)
        else:
            last, total = 1, total + 1
        if total > MAX_SIZE:
            return total
    return total + sum(open_groups)


def _number(digits: str | None) -> int:
    # Python refuses to read thousands of digits
    return 0 if not digits else int(digits) if len(digits) < 10 else MAX_SIZE + 1  # noqa: PLR2004
