"""On which line of a TOML text a key stands, for messages. ``tomllib`` does not say."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Sequence
from typing import Any, Final

_HEADER: Final = re.compile(r"^\s*\[\[?(?P<key>[^#\n]*?)\]\]?\s*(#.*)?$")
_PART: Final = r"""(?:[\w-]+|"[^"]*"|'[^']*')"""
_KEY: Final = re.compile(rf"^\s*(?P<key>{_PART}(?:\s*\.\s*{_PART})*)\s*=")
_DEEPEST: Final = 60


class KeyLines:
    """The lines of a text's keys and tables, found in one pass. A guess within text blocks of
    several lines, which may look like keys."""

    def __init__(self, text: str) -> None:
        self._lines: dict[tuple[str, ...], int] = {}
        table: tuple[str, ...] = ()
        for number, line in enumerate(text.splitlines(), start=1):
            header = _HEADER.match(line)
            key = None if header else _KEY.match(line)
            if header:
                table = here = _parts(header["key"])
            elif key:
                here = (*table, *_parts(key["key"]))
            else:
                continue
            for length in range(1, min(len(here), _DEEPEST) + 1):  # "a.b.c = 1" is where a.b begins
                self._lines.setdefault(here[:length], number)

    def line_of(self, path: Sequence[str]) -> int | None:
        """The line (from 1) of the key, or of the closest table around it."""
        whole = tuple(path)
        lengths = range(len(whole), 0, -1)
        found = (self._lines.get(whole[:length]) for length in lengths)
        return next((line for line in found if line is not None), None)


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
