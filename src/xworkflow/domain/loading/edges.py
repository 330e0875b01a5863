"""Edges: the same in both dialects and in bodies (spec/graph.md 1.4)."""

from __future__ import annotations

from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import Object, as_object, optional_string, string_at
from xworkflow.domain.schema import EdgeSpec
from xworkflow.domain.values import JsonValue


def edges_of(path: str, items: list[JsonValue], findings: Findings) -> tuple[EdgeSpec, ...]:
    """The edges that have a right shape; each of the others becomes a finding."""
    return findings.each(path, items, lambda i, raw: edge_of(i, raw, findings.line_of(raw)))


def edge_of(index: int, raw: JsonValue, line: int | None) -> EdgeSpec:
    """One edge; one without an id gets ``edge_<index>``. Raises ShapeError."""
    edge = as_object(raw, "edge")
    return EdgeSpec(
        id=optional_string(edge, "id") or f"edge_{index}",
        source=string_at(edge, "source"),
        target=string_at(edge, "target"),
        source_handle=_handle(edge),
        line=line,
    )


def _handle(edge: Object) -> str | None:
    handle = optional_string(edge, "source_handle")
    return optional_string(edge, "sourceHandle") if handle is None else handle
