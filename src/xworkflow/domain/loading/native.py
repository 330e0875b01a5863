"""The native dialect (spec/graph.md 1.2 to 1.4): parsed text to a schema."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final, TypeVar

from xworkflow.domain.loading.bodies import body_of, with_body
from xworkflow.domain.loading.edges import edges_of
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.policies import Policies
from xworkflow.domain.loading.shapes import (
    Object,
    ShapeError,
    as_object,
    list_at,
    object_at,
    optional_list,
    optional_object,
    optional_string,
    string_at,
)
from xworkflow.domain.schema import (
    ConversationVariable,
    EnvironmentVariable,
    ErrorHandler,
    NodeSpec,
    SubGraph,
    WorkflowSchema,
)
from xworkflow.domain.secret_references import SECRET_TYPE
from xworkflow.domain.values import JsonValue

SUPPORTED_VERSION: Final = "0.1.0"

T = TypeVar("T")

_MCP_ADDRESS: Final = {"stdio": "command", "http": "url"}
"""What a server of each transport cannot be reached without."""


def read_native(root: Object, findings: Findings, name: str) -> WorkflowSchema:
    """A schema of everything in the file that has a right shape; the rest goes to ``findings``.

    E001 for a wrong shape, E002 for a version other than 0.1.0, E217 for a node's wrong policies.
    """
    read_node = partial(_node, findings=findings)
    return WorkflowSchema(
        dialect="native",
        version=_version(root, findings),
        name=name,
        nodes=findings.each("nodes", _required_list(root, "nodes", findings), read_node),
        edges=edges_of(_required_list(root, "edges", findings), findings),
        environment_variables=_section(root, "environment_variables", _environment, findings),
        conversation_variables=_section(root, "conversation_variables", _conversation, findings),
        error_handler=_error_handler(root, findings),
        mcp_servers=_mcp_servers(root, findings),
        # filled while the lines above were read
        inner_lines=findings.inner_lines,
    )


def _version(root: Object, findings: Findings) -> str:
    with findings.catching("", root):
        version = string_at(root, "version")
        if version != SUPPORTED_VERSION:
            findings.add(
                "E002",
                f"Unsupported DSL version: {version}, supported versions: {SUPPORTED_VERSION}",
                field="version",
            )
        return version
    return SUPPORTED_VERSION


def _required_list(root: Object, key: str, findings: Findings) -> list[JsonValue]:
    with findings.catching("", root):
        return list_at(root, key)
    return []


def _section(
    root: Object, key: str, read: Callable[[Object], T], findings: Findings
) -> tuple[T, ...]:
    items: list[JsonValue] = []
    with findings.catching("", root):
        items = optional_list(root, key)
    return findings.each(key, items, lambda _, raw: read(as_object(raw)))


def _node(index: int, raw: JsonValue, findings: Findings) -> NodeSpec:
    del index
    node = as_object(raw)
    node_id, data = string_at(node, "id"), object_at(node, "data")
    node_type = string_at(data, "type")
    policies = Policies(data, node_id, findings)
    return NodeSpec(
        id=node_id,
        type=node_type,
        title=optional_string(data, "title") or "",
        data=with_body(data, node_type, findings),
        error_strategy=policies.error_strategy(),
        retry_config=policies.retry_config(),
        timeout_secs=policies.timeout_secs(),
        line=findings.line_of(raw),
    )


def _environment(raw: Object) -> EnvironmentVariable:
    name = string_at(raw, "name")
    # our addition: the native form knows no types here
    if optional_string(raw, "value_type") == SECRET_TYPE:
        secret = optional_string(raw, "value") or None
        return EnvironmentVariable(name=name, value_type=SECRET_TYPE, secret=secret)
    return EnvironmentVariable(name=name, value=string_at(raw, "value"))


def _conversation(raw: Object) -> ConversationVariable:
    return ConversationVariable(
        name=string_at(raw, "name"), type=string_at(raw, "type"), default=raw.get("default")
    )


def _error_handler(root: Object, findings: Findings) -> ErrorHandler | None:
    with findings.catching("", root):
        handler = optional_object(root, "error_handler")
        if handler is None:
            return None
        with findings.catching("error_handler", handler):
            mode = optional_string(handler, "mode") or "notify"
            if mode not in ("recover", "notify"):
                raise ShapeError("mode", f"must be recover or notify, not '{mode}'")
            return ErrorHandler(sub_graph=_handler_body(handler, findings), mode=mode)
    return None


def _handler_body(handler: Object, findings: Findings) -> SubGraph:
    raw = object_at(handler, "sub_graph")
    try:
        return body_of(raw, findings)
    except ShapeError as error:
        raise error.inside("sub_graph") from None


def _mcp_servers(root: Object, findings: Findings) -> dict[str, Any]:
    servers: Object = {}
    with findings.catching("", root):
        servers = optional_object(root, "mcp_servers") or {}
    good: dict[str, Any] = {}
    for name, raw in servers.items():
        with findings.catching(f"mcp_servers.{name}", raw):
            good[name] = _mcp_server(as_object(raw))
    return good


def _mcp_server(server: Object) -> Object:
    transport = string_at(server, "transport")
    if transport not in _MCP_ADDRESS:
        raise ShapeError("transport", f"must be stdio or http, not '{transport}'")
    string_at(server, _MCP_ADDRESS[transport])
    return server
