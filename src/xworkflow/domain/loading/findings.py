"""Collecting what is wrong with a file, so that one reading reports all of it."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import TypeVar, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.loading.shapes import Object, ShapeError
from xworkflow.domain.values import JsonValue

T = TypeVar("T")


class Findings:
    """The diagnostics of one reading. Lines are looked up by the object that is wrong."""

    def __init__(self, lines: Mapping[int, int]) -> None:
        self._lines = lines
        self._found: list[Diagnostic] = []
        self.inner_lines: dict[str, int] = {}
        """Where the nodes of bodies stand; a body becomes JSON, which keeps no lines."""

    @property
    def found(self) -> tuple[Diagnostic, ...]:
        return tuple(self._found)

    def line_of(self, value: JsonValue) -> int | None:
        """Where an object of the document begins; None for formats that keep no lines."""
        return self._lines.get(id(value))

    def add(  # noqa: PLR0913
        self,
        code: str,
        message: str,
        *,
        node: str | None = None,
        edge: str | None = None,
        field: str | None = None,
        at: JsonValue = None,
    ) -> None:
        line = self.line_of(at)
        self._found.append(finding(code, message, node=node, edge=edge, field=field, line=line))

    @contextmanager
    def catching(self, path: str, at: JsonValue) -> Generator[None]:
        """Report a wrong shape inside of the block as E001, and go on behind it."""
        try:
            yield
        except ShapeError as error:
            wrong = error.inside(path) if path else error
            self.add("E001", str(wrong), node=_id_of(at), field=wrong.field, at=at)

    def each(
        self, path: str, items: list[JsonValue], read: Callable[[int, JsonValue], T | None]
    ) -> tuple[T, ...]:
        """``read(index, item)`` of every item that has a right shape and is not None."""
        good: list[T] = []
        for index, item in enumerate(items):
            with self.catching(f"{path}[{index}]", item):
                result = read(index, item)
                if result is not None:
                    good.append(result)
        return tuple(good)


def _id_of(raw: JsonValue) -> str | None:
    """The node that a wrong object would have been; edges and variables have no node id."""
    if not isinstance(raw, dict) or "data" not in raw or "source" in raw:
        return None
    node_id = cast("Object", raw).get("id")
    return node_id if isinstance(node_id, str) else None
