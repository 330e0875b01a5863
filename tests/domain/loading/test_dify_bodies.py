"""Dify's flat bodies move into their iterations and loops."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest

from xworkflow.domain.loading import load, read
from xworkflow.domain.loading.limits import MAX_NESTING
from xworkflow.domain.schema import NodeSpec, SubGraph


def node(node_id: str, node_type: str = "code", parent: str | None = None, **data: Any) -> Any:
    drawn = {"id": node_id, "data": {"type": node_type, **data}}
    return drawn if parent is None else {**drawn, "parentId": parent}


def edge(source: str, target: str) -> Any:
    return {"id": f"{source}-{target}", "source": source, "target": target}


def graph(*nodes: Any, edges: list[Any] | None = None) -> str:
    return json.dumps({"nodes": nodes, "edges": edges or []})


def body_of(container: NodeSpec) -> SubGraph:
    return SubGraph.model_validate(container.data["sub_graph"])


def ids(nodes: tuple[NodeSpec, ...]) -> list[str]:
    return [found.id for found in nodes]


def test_inner_nodes_and_edges_move_into_the_body() -> None:
    schema = load(
        graph(
            node("s", "start"),
            node("itstart", "iteration-start", "it"),
            node("it", "iteration", start_node_id="itstart"),
            node("c", "code", "it", title="Inner"),
            node("e", "end"),
            edges=[edge("s", "it"), edge("itstart", "c"), edge("it", "e")],
        ),
        "json",
    )
    assert ids(schema.nodes) == ["s", "it", "e"]
    assert [found.id for found in schema.edges] == ["s-it", "it-e"]
    body = body_of(schema.nodes[1])
    assert (ids(body.nodes), [found.id for found in body.edges]) == (
        ["itstart", "c"],
        ["itstart-c"],
    )
    assert body.start == "itstart"
    assert all(found.parent_id is None for found in (*schema.nodes, *body.nodes))


@pytest.mark.parametrize("place", ["parentId", "iteration_id", "loop_id"])
def test_a_node_names_its_container_in_one_of_three_ways(place: str) -> None:
    inner = node("c", **({} if place == "parentId" else {place: "box"}))
    if place == "parentId":
        inner[place] = "box"
    (box,) = load(graph(node("box", "loop"), inner), "json").nodes
    (found,) = body_of(box).nodes
    assert (found.id, found.data) == ("c", {})


def test_bodies_in_bodies_move_before_what_they_lie_in() -> None:
    (outer,) = load(
        graph(
            node("c", "code", "inner"),
            node("inner", "iteration", "outer"),
            node("d", "code", "outer"),
            node("outer", "loop"),
            edges=[edge("inner", "d")],
        ),
        "json",
    ).nodes
    inner, other = body_of(outer).nodes
    assert (inner.id, other.id, body_of(outer).edges[0].id) == ("inner", "d", "inner-d")
    assert ids(body_of(inner).nodes) == ["c"]


@pytest.mark.parametrize(
    ("data", "start"),
    [
        ({"start_node_id": "first"}, "first"),
        ({"start_node_id": "mark"}, "mark"),
        ({"start_node_id": "gone"}, "mark"),
        ({}, "mark"),
    ],
)
def test_a_body_begins_where_its_container_says_or_at_its_mark(data: Any, start: str) -> None:
    drawn = graph(
        node("first", "llm", "it"),
        node("mark", "iteration-start", "it"),
        node("it", "iteration", **data),
    )
    assert body_of(load(drawn, "json").nodes[0]).start == start


def test_a_body_without_any_start_has_none() -> None:
    drawn = graph(node("c", "llm", "it"), node("it", "iteration"))
    assert body_of(load(drawn, "json").nodes[0]).start is None


def test_what_names_no_container_stays_where_it_is() -> None:
    schema = load(graph(node("a", "code", "gone"), node("c"), node("b", "code", "c")), "json")
    assert [(found.id, found.parent_id) for found in schema.nodes] == [
        ("a", None),
        ("c", None),
        ("b", None),
    ]


def test_an_edge_across_the_border_of_a_body_is_dropped_with_a_warning() -> None:
    drawn = graph(
        node("it", "iteration"),
        node("c", "code", "it"),
        node("e", "end"),
        edges=[edge("c", "e"), edge("it", "c"), edge("c", "gone")],
    )
    loaded = read(drawn, "json")
    assert [(d.code, d.edge_id) for d in loaded.diagnostics] == [("W102", "c-e"), ("W102", "it-c")]
    assert loaded.schema is not None
    assert loaded.schema.edges == ()
    assert [found.id for found in body_of(loaded.schema.nodes[0]).edges] == ["c-gone"]


def test_containers_in_a_circle_are_refused() -> None:
    drawn = graph(node("a", "loop", "b"), node("b", "loop", "a"), node("c", "code", "a"))
    loaded = read(drawn, "json")
    assert [(d.code, d.node_id) for d in loaded.diagnostics] == [("E001", "a"), ("E001", "b")]
    assert loaded.schema is not None
    assert ids(loaded.schema.nodes) == ["a", "b", "c"]


def nested(depth: int) -> str:
    """So many loops, each in the one before it."""
    names = [f"n{i}" for i in range(depth)]
    inner = [node(name, "loop", around) for around, name in pairwise(names)]
    return graph(node(names[0], "loop"), *inner)


def test_containers_nest_up_to_a_limit() -> None:
    (found,) = load(nested(MAX_NESTING), "json").nodes
    for _ in range(MAX_NESTING - 1):
        (found,) = body_of(found).nodes
    assert found.id == f"n{MAX_NESTING - 1}"
    loaded = read(nested(MAX_NESTING + 2), "json")
    assert [d.code for d in loaded.diagnostics] == ["E001", "E001"]


def test_ten_thousand_nested_loops_are_refused_without_delay() -> None:
    loaded = read(nested(10_000), "json")
    assert {d.code for d in loaded.diagnostics} == {"E001"}


def test_the_lines_of_inner_nodes_are_kept() -> None:
    schema = load(
        """nodes:
- {id: it, data: {type: iteration}}
- {id: c, parentId: it, data: {type: code}}
edges: []
"""
    )
    assert schema.inner_lines == {"c": 3}


@pytest.mark.parametrize(
    ("drawn", "expected"),
    [
        ({"error_handle_mode": "terminated"}, {"error_handle_mode": "terminated"}),
        ({"error_handle_mode": "continue-on-error"}, {"error_handle_mode": "continue_on_error"}),
        ({"error_handle_mode": "remove-abnormal-output"}, {"error_handle_mode": "remove_abnormal"}),
        ({"error_handle_mode": ""}, {}),
        ({"error_handle_mode": 5}, {"error_handle_mode": 5}),
    ],
)
def test_error_modes_get_the_native_spelling(drawn: Any, expected: Any) -> None:
    (found,) = load(graph(node("it", "iteration", **drawn)), "json").nodes
    empty: dict[str, Any] = {"sub_graph": {"nodes": [], "edges": []}}
    assert found.data == expected | empty


def test_an_emptied_logical_operator_is_dropped() -> None:
    (found,) = load(graph(node("l", "loop", logical_operator="")), "json").nodes
    assert "logical_operator" not in found.data


def test_policies_of_inner_nodes_are_kept() -> None:
    risky = node("c", "code", "it", error_strategy="fail-branch")
    (it,) = load(graph(node("it", "iteration"), risky), "json").nodes
    (found,) = body_of(it).nodes
    assert found.error_strategy is not None
    assert found.error_strategy.type == "fail-branch"
