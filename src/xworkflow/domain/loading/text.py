"""A text in one of three formats to plain JSON values. No dialect is known here.

Whatever the text holds, the result is null, booleans, numbers that a 64-bit float or integer can
hold, texts, lists and objects with text keys. What is no such number stays the text that it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from xworkflow.domain.loading.json_text import parse_json
from xworkflow.domain.loading.limits import MAX_BYTES, TOO_LARGE
from xworkflow.domain.loading.toml_text import parse_toml
from xworkflow.domain.loading.yaml_text import parse_yaml
from xworkflow.domain.values import JsonValue
from xworkflow.errors import DslParseError

Format = Literal["yaml", "json", "toml"]

_SUFFIXES: Mapping[str, Format] = MappingProxyType({"json": "json", "toml": "toml"})


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed text. ``lines`` has the line of every object of a YAML text, by its ``id()``."""

    root: JsonValue
    lines: Mapping[int, int] = field(default_factory=dict[int, int])


def format_of(path_name: str) -> Format:
    """The format that a file name's suffix names; YAML for every other name."""
    return _SUFFIXES.get(path_name.rpartition(".")[2].lower(), "yaml")


def parse(text: str | bytes, format: Format | None = None) -> Document:  # noqa: A002
    """Parse a text of at most 10 MB; no format means YAML. Raises DslParseError."""
    plain = _decoded(text)
    if not plain.strip():
        raise DslParseError("the text is empty")
    match format:
        case "json":
            return Document(parse_json(plain))
        case "toml":
            return Document(parse_toml(plain))
        case _:
            return Document(*parse_yaml(plain))


def _decoded(text: str | bytes) -> str:
    """The text, if it is UTF-8 of a bearable size; a byte order mark is dropped."""
    if len(text) > MAX_BYTES:
        raise DslParseError(TOO_LARGE)
    try:
        plain = text.decode() if isinstance(text, bytes) else text
        size = len(text) if isinstance(text, bytes) else len(text.encode())
    except UnicodeError:
        raise DslParseError("the text is not UTF-8") from None
    if size > MAX_BYTES:
        raise DslParseError(TOO_LARGE)
    return plain.removeprefix("\ufeff")
