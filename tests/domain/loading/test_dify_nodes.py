"""Each node type of Dify that has another spelling, and what is left alone."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.loading import load, read
from xworkflow.domain.schema import NodeSpec

CONDITION = {"variable_selector": ["a", "b"], "comparison_operator": "not contains", "value": "x"}


def loaded(node_type: str, **data: Any) -> NodeSpec:
    node = {"id": "n", "data": {"type": node_type, **data}}
    return load(json.dumps({"nodes": [node], "edges": []}), "json").nodes[0]


def data_of(node_type: str, **data: Any) -> dict[str, Any]:
    return loaded(node_type, **data).data


@pytest.mark.parametrize("language", ["python3", "javascript"])
def test_code_names_its_language(language: str) -> None:
    found = data_of("code", code_language=language, code="x", dependencies=[])
    assert found == {"language": language, "code": "x", "dependencies": []}


def test_the_flat_form_of_if_else_is_one_case() -> None:
    found = data_of("if-else", conditions=[CONDITION], logical_operator="or")
    assert found == {
        "cases": [{"case_id": "true", "logical_operator": "or", "conditions": [CONDITION]}]
    }


def test_cases_win_over_the_flat_form_and_keep_their_operators() -> None:
    found = data_of(
        "if-else",
        conditions=[],
        logical_operator="or",
        cases=[
            {"id": "c1", "conditions": [CONDITION]},
            {"id": "x", "case_id": "c2", "logical_operator": "or", "conditions": []},
        ],
    )
    assert found == {
        "cases": [
            {"case_id": "c1", "logical_operator": "and", "conditions": [CONDITION]},
            {"case_id": "c2", "logical_operator": "or", "conditions": []},
        ]
    }


@pytest.mark.parametrize("enabled", [True, False])
def test_groups_of_an_aggregator_count_when_they_are_enabled(enabled: bool) -> None:
    settings = {
        "group_enabled": enabled,
        "groups": [{"groupId": "u", "group_name": "G", "variables": [["a", "b"]]}],
    }
    found = data_of("variable-aggregator", variables=[["a", "b"]], advanced_settings=settings)
    groups = {"groups": [{"group_name": "G", "variables": [["a", "b"]]}]} if enabled else {}
    assert found == {"variables": [["a", "b"]], **groups}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"variables": [["a", "b"]]}, "variable-aggregator"),
        ({}, "variable-aggregator"),
        ({"assigned_variable_selector": ["conversation", "x"]}, "assigner"),
        ({"items": []}, "assigner"),
    ],
)
def test_the_old_name_of_two_types_is_told_by_its_data(data: dict[str, Any], expected: str) -> None:
    assert loaded("variable-assigner", **data).type == expected


@pytest.mark.parametrize(
    ("mode", "operation"),
    [
        ("over-write", "over-write"),
        ("overwrite", "over-write"),
        ("append", "append"),
        ("clear", "clear"),
    ],
)
def test_the_first_assigner_becomes_one_item(mode: str, operation: str) -> None:
    found = data_of(
        "assigner",
        assigned_variable_selector=["conversation", "x"],
        write_mode=mode,
        input_variable_selector=["a", "b"],
    )
    assert found == {
        "items": [
            {
                "variable_selector": ["conversation", "x"],
                "input_type": "variable",
                "operation": operation,
                "value": ["a", "b"],
            }
        ]
    }


def test_the_items_of_an_assigner_are_kept() -> None:
    item = {"variable_selector": ["c", "x"], "input_type": "constant", "value": 1}
    found = data_of(
        "assigner",
        version="2",
        items=[
            {**item, "operation": "+=", "write_mode": "over-write"},
            {**item, "operation": "remove_first"},
        ],
    )
    assert found == {
        "version": "2",
        "items": [{**item, "operation": "+="}, {**item, "operation": "remove-first"}],
    }


@pytest.mark.parametrize(
    "node_type", ["start", "end", "answer", "template-transform", "llm", "loop", "tool"]
)
def test_other_types_keep_their_data(node_type: str) -> None:
    data = {"variables": [{"variable": "v"}], "unknown": [1], "desc": "d", "version": "2"}
    empty: dict[str, Any] = {"sub_graph": {"nodes": [], "edges": []}}
    body = empty if node_type == "loop" else {}
    assert data_of(node_type, **data) == data | body


def test_a_loop_keeps_the_variables_that_have_names_without_what_was_never_set() -> None:
    drawn = {"id": "1", "label": "n", "var_type": "number", "value": "1"}
    unnamed = {"id": "2", "label": "", "var_type": "string", "value_type": "constant", "value": ""}
    found = data_of("loop", loop_variables=[{**drawn, "value_type": None}, unnamed, "strange"])
    assert found["loop_variables"] == [drawn, "strange"]


def test_what_the_editor_needs_is_dropped() -> None:
    drawing = {"selected": True, "width": 1, "height": 2, "isInLoop": False, "zIndex": 3}
    assert data_of("llm", **drawing) == {}


def test_data_that_two_nodes_share_by_an_alias_is_not_converted_twice() -> None:
    text = """
nodes:
- {id: a, data: &d {type: if-else, cases: [{id: c, conditions: []}]}}
- {id: b, data: *d}
edges: []
"""
    first, second = load(text).nodes
    assert first.data == second.data
    assert first.data["cases"][0]["case_id"] == "c"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
KEYS = [
    "cases",
    "conditions",
    "logical_operator",
    "items",
    "variables",
    "advanced_settings",
    "groups",
    "headers",
    "params",
    "method",
    "authorization",
    "body",
    "timeout",
    "assigned_variable_selector",
    "write_mode",
    "default_value",
    "error_strategy",
    "retry_config",
    "code_language",
    "title",
    "timeout_secs",
    "parentId",
    "iteration_id",
]


@given(
    st.sampled_from(
        ["code", "if-else", "http-request", "assigner", "variable-assigner", "variable-aggregator"]
    ),
    st.dictionaries(st.sampled_from(KEYS), JSON, max_size=6),
)
def test_no_data_of_a_node_stops_the_loader(node_type: str, data: dict[str, Any]) -> None:
    node = {"id": "n", "data": {**data, "type": node_type}}
    loaded = read(json.dumps({"nodes": [node], "edges": []}), "json")
    assert {d.code for d in loaded.diagnostics} <= {"E001", "E217"}
    assert loaded.schema is not None
