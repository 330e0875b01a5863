"""TOML text to JSON values: date-times become texts (spec/graph.md 1.1)."""

from __future__ import annotations

import re
import tomllib
from typing import Final

from xworkflow.domain.loading.checked import checked
from xworkflow.domain.loading.limits import (
    MAX_TOML_BYTES,
    MAX_TOML_KEY,
    TOO_DEEP,
    TOO_LARGE_TOML,
)
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError

_KEY_PART: Final = r"""(?:[\w-]++|"[^"\n]*+"|'[^'\n]*+')"""
_LONG_KEY: Final = re.compile(
    rf"""(?<![\w.'"-]){_KEY_PART}(?:[ \t]*+\.[ \t]*+{_KEY_PART}){{{MAX_TOML_KEY}}}"""
)
"""A dotted key of absurd length: 50 KB of these keep the standard parser busy for ten seconds."""


def parse_toml(text: str) -> JsonValue:
    """Parse TOML of at most 1 MB. Raises DslParseError."""
    if len(text.encode()) > MAX_TOML_BYTES:
        raise DslParseError(TOO_LARGE_TOML)
    if _LONG_KEY.search(text):
        raise DslParseError(f"the text holds a dotted key of more than {MAX_TOML_KEY} parts")
    try:
        return checked(tomllib.loads(text))
    except RecursionError:
        raise DslParseError(TOO_DEEP) from None
    except ValueError as error:
        raise DslParseError(str(error), line=_line(str(error))) from None


def _line(message: str) -> int | None:
    # before Python 3.14 the error has no attribute for it
    found = re.search(r"\(at line (\d+), column \d+\)", message)
    return int(found[1]) if found else None
