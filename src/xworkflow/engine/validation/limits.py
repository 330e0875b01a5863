"""Sizes that a security policy still accepts (spec/graph.md 2.3): E020 to E024."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.values import JsonValue, compact_json
from xworkflow.engine.validation.subject import Subject

_BODY_KEYS = ("sub_graph", "subGraph")


def check_limits(subject: Subject, limits: DslLimits) -> Iterator[Diagnostic]:
    """Everything counts, bodies and what cannot be reached included."""
    schema = subject.schema
    handler = schema.error_handler
    drawn: list[JsonValue] = [node.data for node in schema.nodes]
    if handler is not None:
        drawn.append({"sub_graph": handler.sub_graph.model_dump(mode="json")})
    bodies = [body for data in drawn for body in _bodies(data)]
    yield from _check_counts(subject, bodies, limits)
    for node in schema.nodes:
        yield from _check_node(node.id, node.data, subject, limits)
        depth = _depth(node.data)
        if depth > limits.max_nesting_depth:
            yield _too_deep(depth, limits, node.id)
    for inner in (node for body in bodies for node in _listed(body, "nodes")):
        if isinstance(inner, dict):
            found = cast("dict[str, Any]", inner)
            yield from _check_node(str(found.get("id", "")), found.get("data"), subject, limits)
    if handler is not None:
        depth = 1 + max((_depth(node.data) for node in handler.sub_graph.nodes), default=0)
        if depth > limits.max_nesting_depth:
            yield _too_deep(depth, limits, None)


def _check_counts(
    subject: Subject, bodies: list[JsonValue], limits: DslLimits
) -> Iterator[Diagnostic]:
    nodes = len(subject.nodes) + sum(len(_listed(body, "nodes")) for body in bodies)
    if nodes > limits.max_nodes:
        yield finding("E020", f"{nodes} nodes, at most {limits.max_nodes} allowed")
    edges = len(subject.edges) + sum(len(_listed(body, "edges")) for body in bodies)
    if edges > limits.max_edges:
        yield finding("E021", f"{edges} edges, at most {limits.max_edges} allowed")


def _check_node(
    node_id: str, data: JsonValue, subject: Subject, limits: DslLimits
) -> Iterator[Diagnostic]:
    if len(node_id) > limits.max_node_id_length:
        text = f"the id has {len(node_id)} characters, at most {limits.max_node_id_length} allowed"
        yield finding("E022", text, node=node_id, field="id")
    if subject.dialect == "dify" and isinstance(data, dict):
        # Dify draws its bodies beside their containers, not in them
        data = {key: v for key, v in cast("dict[str, Any]", data).items() if key not in _BODY_KEYS}
    size = len(compact_json(data).encode())
    if size > limits.max_node_config_bytes:
        text = f"the data has {size} bytes, at most {limits.max_node_config_bytes} allowed"
        yield finding("E023", text, node=node_id, field="data")


def _too_deep(depth: int, limits: DslLimits, node: str | None) -> Diagnostic:
    text = f"bodies are nested {depth} deep, at most {limits.max_nesting_depth} allowed"
    return finding("E024", text, node=node)


def _depth(value: JsonValue) -> int:
    """How many bodies lie in one another below a value."""
    return max((depth for _, depth in _walk(value)), default=0)


def _bodies(value: JsonValue) -> Iterator[JsonValue]:
    """Every body below a value."""
    for here, _ in _walk(value):
        if isinstance(here, dict):
            members = cast("dict[str, Any]", here)
            yield from (members[key] for key in _BODY_KEYS if key in members)


def _walk(value: JsonValue) -> Iterator[tuple[JsonValue, int]]:
    """A value and all that is in it, each with the number of bodies around it."""
    todo = [(value, 0)]
    while todo:
        here, depth = todo.pop()
        yield here, depth
        if isinstance(here, dict):
            for key, item in cast("dict[str, Any]", here).items():
                todo.append((item, depth + (key in _BODY_KEYS)))
        elif isinstance(here, list):
            todo.extend((item, depth) for item in cast("list[Any]", here))


def _listed(body: JsonValue, key: str) -> list[JsonValue]:
    found = cast("dict[str, Any]", body).get(key) if isinstance(body, dict) else None
    return cast("list[Any]", found) if isinstance(found, list) else []
