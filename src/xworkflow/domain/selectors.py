"""Selectors: the addresses of values, ``[node, variable, deeper…]`` (spec/graph.md 1.7)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator

Selector: TypeAlias = tuple[str, ...]
Dialect = Literal["native", "dify"]

SCOPE: Final = "__scope__"
RESERVED: Final = frozenset({"sys", "env", "conversation", "loop"})
"""Namespaces that are no nodes; ``__scope__`` is not among them (2.2)."""


class SelectorError(ValueError):
    """A selector that cannot be read; the message says what is wrong with it."""


def parse_selector(raw: Any) -> Selector:  # noqa: ANN401 - whatever a file holds
    """Read a list of strings or a dotted string; empty parts are dropped.

    One part ``x`` means ``(__scope__, x)``. How many parts are allowed is the dialect's affair
    (``check_depth``). Raises SelectorError.
    """
    if isinstance(raw, str):
        parts = tuple(part for part in raw.split(".") if part)
    elif isinstance(raw, Sequence) and not isinstance(raw, (bytes, bytearray)):
        if not all(isinstance(part, (str, int)) for part in raw):  # pyright: ignore[reportUnknownVariableType]
            raise SelectorError("a selector is a list of texts")
        parts = tuple(str(part) for part in raw if part != "")  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    else:
        raise SelectorError(f"a selector is a list of texts or a dotted text, not {raw!r}")
    if not parts:
        raise SelectorError("empty selector")
    return (SCOPE, parts[0]) if len(parts) == 1 else parts


def check_depth(selector: Selector, dialect: Dialect) -> Selector:
    """Native selectors have exactly two parts; Dify's go on into objects and files."""
    if dialect == "native" and len(selector) > 2:  # noqa: PLR2004
        raise SelectorError(f"selector {list(selector)} has more than two parts")
    return selector


SelectorField = Annotated[tuple[str, ...], BeforeValidator(parse_selector)]
"""A selector in a node's data model; accepts both written forms."""


def show(selector: Selector) -> str:
    """The dotted form for messages."""
    return ".".join(selector[1:] if selector[0] == SCOPE else selector)
