"""Laws: dump and load is identity, formats agree, and nothing in a text can crash the loader."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from xworkflow.domain.loading import Format, format_of, load, read
from xworkflow.domain.schema import (
    ConversationVariable,
    EdgeSpec,
    EnvironmentVariable,
    ErrorHandler,
    ErrorStrategy,
    NodeSpec,
    RetryConfig,
    SubGraph,
    WorkflowSchema,
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBER | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
OBJECT = st.dictionaries(TEXT, JSON, max_size=3)
NODE = st.builds(
    NodeSpec,
    id=TEXT,
    type=TEXT,
    title=TEXT,
    data=OBJECT,
    error_strategy=st.none()
    | st.builds(
        ErrorStrategy,
        type=st.sampled_from(["none", "fail-branch", "default-value"]),
        default_value=OBJECT,
    ),
    retry_config=st.none()
    | st.builds(
        RetryConfig,
        max_retries=st.integers(-5, 5),
        backoff_strategy=st.sampled_from(["fixed", "exponential"]),
        retry_on_retryable_only=st.booleans(),
    ),
    timeout_secs=st.none() | st.floats(0, 1e6),
    parent_id=st.none() | TEXT,
)
EDGE = st.builds(EdgeSpec, id=TEXT, source=TEXT, target=TEXT, source_handle=st.none() | TEXT)
NODES = st.lists(NODE, max_size=3).map(tuple)
EDGES = st.lists(EDGE, max_size=3).map(tuple)
SCHEMA = st.builds(
    WorkflowSchema,
    dialect=st.sampled_from(["native", "dify"]),
    version=TEXT,
    name=TEXT,
    mode=TEXT,
    nodes=NODES,
    edges=EDGES,
    environment_variables=st.tuples(
        st.builds(EnvironmentVariable, name=TEXT, value=JSON, value_type=TEXT)
    ),
    conversation_variables=st.tuples(
        st.builds(ConversationVariable, name=TEXT, type=TEXT, default=JSON)
    ),
    error_handler=st.none()
    | st.builds(
        ErrorHandler,
        sub_graph=st.builds(SubGraph, nodes=NODES, edges=EDGES, start=st.none() | TEXT),
        mode=st.sampled_from(["recover", "notify"]),
    ),
    mcp_servers=OBJECT,
)


@given(SCHEMA)
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_dump_and_load_of_a_schema_is_identity(schema: WorkflowSchema) -> None:
    again = WorkflowSchema.model_validate_json(schema.text)
    assert again == schema
    assert (again.text, again.hash) == (schema.text, schema.hash)


def test_the_lines_of_a_file_are_no_part_of_the_version() -> None:
    moved = [NodeSpec(id="a", type="start", line=line) for line in (None, 1, 40)]
    assert len({WorkflowSchema(nodes=(node,)).hash for node in moved}) == 1


@given(SCHEMA, TEXT)
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow])
def test_a_changed_copy_has_a_text_and_a_hash_of_its_own(schema: WorkflowSchema, name: str) -> None:
    assert (schema.text, schema.hash) == (schema.model_copy().text, schema.model_copy().hash)
    changed = schema.model_copy(update={"name": name})
    fresh = WorkflowSchema.model_validate_json(changed.text)
    assert fresh.name == name
    assert (changed.hash == schema.hash) == (name == schema.name)


@given(
    st.lists(st.tuples(TEXT, st.sampled_from(["start", "code", "end"]), OBJECT), max_size=3),
    st.lists(st.tuples(TEXT, TEXT), max_size=3),
)
@settings(max_examples=60)
def test_json_and_yaml_of_one_workflow_load_alike(
    nodes: list[tuple[str, str, dict[str, Any]]], edges: list[tuple[str, str]]
) -> None:
    reserved = {"title", "error_strategy", "retry_config", "timeout_secs"}
    drawn = {
        "version": "0.1.0",
        "nodes": [
            {"id": i, "data": {**{k: v for k, v in d.items() if k not in reserved}, "type": t}}
            for i, t, d in nodes
        ],
        "edges": [{"source": s, "target": t} for s, t in edges],
    }
    from_json = load(json.dumps(drawn), "json")
    assert [n.data for n in from_json.nodes] == [n["data"] for n in cast("Any", drawn)["nodes"]]
    from_yaml = load(yaml.safe_dump(drawn), "yaml")
    assert without_lines(from_yaml) == without_lines(from_json)


def without_lines(schema: WorkflowSchema) -> WorkflowSchema:
    nodes = tuple(n.model_copy(update={"line": None}) for n in schema.nodes)
    edges = tuple(e.model_copy(update={"line": None}) for e in schema.edges)
    return schema.model_copy(update={"nodes": nodes, "edges": edges, "inner_lines": {}})


@given(st.binary(max_size=60) | st.text(max_size=60), st.sampled_from(["yaml", "json", "toml"]))
def test_no_text_at_all_stops_the_loader(text: str | bytes, format_: Format) -> None:
    loaded = read(text, format_)
    assert loaded.schema is None or loaded.schema.nodes == ()
    assert {d.code for d in loaded.diagnostics} == {"E001"} or loaded.diagnostics[0].code == "E060"


KEYS = st.sampled_from(
    [
        "version",
        "nodes",
        "edges",
        "app",
        "kind",
        "workflow",
        "graph",
        "mode",
        "model_config",
        "environment_variables",
        "conversation_variables",
        "error_handler",
        "sub_graph",
        "mcp_servers",
        "id",
        "data",
        "type",
        "title",
        "name",
        "value",
        "value_type",
        "default",
        "source",
        "target",
        "sourceHandle",
        "transport",
    ]
)
SHAPES = st.recursive(
    st.none() | st.booleans() | st.integers(0, 9) | st.sampled_from(["0.1.0", "start", "app", ""]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=5),
    max_leaves=15,
)


@given(st.dictionaries(KEYS, SHAPES, max_size=8))
def test_no_shape_stops_the_loader(root: dict[str, Any]) -> None:
    loaded = read(json.dumps(root), "json")
    errors = [d for d in loaded.diagnostics if d.level == "error"]
    assert loaded.schema is not None or errors
    assert {d.code for d in loaded.diagnostics} <= {
        "E001",
        "E002",
        "E060",
        "E217",
        "W010",
        "W012",
        "W013",
        "W102",
    }


def shared_files(shared: Path) -> Iterator[Path]:
    yield from sorted(shared.glob("dify/*/*.yml"))
    yield from sorted(shared.glob("conformance/cases/*/workflow.toml"))


def test_every_shared_file_loads_and_survives_the_journey(shared: Path) -> None:
    files = list(shared_files(shared))
    assert files
    for file in files:
        loaded = read(file.read_bytes(), format_of(file.name))
        assert loaded.diagnostics == (), file
        assert loaded.schema is not None
        expected = "native" if file.suffix == ".toml" else "dify"
        assert loaded.schema.dialect == expected, file
        again = WorkflowSchema.model_validate_json(loaded.schema.text)
        assert again.text == loaded.schema.text, file


def test_every_line_of_a_shared_export_points_at_its_node(shared: Path) -> None:
    for file in sorted(shared.glob("dify/apps/*.yml")):
        lines = file.read_text().splitlines()
        for node in load(file.read_bytes()).nodes:
            assert node.line is not None
            assert lines[node.line - 1].lstrip().startswith("- data:"), (file, node.id)


def test_exports_read_by_the_standard_reader_hold_the_same_values(shared: Path) -> None:
    """PyYAML wrote the exports; our own rules for plain scalars must not change one of them."""
    for file in sorted(shared.glob("dify/*/*.yml")):
        root = yaml.safe_load(file.read_bytes())
        expected = load(json.dumps(root), "json")
        assert without_lines(load(file.read_bytes())) == expected, file


WRONG: tuple[Any, ...] = (None, 5, "x", [], {}, [[]], {"type": []})


@pytest.mark.slow
def test_no_part_of_an_export_can_stop_the_loader_by_being_wrong(shared: Path) -> None:
    for file in sorted(shared.glob("dify/fixtures/*.yml")):
        root = yaml.safe_load(file.read_bytes())
        for path in list(paths_of(root)):
            for wrong in WRONG:
                text = json.dumps(replaced(root, path, wrong))
                loaded = read(text, "json")
                assert {d.code for d in loaded.diagnostics} <= {
                    "E001",
                    "E060",
                    "E217",
                    "W010",
                    "W102",
                }


def paths_of(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path and path[-1] in ("features", "position", "positionAbsolute", "viewport"):
        return
    yield path
    items: Any = ()
    if isinstance(value, (dict, list)):
        container = cast("Any", value)
        items = container.items() if isinstance(value, dict) else enumerate(container)
    for key, item in items:
        yield from paths_of(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], wrong: Any) -> Any:
    if not path:
        return wrong
    copy = value.copy()
    copy[path[0]] = replaced(copy[path[0]], path[1:], wrong)
    return copy


def test_the_largest_shared_export_loads_quickly(shared: Path) -> None:
    largest = max(shared.glob("dify/apps/*.yml"), key=lambda file: file.stat().st_size)
    text = largest.read_bytes()
    best = min(_seconds(text) for _ in range(5))
    assert best < 0.1  # 0.01 s where it was written; only a change of its order may fail this


def _seconds(text: bytes) -> float:
    began = time.perf_counter()
    load(text)
    return time.perf_counter() - began
