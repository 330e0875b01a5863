"""Secret variables are read in fields that an activity resolves, and nowhere else: E070, E071.

Everywhere else their value would enter the run's history. The data itself is looked through, so
that bodies, and types that this version does not know, count as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references
from xworkflow.domain.secret_references import LLM_TYPES, NAMESPACE, READERS
from xworkflow.domain.selectors import Dialect, SelectorError, parse_selector
from xworkflow.domain.values import JsonValue
from xworkflow.engine.validation.subject import Subject

_BODIES: Final = ("sub_graph", "subGraph")
_TARGETS: Final = ("target_selector", "assigned_variable_selector", "write_selector")


def check_secrets(subject: Subject) -> Iterator[Diagnostic]:
    """Findings for every node that reads, or writes, a secret variable where it must not."""
    schema = subject.schema
    names = schema.secret_names
    if not names:
        return
    for node in schema.nodes:
        if not subject.accepted_unseen(node):
            yield from _check_node(node.id, node.type, node.data, names, schema.dialect)
    handler = schema.error_handler
    for spec in handler.sub_graph.nodes if handler is not None else ():
        yield from _check_node(spec.id, spec.type, spec.data, names, schema.dialect)


def _check_node(
    node_id: str, node_type: str, data: JsonValue, names: frozenset[str], dialect: Dialect
) -> Iterator[Diagnostic]:
    for path, name in _reads(data, names, dialect, ()):
        field = ".".join(path)
        if path[-1] in _TARGETS:
            text = f"the secret variable 'env.{name}' cannot be written to"
            yield finding("E071", text, node=node_id, field=field)
        elif not _may_read(node_type, path):
            text = (
                f"the secret variable 'env.{name}' cannot be read here: its value would be kept "
                "with the run; read it in an http-request, a tool, or a model's credentials"
            )
            yield finding("E070", text, node=node_id, field=field)
    for inner_id, inner_type, inner in _inner_nodes(data):
        yield from _check_node(inner_id, inner_type, inner, names, dialect)


def _may_read(node_type: str, path: tuple[str, ...]) -> bool:
    if node_type in READERS:
        return True
    return node_type in LLM_TYPES and path[:2] == ("model", "credentials")


def _reads(
    value: JsonValue, names: frozenset[str], dialect: Dialect, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    """(path, name) of every place that names a secret variable."""
    if isinstance(value, str):
        yield from ((path, name) for name in _named_in(value, names, dialect, path))
    elif isinstance(value, dict):
        for key, item in cast("dict[str, Any]", value).items():
            if key in _BODIES:
                continue
            yield from ((path, name) for name in _named_in(key, names, dialect, path))
            yield from _reads(item, names, dialect, (*path, key))
    elif isinstance(value, list):
        items = cast("list[Any]", value)
        if len(items) > 1 and items[0] == NAMESPACE and items[1] in names:
            yield path, str(items[1])
        for item in items:
            yield from _reads(item, names, dialect, path)


def _named_in(
    text: str, names: frozenset[str], dialect: Dialect, path: tuple[str, ...]
) -> Iterator[str]:
    found = list(references(text, dialect, trim=True))
    if path and path[-1].endswith("selector"):
        with suppress(SelectorError):  # said elsewhere (E217)
            found.append(parse_selector(text))
    for selector in found:
        if selector[0] == NAMESPACE and len(selector) > 1 and selector[1] in names:
            yield selector[1]


def _inner_nodes(data: JsonValue) -> Iterator[tuple[str, str, JsonValue]]:
    """The nodes of the bodies that lie directly in a node's data, as they are drawn."""
    if not isinstance(data, dict):
        return
    for key in _BODIES:
        body = cast("dict[str, Any]", data).get(key)
        nodes: Any = cast("dict[str, Any]", body).get("nodes") if isinstance(body, dict) else None
        for raw in cast("list[Any]", nodes) if isinstance(nodes, list) else []:
            if isinstance(raw, dict):
                inner = cast("dict[str, Any]", raw)
                drawn = inner.get("data")
                drawn = cast("dict[str, Any]", drawn) if isinstance(drawn, dict) else {}
                yield str(inner.get("id")), str(drawn.get("type") or inner.get("type")), drawn
