"""On which line of a TOML text a key stands, for messages. ``tomllib`` does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final

_HEADER: Final = re.compile(r"^\s*\[\[?(?P<key>[^#\n]*?)\]\]?\s*(#.*)?$")
_KEY: Final = re.compile(r"""^\s*(?P<key>(?:[\w-]+|"[^"]*"|'[^']*'|\s*\.\s*)+)\s*=""")


def line_of(text: str, path: Sequence[str]) -> int | None:
    """The line (from 1) of the key, or of the closest table around it. A guess within text blocks
    of several lines, which may look like keys."""
    best, found, table = 0, None, ()
    for number, line in enumerate(text.splitlines(), start=1):
        header = _HEADER.match(line)
        key = None if header else _KEY.match(line)
        if header:
            table = here = _parts(header["key"])
        elif key:
            here = (*table, *_parts(key["key"]))
        else:
            continue
        shared = min(len(here), len(path))  # "a.b.c = 1" also is where a.b begins
        if shared > best and here[:shared] == tuple(path[:shared]):
            best, found = shared, number
    return found


def _parts(key: str) -> tuple[str, ...]:
    """A dotted key, split as TOML does."""
    try:
        inner: Any = tomllib.loads(f"{key} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    parts: list[str] = []
    while isinstance(inner, dict):
        ((part, inner),) = inner.items()  # pyright: ignore[reportUnknownVariableType]
        parts.append(str(part))  # pyright: ignore[reportUnknownArgumentType]
    return tuple(parts)
