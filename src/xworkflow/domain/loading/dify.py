"""Dify's dialect: an export of an app, or a bare graph, to a schema (spec/dify.md E1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

from xworkflow.domain.loading.dify_bodies import fold
from xworkflow.domain.loading.dify_nodes import is_note, node_of
from xworkflow.domain.loading.edges import edges_of
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import (
    Object,
    ShapeError,
    as_object,
    id_at,
    list_at,
    optional_list,
    optional_object,
    optional_string,
    string_at,
)
from xworkflow.domain.loading.typed_values import TypedValueError, typed
from xworkflow.domain.schema import (
    ConversationVariable,
    EnvironmentVariable,
    NodeSpec,
    WorkflowSchema,
)
from xworkflow.domain.secret_references import SECRET_TYPE
from xworkflow.domain.values import JsonValue, display

LATEST_VERSION: Final = (0, 6, 0)
OLDEST_VERSION: Final = "0.1.0"
"""What a file without a version has (Dify's own rule)."""
DRAWN_MODES: Final = ("workflow", "advanced-chat")

_VERSION: Final = re.compile(r"[0-9]{1,6}(?:\.[0-9]{1,6}){0,3}")

V = TypeVar("V", EnvironmentVariable, ConversationVariable)


def read_dify(root: Object, findings: Findings, name: str) -> WorkflowSchema | None:
    """A schema of everything in the file that has a right shape; the rest goes to ``findings``.

    None, with E060, for an app that is no drawn workflow. W010 for a version newer than the known
    ones, W012 for a variable that is not of its declared type, W102 for an edge across the border
    of a body, E217 for a node's wrong policies, E001 for a wrong shape. Raises ShapeError where
    there is no graph.
    """
    app = optional_object(root, "app") or {}
    mode = optional_string(app, "mode") or "workflow"
    if _is_undrawn(root, mode, findings):
        return None
    workflow = _workflow(root)
    graph = _graph(workflow)
    read_node = partial(_node, findings=findings)
    nodes = findings.each("nodes", list_at(graph, "nodes"), read_node)
    edges = edges_of(optional_list(graph, "edges"), findings, id_at)
    folded = fold(nodes, edges, findings)
    top = {node.id for node in folded.nodes}
    lines = {node.id: node.line for node in nodes if node.line is not None}
    return WorkflowSchema(
        dialect="dify",
        version=_version(root, findings),
        name=optional_string(app, "name") or name,
        mode=mode,
        nodes=folded.nodes,
        edges=folded.edges,
        environment_variables=_variables(workflow, "environment_variables", _environment, findings),
        conversation_variables=_variables(
            workflow, "conversation_variables", _conversation, findings
        ),
        inner_lines={name: line for name, line in lines.items() if name not in top},
    )


def _is_undrawn(root: Object, mode: str, findings: Findings) -> bool:
    """Whether the app is of a kind that has no workflow; reports it."""
    reason = ""
    if root.get("kind") == "rag_pipeline":
        reason = "a RAG pipeline fills a knowledge base and cannot be run as a workflow"
    elif root.get("workflow") is None and (mode not in DRAWN_MODES or "model_config" in root):
        reason = f"an app of mode '{mode}' has no drawn workflow"
    if reason:
        findings.add("E060", f"{reason}; export an app of mode {' or '.join(DRAWN_MODES)}", at=root)
    return bool(reason)


def _workflow(root: Object) -> Object:
    """The block that holds the graph; a bare graph is its own."""
    if "workflow" not in root and "nodes" in root:
        return root
    if root.get("workflow") is None:
        raise ShapeError("workflow", "is missing")
    return as_object(root["workflow"], "workflow")


def _graph(workflow: Object) -> Object:
    if "graph" not in workflow and "nodes" in workflow:
        return workflow
    if workflow.get("graph") is None:
        raise ShapeError("workflow.graph", "is missing")
    return as_object(workflow["graph"], "workflow.graph")


def _version(root: Object, findings: Findings) -> str:
    version = OLDEST_VERSION
    with findings.catching("", root):
        version = optional_string(root, "version") or OLDEST_VERSION
        if not _is_known(version):
            latest = ".".join(map(str, LATEST_VERSION))
            findings.add(
                "W010",
                f"version {version} of the export is unknown; the newest known one is {latest}",
                field="version",
                at=root,
            )
    return version


def _is_known(version: str) -> bool:
    if not _VERSION.fullmatch(version):
        return False
    return tuple(map(int, version.split("."))) <= LATEST_VERSION


def _node(index: int, raw: JsonValue, findings: Findings) -> NodeSpec | None:
    del index
    node = as_object(raw)
    return None if is_note(node) else node_of(node, findings)


def _variables(
    workflow: Object, key: str, read: Callable[[Object, Findings], V], findings: Findings
) -> tuple[V, ...]:
    items: list[JsonValue] = []
    with findings.catching("workflow", workflow):
        items = optional_list(workflow, key)
    return findings.each(key, items, lambda _, raw: read(as_object(raw), findings))


def _environment(raw: Object, findings: Findings) -> EnvironmentVariable:
    name, declared = string_at(raw, "name"), optional_string(raw, "value_type") or "string"
    if declared == SECRET_TYPE:
        secret = display(raw.get("value")) or None
        return EnvironmentVariable(name=name, value_type=declared, secret=secret)
    value = _value(raw, name, declared, findings)
    return EnvironmentVariable(name=name, value=value, value_type=declared)


def _conversation(raw: Object, findings: Findings) -> ConversationVariable:
    name, declared = string_at(raw, "name"), optional_string(raw, "value_type") or "string"
    return ConversationVariable(
        name=name, type=declared, default=_value(raw, name, declared, findings)
    )


def _value(raw: Object, name: str, declared: str, findings: Findings) -> JsonValue:
    value = raw.get("value")
    try:
        return typed(value, declared)
    except TypedValueError as error:
        if value == "":
            return None
        findings.add("W012", f"variable '{name}': {error}; it stays a text", at=raw)
        return value
