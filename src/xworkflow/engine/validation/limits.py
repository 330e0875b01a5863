"""Sizes that a security policy still accepts (spec/graph.md 2.3): E020 to E024."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.schema import NodeSpec
from xworkflow.domain.values import JsonValue, compact_json
from xworkflow.engine.validation.subject import Subject

_BODY_KEYS = ("sub_graph", "subGraph")


def check_limits(subject: Subject, limits: DslLimits) -> Iterator[Diagnostic]:
    """Everything counts, bodies and what cannot be reached included."""
    schema = subject.schema
    if len(schema.nodes) > limits.max_nodes:
        yield finding("E020", f"{len(schema.nodes)} nodes, at most {limits.max_nodes} allowed")
    if len(schema.edges) > limits.max_edges:
        yield finding("E021", f"{len(schema.edges)} edges, at most {limits.max_edges} allowed")
    for node in schema.nodes:
        yield from _check_node(node, limits)
    handler = schema.error_handler
    if handler is not None:
        depth = 1 + max((_depth(node.data) for node in handler.sub_graph.nodes), default=0)
        if depth > limits.max_nesting_depth:
            yield _too_deep(depth, limits, None)


def _check_node(node: NodeSpec, limits: DslLimits) -> Iterator[Diagnostic]:
    if len(node.id) > limits.max_node_id_length:
        text = f"the id has {len(node.id)} characters, at most {limits.max_node_id_length} allowed"
        yield finding("E022", text, node=node.id, field="id")
    size = len(compact_json(node.data).encode())
    if size > limits.max_node_config_bytes:
        text = f"the data has {size} bytes, at most {limits.max_node_config_bytes} allowed"
        yield finding("E023", text, node=node.id, field="data")
    depth = _depth(node.data)
    if depth > limits.max_nesting_depth:
        yield _too_deep(depth, limits, node.id)


def _too_deep(depth: int, limits: DslLimits, node: str | None) -> Diagnostic:
    text = f"bodies are nested {depth} deep, at most {limits.max_nesting_depth} allowed"
    return finding("E024", text, node=node)


def _depth(value: JsonValue) -> int:
    """How many bodies lie in one another below a value."""
    deepest, todo = 0, [(value, 0)]
    while todo:
        here, depth = todo.pop()
        deepest = max(deepest, depth)
        if isinstance(here, dict):
            for key, item in cast("dict[str, Any]", here).items():
                todo.append((item, depth + (key in _BODY_KEYS)))
        elif isinstance(here, list):
            todo.extend((item, depth) for item in cast("list[Any]", here))
    return deepest
