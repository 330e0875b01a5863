"""Bodies of the native dialect: whole graphs inside of a node or of the error handler (7.1)."""

from __future__ import annotations

from typing import Final

from xworkflow.domain.loading.edges import edge_of
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.policies import Policies
from xworkflow.domain.loading.shapes import (
    Object,
    ShapeError,
    as_object,
    list_at,
    optional_object,
    optional_string,
    string_at,
)
from xworkflow.domain.schema import EdgeSpec, NodeSpec, SubGraph
from xworkflow.domain.values import JsonValue

CONTAINERS: Final = frozenset({"iteration", "loop", "list-operator"})

_ALIASES: Final = {"template": "template-transform"}


def with_body(data: Object, node_type: str, findings: Findings) -> Object:
    """The data of a node, the body of a container normalised: edges have ids, nodes their types.

    A body of a wrong shape stays as it is drawn: the container's own data model refuses it.
    """
    raw = data.get("sub_graph")
    if node_type not in CONTAINERS or not isinstance(raw, dict):
        return data
    try:
        body = body_of(as_object(raw, "sub_graph"), findings)
    except ShapeError:
        return data
    return {**data, "sub_graph": body.model_dump(mode="json", exclude_defaults=True)}


def body_of(raw: Object, findings: Findings) -> SubGraph:
    """A body, of a node or of the error handler. Raises ShapeError."""
    return SubGraph(
        nodes=tuple(_node(i, n, findings) for i, n in enumerate(list_at(raw, "nodes"))),
        edges=tuple(_edge(i, e, findings) for i, e in enumerate(list_at(raw, "edges"))),
    )


def _node(index: int, raw: JsonValue, findings: Findings) -> NodeSpec:
    try:
        node = as_object(raw)
        data = optional_object(node, "data") or {}
        drawn_type = _type_of(node, data)
        node_id = string_at(node, "id")
        # the reference ignores policies in bodies, so a wrong one stops no run
        policies = Policies(data, node_id, findings, code="W013")
        line = findings.line_of(raw)
        if line is not None:
            findings.inner_lines[node_id] = line
        return NodeSpec(
            id=node_id,
            type=_ALIASES.get(drawn_type, drawn_type),
            title=optional_string(node, "title") or optional_string(data, "title") or "",
            data=with_body(data, drawn_type, findings),
            error_strategy=policies.error_strategy(),
            retry_config=policies.retry_config(),
            timeout_secs=policies.timeout_secs(),
            line=line,
        )
    except ShapeError as error:
        raise error.inside(f"nodes[{index}]") from None


def _type_of(node: Object, data: Object) -> str:
    drawn = optional_string(node, "type") or optional_string(data, "type")
    if drawn is None:
        raise ShapeError("type", "is missing: Sub-graph node type is missing")
    return drawn


def _edge(index: int, raw: JsonValue, findings: Findings) -> EdgeSpec:
    try:
        return edge_of(index, raw, findings.line_of(raw))
    except ShapeError as error:
        raise error.inside(f"edges[{index}]") from None
