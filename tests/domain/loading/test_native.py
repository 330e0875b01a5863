"""The native dialect: what loads, and what each wrong shape is called."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xworkflow.domain.diagnostics import Diagnostic
from xworkflow.domain.loading import load, read
from xworkflow.domain.schema import (
    ConversationVariable,
    EdgeSpec,
    EnvironmentVariable,
    ErrorStrategy,
    NodeSpec,
    RetryConfig,
    SubGraph,
)
from xworkflow.errors import DslParseError

START: dict[str, Any] = {"id": "start", "data": {"type": "start", "title": "Start"}}


def drawn(**parts: Any) -> str:
    return json.dumps({"version": "0.1.0", "nodes": [START], "edges": [], **parts})


def problems(text: str) -> list[tuple[str, str | None]]:
    return [(d.code, d.field_path) for d in read(text, "json").diagnostics]


def node(**data: Any) -> dict[str, Any]:
    return {"id": "n", "data": {"type": "code", **data}}


def test_a_whole_file_loads_into_the_schema() -> None:
    schema = load(
        """
version: "0.1.0"
features: {ignored: true}
environment_variables:
- {name: KEY, value: abc}
conversation_variables:
- {name: log, type: "array[string]", default: []}
nodes:
- id: start
  type: custom
  position: {x: 1, y: 2}
  data: {type: start, title: Start, variables: []}
- id: work
  data:
    type: code
    timeout_secs: 5
    error_strategy: {type: default-value, default_value: {x: 1}}
    retry_config: {max_retries: 2, retry_interval: 100}
edges:
- {source: start, target: work, targetHandle: target}
- {id: mine, source: work, target: start, sourceHandle: fail-branch}
- {source: work, target: start, source_handle: a, sourceHandle: b}
mcp_servers:
  files: {transport: stdio, command: serve, args: [a]}
""",
        name="demo",
    )
    assert (schema.dialect, schema.version, schema.name) == ("native", "0.1.0", "demo")
    assert schema.nodes == (
        NodeSpec(
            id="start",
            type="start",
            title="Start",
            data={"type": "start", "title": "Start", "variables": []},
            line=9,
        ),
        NodeSpec(
            id="work",
            type="code",
            data={
                "type": "code",
                "timeout_secs": 5,
                "error_strategy": {"type": "default-value", "default_value": {"x": 1}},
                "retry_config": {"max_retries": 2, "retry_interval": 100},
            },
            error_strategy=ErrorStrategy(type="default-value", default_value={"x": 1}),
            retry_config=RetryConfig(max_retries=2, retry_interval=100),
            timeout_secs=5,
            line=13,
        ),
    )
    assert schema.edges == (
        EdgeSpec(id="edge_0", source="start", target="work", line=20),
        EdgeSpec(id="mine", source="work", target="start", source_handle="fail-branch", line=21),
        EdgeSpec(id="edge_2", source="work", target="start", source_handle="a", line=22),
    )
    assert schema.environment_variables == (EnvironmentVariable(name="KEY", value="abc"),)
    assert schema.conversation_variables == (
        ConversationVariable(name="log", type="array[string]", default=[]),
    )
    assert schema.mcp_servers == {
        "files": {"transport": "stdio", "command": "serve", "args": ["a"]}
    }


def test_app_and_kind_are_ignored_beside_a_native_graph() -> None:
    schema = load(drawn(app={"name": "x"}, kind="app"), "json", name="given")
    assert (schema.dialect, schema.name) == ("native", "given")


WRONG: list[tuple[dict[str, Any], tuple[str, str]]] = [
    ({"version": 1}, ("E001", "version")),
    ({"version": "0.2.0"}, ("E002", "version")),
    ({"nodes": {}}, ("E001", "nodes")),
    ({"edges": None}, ("E001", "edges")),
    ({"nodes": ["x"]}, ("E001", "nodes[0]")),
    ({"nodes": [{"data": {"type": "start"}}]}, ("E001", "nodes[0].id")),
    ({"nodes": [{"id": 5, "data": {"type": "start"}}]}, ("E001", "nodes[0].id")),
    ({"nodes": [{"id": "a"}]}, ("E001", "nodes[0].data")),
    ({"nodes": [{"id": "a", "data": []}]}, ("E001", "nodes[0].data")),
    ({"nodes": [{"id": "a", "data": {}}]}, ("E001", "nodes[0].type")),
    ({"nodes": [node(title=5)]}, ("E001", "nodes[0].title")),
    ({"edges": [{"source": "a"}]}, ("E001", "edges[0].target")),
    ({"edges": [{"source": 1, "target": "b"}]}, ("E001", "edges[0].source")),
    (
        {"edges": [{"source": "a", "target": "b", "sourceHandle": True}]},
        ("E001", "edges[0].sourceHandle"),
    ),
    ({"environment_variables": {}}, ("E001", "environment_variables")),
    (
        {"environment_variables": [{"name": "A", "value": 5}]},
        ("E001", "environment_variables[0].value"),
    ),
    (
        {"conversation_variables": [{"name": "A"}]},
        ("E001", "conversation_variables[0].type"),
    ),
    ({"error_handler": []}, ("E001", "error_handler")),
    ({"error_handler": {}}, ("E001", "error_handler.sub_graph")),
    ({"error_handler": {"mode": "retry"}}, ("E001", "error_handler.mode")),
    (
        {"error_handler": {"sub_graph": {"nodes": [{"id": "a"}], "edges": []}}},
        ("E001", "error_handler.sub_graph.nodes[0].type"),
    ),
    (
        {"error_handler": {"sub_graph": {"nodes": [], "edges": [{}]}}},
        ("E001", "error_handler.sub_graph.edges[0].source"),
    ),
    ({"mcp_servers": []}, ("E001", "mcp_servers")),
    ({"mcp_servers": {"a": 5}}, ("E001", "mcp_servers.a")),
    ({"mcp_servers": {"a": {"transport": "tcp"}}}, ("E001", "mcp_servers.a.transport")),
    ({"mcp_servers": {"a": {"transport": "http"}}}, ("E001", "mcp_servers.a.url")),
    ({"nodes": [node(error_strategy="none")]}, ("E217", "error_strategy")),
    ({"nodes": [node(error_strategy={"type": "x"})]}, ("E217", "error_strategy.type")),
    (
        {"nodes": [node(retry_config={"max_retries": "2"})]},
        ("E217", "retry_config.max_retries"),
    ),
    (
        {"nodes": [node(retry_config={"retry_interval": -1})]},
        ("E217", "retry_config.retry_interval"),
    ),
    ({"nodes": [node(timeout_secs="5")]}, ("E217", "timeout_secs")),
    ({"nodes": [node(timeout_secs=-1)]}, ("E217", "timeout_secs")),
    ({"nodes": [node(timeout_secs=True)]}, ("E217", "timeout_secs")),
]


@pytest.mark.parametrize(("parts", "expected"), WRONG)
def test_each_wrong_shape_has_its_code_and_place(
    parts: dict[str, Any], expected: tuple[str, str]
) -> None:
    assert problems(drawn(**parts)) == [expected]
    with pytest.raises(DslParseError):
        load(drawn(**parts), "json")


@pytest.mark.parametrize("missing", ["version", "nodes"])
def test_a_missing_part_is_named(missing: str) -> None:
    raw = json.loads(drawn())
    del raw[missing]
    if missing == "version":  # with both lists and no version it would be a bare Dify graph
        del raw["edges"]
    assert ("E001", missing) in problems(json.dumps(raw))


def test_an_unsupported_version_is_named_with_those_that_are() -> None:
    with pytest.raises(DslParseError) as caught:
        load(drawn(version="0.2.0"), "json")
    expected = "Unsupported DSL version: 0.2.0, supported versions: 0.1.0"
    assert caught.value.detail == expected


def test_a_wrong_node_does_not_hide_the_others() -> None:
    loaded = read(
        """version: "0.1.0"
nodes:
- id: good
  data: {type: start}
- id: bad
  data: {title: x}
- id: half
  data: {type: code, retry_config: 5}
edges:
- {source: good}
- {source: good, target: half}
"""
    )
    assert loaded.schema is not None
    assert [n.id for n in loaded.schema.nodes] == ["good", "half"]
    assert [e.id for e in loaded.schema.edges] == ["edge_1"]
    wrong, policy, edge = loaded.diagnostics
    assert wrong == Diagnostic(
        level="error",
        code="E001",
        message="nodes[1].type is missing",
        node_id="bad",
        field_path="nodes[1].type",
        line=5,
    )
    assert (policy.code, policy.node_id, policy.line) == ("E217", "half", 8)
    assert (edge.code, edge.node_id, edge.line) == ("E001", None, 10)


BODY: dict[str, Any] = {
    "nodes": [
        {"id": "s", "type": "start", "title": "S"},
        {"id": "t", "data": {"type": "template", "title": "T", "template": "x"}},
        {"id": "e", "type": "end", "data": {"type": "ignored"}},
    ],
    "edges": [{"source": "s", "target": "t"}, {"id": "x", "source": "t", "target": "e"}],
}
NORMAL_BODY = SubGraph(
    nodes=(
        NodeSpec(id="s", type="start", title="S"),
        NodeSpec(
            id="t",
            type="template-transform",
            title="T",
            data={"type": "template", "title": "T", "template": "x"},
        ),
        NodeSpec(id="e", type="end", data={"type": "ignored"}),
    ),
    edges=(
        EdgeSpec(id="edge_0", source="s", target="t"),
        EdgeSpec(id="x", source="t", target="e"),
    ),
)


def test_the_error_handler_loads_with_its_body() -> None:
    handler = load(drawn(error_handler={"sub_graph": BODY}), "json").error_handler
    assert handler is not None
    assert handler.mode == "notify"
    assert handler.sub_graph == NORMAL_BODY


@pytest.mark.parametrize("container", ["iteration", "loop", "list-operator"])
def test_the_body_of_a_container_is_normalised_in_its_data(container: str) -> None:
    text = drawn(nodes=[{"id": "c", "data": {"type": container, "sub_graph": BODY}}])
    data = load(text, "json").nodes[0].data
    assert SubGraph.model_validate(data["sub_graph"]) == NORMAL_BODY


def test_bodies_inside_of_bodies_are_normalised_too() -> None:
    inner = {"id": "i", "data": {"type": "loop", "sub_graph": BODY}}
    outer = {"type": "iteration", "sub_graph": {"nodes": [inner], "edges": []}}
    data = load(drawn(nodes=[{"id": "o", "data": outer}]), "json").nodes[0].data
    body = SubGraph.model_validate(data["sub_graph"])
    assert SubGraph.model_validate(body.nodes[0].data["sub_graph"]) == NORMAL_BODY


@pytest.mark.parametrize(
    "body", [5, {"nodes": []}, {"nodes": [{"id": "a"}], "edges": []}, {"nodes": [], "edges": [1]}]
)
def test_a_wrong_body_of_a_container_is_left_to_its_data_model(body: Any) -> None:
    text = drawn(nodes=[{"id": "c", "data": {"type": "loop", "sub_graph": body}}])
    loaded = read(text, "json")
    assert loaded.diagnostics == ()
    assert loaded.schema is not None
    assert loaded.schema.nodes[0].data["sub_graph"] == body


def test_other_nodes_keep_a_key_that_is_called_sub_graph() -> None:
    data = {"type": "plugin.x", "sub_graph": BODY}
    assert load(drawn(nodes=[{"id": "c", "data": data}]), "json").nodes[0].data == data


def test_nodes_of_a_body_keep_their_policies() -> None:
    risky = {
        "id": "a",
        "type": "code",
        "data": {
            "retry_config": {"max_retries": 2},
            "error_strategy": {"type": "default-value", "default_value": {"x": 1}},
            "timeout_secs": 5,
        },
    }
    body = {"nodes": [risky], "edges": []}
    schema = load(drawn(nodes=[{"id": "c", "data": {"type": "loop", "sub_graph": body}}]), "json")
    (found,) = SubGraph.model_validate(schema.nodes[0].data["sub_graph"]).nodes
    assert found.retry_config == RetryConfig(max_retries=2)
    assert found.error_strategy == ErrorStrategy(type="default-value", default_value={"x": 1})
    assert found.timeout_secs == 5


def test_a_wrong_policy_in_a_body_is_only_a_warning() -> None:
    body = {"nodes": [{"id": "a", "type": "code", "data": {"timeout_secs": "x"}}], "edges": []}
    loaded = read(drawn(nodes=[{"id": "c", "data": {"type": "loop", "sub_graph": body}}]), "json")
    found = [(d.level, d.code, d.node_id, d.field_path) for d in loaded.diagnostics]
    assert found == [("warning", "W013", "a", "timeout_secs")]


def test_the_lines_of_inner_nodes_are_kept() -> None:
    schema = load(
        """version: 0.1.0
nodes:
- id: c
  data:
    type: loop
    sub_graph:
      nodes:
      - id: a
        type: start
      - {id: b, type: end}
      edges: []
edges: []
"""
    )
    assert schema.inner_lines == {"a": 8, "b": 10}
    assert schema.model_copy(update={"inner_lines": {}}).hash == schema.hash
