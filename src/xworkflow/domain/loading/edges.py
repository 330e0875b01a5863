"""Edges: the same in both dialects and in bodies (spec/graph.md 1.4)."""

from __future__ import annotations

from collections.abc import Callable

from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import Object, as_object, optional_string, string_at
from xworkflow.domain.schema import EdgeSpec
from xworkflow.domain.values import JsonValue

IdAt = Callable[[Object, str], str]


def edges_of(
    items: list[JsonValue], findings: Findings, id_at: IdAt = string_at
) -> tuple[EdgeSpec, ...]:
    """The edges that have a right shape; each of the others becomes a finding."""

    def read(index: int, raw: JsonValue) -> EdgeSpec:
        return edge_of(index, raw, findings.line_of(raw), id_at)

    return findings.each("edges", items, read)


def edge_of(index: int, raw: JsonValue, line: int | None, id_at: IdAt = string_at) -> EdgeSpec:
    """One edge; one without an id gets ``edge_<index>``. Raises ShapeError."""
    edge = as_object(raw)
    return EdgeSpec(
        id=optional_string(edge, "id") or f"edge_{index}",
        source=id_at(edge, "source"),
        target=id_at(edge, "target"),
        source_handle=_handle(edge),
        line=line,
    )


def _handle(edge: Object) -> str | None:
    handle = optional_string(edge, "source_handle")
    return optional_string(edge, "sourceHandle") if handle is None else handle
