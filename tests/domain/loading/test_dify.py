"""Dify exports: the envelope, versions, variables, policies, and how a dialect is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

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

GRAPH: dict[str, Any] = {"nodes": [{"id": "s", "data": {"type": "start"}}], "edges": []}


def export(nodes: list[Any] | None = None, /, **parts: Any) -> str:
    graph = GRAPH if nodes is None else {"nodes": nodes, "edges": []}
    whole = {"kind": "app", "version": "0.3.0", "app": {"mode": "workflow"}, **parts}
    whole.setdefault("workflow", {"graph": graph})
    return json.dumps(whole)


def problems(text: str) -> list[tuple[str, str | None]]:
    return [(d.code, d.field_path) for d in read(text, "json").diagnostics]


def node(**data: Any) -> dict[str, Any]:
    return {"id": "n", "data": {"type": "llm", **data}}


def only(text: str) -> NodeSpec:
    (found,) = load(text, "json").nodes
    return found


def test_an_export_loads_into_the_schema() -> None:
    schema = load(
        """
app: {mode: advanced-chat, name: My app, icon: x}
kind: app
version: 0.4.0
dependencies: []
workflow:
  features: {opening_statement: hi}
  environment_variables:
  - {id: a, name: limit, value: '50', value_type: number}
  - {id: b, name: key, value: '', value_type: secret}
  conversation_variables:
  - {name: log, value: [], value_type: 'array[string]', selector: [conversation, log]}
  graph:
    viewport: {x: 0}
    nodes:
    - id: '1'
      type: custom
      position: {x: 1, y: 2}
      selected: true
      data: {type: start, title: Start, selected: false, desc: '', extra: {kept: 1}}
    - id: '2'
      type: custom
      parentId: '9'
      data: {type: llm, title: 7, isInIteration: true, iteration_id: '9', width: 5}
    - {id: '3', type: custom-note, data: {type: '', text: note}}
    edges:
    - {id: e, source: '1', sourceHandle: source, target: '2', targetHandle: target, zIndex: 0}
    - {source: '1', target: '2', sourceHandle: 'true'}
""",
        name="given",
    )
    assert (schema.dialect, schema.version, schema.name, schema.mode) == (
        "dify",
        "0.4.0",
        "My app",
        "advanced-chat",
    )
    assert schema.nodes == (
        NodeSpec(
            id="1",
            type="start",
            title="Start",
            data={"desc": "", "extra": {"kept": 1}},
            line=16,
        ),
        NodeSpec(id="2", type="llm", title="7", line=21),
    )
    assert schema.edges == (
        EdgeSpec(id="e", source="1", target="2", source_handle="source", line=27),
        EdgeSpec(id="edge_1", source="1", target="2", source_handle="true", line=28),
    )
    assert schema.environment_variables == (
        EnvironmentVariable(name="limit", value=50, value_type="number"),
        EnvironmentVariable(name="key", value_type="secret"),
    )
    assert schema.conversation_variables == (
        ConversationVariable(name="log", type="array[string]", default=[]),
    )


def test_a_bare_graph_is_of_dify_s_dialect() -> None:
    schema = load(json.dumps(GRAPH), "json", name="given")
    assert (schema.dialect, schema.version, schema.name) == ("dify", "0.1.0", "given")


@pytest.mark.parametrize(
    ("root", "dialect"),
    [
        (GRAPH, "dify"),
        ({**GRAPH, "version": "0.1.0"}, "native"),
        ({**GRAPH, "version": "0.1.0", "kind": "app"}, "native"),
        ({"workflow": {"graph": GRAPH}}, "dify"),
        ({"workflow": {"graph": GRAPH}, "version": "0.1.0"}, "dify"),
        ({"workflow": GRAPH}, "dify"),
    ],
)
def test_the_dialect_is_told_by_the_top_level_keys(root: Any, dialect: str) -> None:
    assert load(json.dumps(root), "json").dialect == dialect


def test_numbers_without_quotes_are_good_as_ids() -> None:
    schema = load(
        "nodes: [{id: 1, parentId: 2, data: {type: start}}, {id: 2, data: {type: loop}}]\n"
        "edges: [{source: 1, target: 1}, {source: 2, target: 2}]"
    )
    (loop,) = schema.nodes
    body = SubGraph.model_validate(loop.data["sub_graph"])
    assert (loop.id, body.nodes[0].id, body.edges[0].source) == ("2", "1", "1")
    assert (schema.edges[0].source, schema.edges[0].target) == ("2", "2")


@pytest.mark.parametrize("version", ["0.1.0", "0.1.5", "0.3.1", "0.6.0", "0.6"])
def test_known_versions_load_without_a_warning(version: str) -> None:
    assert problems(export(version=version)) == []


@pytest.mark.parametrize("version", ["0.6.1", "0.10.0", "1.0.0", "abc", "²", "9" * 5000])
def test_an_unknown_version_loads_with_a_warning(version: str) -> None:
    loaded = read(export(version=version), "json")
    assert [(d.level, d.code) for d in loaded.diagnostics] == [("warning", "W010")]
    assert loaded.schema is not None
    assert loaded.schema.version == version


@pytest.mark.parametrize(
    "root",
    [
        {"kind": "app", "app": {"mode": "agent-chat"}, "model_config": {}},
        {"kind": "app", "app": {"mode": "chat"}, "model_config": {}, "workflow": None},
        {"kind": "app", "app": {"mode": "completion"}},
        {"kind": "app", "app": {}, "model_config": {}},
        {"kind": "rag_pipeline", "rag_pipeline": {"name": "x"}, "workflow": {"graph": GRAPH}},
    ],
)
def test_an_app_that_is_no_workflow_is_refused_by_name(root: Any) -> None:
    loaded = read(json.dumps(root), "json")
    assert loaded.schema is None
    (diagnostic,) = loaded.diagnostics
    assert (diagnostic.code, diagnostic.level) == ("E060", "error")
    assert diagnostic.message.endswith("export an app of mode workflow or advanced-chat")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (export(workflow=5), ("E001", "workflow")),
        (export(workflow=None), ("E001", "workflow")),
        (export(workflow={}), ("E001", "workflow.graph")),
        (export(workflow={"graph": []}), ("E001", "workflow.graph")),
        (export(workflow={"graph": {}}), ("E001", "nodes")),
        (export(app=[]), ("E001", "app")),
        (export(app={"mode": 5}), ("E001", "mode")),
        (export(version=1), ("E001", "version")),
        (export([5]), ("E001", "nodes[0]")),
        (export([{"id": "a"}]), ("E001", "nodes[0].data")),
        (export([{"data": {"type": "start"}}]), ("E001", "nodes[0].id")),
        (export([{"id": True, "data": {"type": "start"}}]), ("E001", "nodes[0].id")),
        (export([{"id": "a", "data": {}}]), ("E001", "nodes[0].data.type")),
        (export([{"id": "a", "data": {"type": 5}}]), ("E001", "nodes[0].type")),
        (export([node(error_strategy="explode")]), ("E217", "error_strategy.type")),
        (export([node(error_strategy=5)]), ("E217", "error_strategy")),
        (export([node(retry_config=5)]), ("E217", "retry_config")),
        (
            export([node(retry_config={"retry_enabled": True, "max_retries": "x"})]),
            ("E217", "retry_config.max_retries"),
        ),
        (
            export([node(error_strategy="default-value", default_value={})]),
            ("E217", "default_value"),
        ),
        (
            export([node(error_strategy="default-value", default_value=[{"key": 1}])]),
            ("E217", "default_value"),
        ),
        (
            export(workflow={"graph": GRAPH, "environment_variables": 5}),
            ("E001", "workflow.environment_variables"),
        ),
        (
            export(workflow={"graph": GRAPH, "conversation_variables": [{}]}),
            ("E001", "conversation_variables[0].name"),
        ),
    ],
)
def test_each_wrong_shape_has_its_code_and_place(text: str, expected: tuple[str, str]) -> None:
    assert problems(text) == [expected]


def test_default_values_are_converted_by_their_types() -> None:
    defaults = [
        {"key": "s", "type": "string", "value": "1"},
        {"key": "n", "type": "number", "value": "1.5"},
        {"key": "i", "type": "number", "value": 2},
        {"key": "b", "type": "boolean", "value": "True"},
        {"key": "o", "type": "object", "value": '{"a": [1]}'},
        {"key": "l", "type": "array[number]", "value": "[1, 2]"},
        {"key": "t", "type": "array[string]", "value": ["x"]},
    ]
    found = only(export([node(error_strategy="default-value", default_value=defaults)]))
    assert found.error_strategy == ErrorStrategy(
        type="default-value",
        default_value={
            "s": "1",
            "n": 1.5,
            "i": 2,
            "b": True,
            "o": {"a": [1]},
            "l": [1, 2],
            "t": ["x"],
        },
    )
    assert "default_value" not in found.data


@pytest.mark.parametrize(
    ("declared", "value"),
    [("number", "many"), ("number", ""), ("number", "NaN"), ("object", "[]"), ("array[x]", "{")],
)
def test_a_default_that_is_not_of_its_type_is_refused(declared: str, value: str) -> None:
    default = [{"key": "k", "type": declared, "value": value}]
    text = export([node(error_strategy="default-value", default_value=default)])
    assert problems(text) == [("E217", "default_value")]


@pytest.mark.parametrize("strategy", [None, "", "none"])
def test_no_strategy_is_none(strategy: Any) -> None:
    assert only(export([node(error_strategy=strategy)])).error_strategy is None


def test_default_values_may_be_absent() -> None:
    found = only(export([node(error_strategy="default-value")]))
    assert found.error_strategy == ErrorStrategy(type="default-value")


def test_a_fail_branch_needs_no_defaults() -> None:
    found = only(export([node(error_strategy="fail-branch", default_value=[{"key": 1}])]))
    assert found.error_strategy == ErrorStrategy(type="fail-branch")


@pytest.mark.parametrize("switch", ["retry_enabled", "enabled"])
def test_retries_count_only_when_they_are_switched_on(switch: str) -> None:
    policy = {"max_retries": 3, "retry_interval": 500, "exponential_backoff": {"enabled": True}}
    on = only(export([node(retry_config={**policy, switch: True})]))
    off = only(export([node(retry_config={**policy, switch: False})]))
    assert on.retry_config == RetryConfig(
        max_retries=3, retry_interval=500, retry_on_retryable_only=False
    )
    assert off.retry_config is None
    assert only(export([node(retry_config=policy)])).retry_config is None


def test_the_value_of_a_secret_variable_stays_out_of_what_travels() -> None:
    variable = {"name": "KEY", "value": "s3cret", "value_type": "secret"}
    loaded = read(export(workflow={"graph": GRAPH, "environment_variables": [variable]}), "json")
    assert loaded.schema is not None
    (found,) = loaded.schema.environment_variables
    assert (found.value, found.secret) == (None, "s3cret")
    assert loaded.schema.secret_values == {"KEY": "s3cret"}
    assert "s3cret" not in loaded.schema.text + repr(loaded.schema)


@pytest.mark.parametrize(
    ("declared", "value", "expected", "codes"),
    [
        ("number", "5", 5, []),
        ("number", 5, 5, []),
        ("number", "", None, []),
        ("number", "many", "many", ["W012"]),
        ("object", '{"a": 1}', {"a": 1}, []),
        ("string", "5", "5", []),
    ],
)
def test_variables_get_the_type_that_they_declare(
    declared: str, value: Any, expected: Any, codes: list[str]
) -> None:
    variable = {"name": "v", "value": value, "value_type": declared}
    workflow = {
        "graph": GRAPH,
        "environment_variables": [variable],
        "conversation_variables": [variable],
    }
    loaded = read(export(workflow=workflow), "json")
    assert loaded.schema is not None
    assert loaded.schema.environment_variables[0].value == expected
    assert loaded.schema.conversation_variables[0].default == expected
    assert [d.code for d in loaded.diagnostics] == codes * 2
