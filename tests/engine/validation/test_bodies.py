"""Validation looks into all bodies, and more mildly where the reference looks away."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.engine.validation.test_validation import (
    END,
    START,
    chain,
    codes,
    edge,
    graph,
    node,
    sizes,
)
from xworkflow.domain.diagnostics import Diagnostic, Report
from xworkflow.domain.loading import load
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.schema import EdgeSpec, ErrorHandler, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.engine.validation import validate

B_START = node("b-start", "start")
B_END = node("b-end", "end")


def body(*nodes: NodeSpec, edges: list[EdgeSpec] | None = None, start: str | None = None) -> Any:
    """A chain of the nodes, unless edges are given; as JSON, as it stands in a container."""
    drawn = [edge(a.id, b.id) for a, b in pairwise(nodes)] if edges is None else edges
    return SubGraph(nodes=nodes, edges=tuple(drawn), start=start).model_dump(
        mode="json", exclude_defaults=True
    )


def around(*middle: NodeSpec, **more: Any) -> Any:
    return body(B_START, *middle, B_END, **more)


def iteration(sub_graph: Any, **data: Any) -> NodeSpec:
    given = {"input_selector": ["start", "x"], "output_variable": "o", "sub_graph": sub_graph}
    return node("it", "iteration", **(given | data))


def dify_iteration(sub_graph: Any, **data: Any) -> NodeSpec:
    given = {"iterator_selector": ["start", "x"], "output_selector": ["t", "output"]}
    return node("it", "iteration", **(given | data), sub_graph=sub_graph)


def found(*middle: NodeSpec, dialect: Any = "native", **options: Any) -> tuple[Diagnostic, ...]:
    return validate(chain(*middle, dialect=dialect), **options).diagnostics


def only(*middle: NodeSpec, dialect: Any = "native", **options: Any) -> Diagnostic:
    (one,) = found(*middle, dialect=dialect, **options)
    return one


def template(*selector: str, node_id: str = "t", **data: Any) -> NodeSpec:
    variables = [{"variable": "v", "value_selector": list(selector)}] if selector else []
    return node(node_id, "template-transform", template="{{ v }}", variables=variables, **data)


def test_every_shared_case_with_a_body_is_accepted(shared: Path) -> None:
    files = sorted(shared.glob("conformance/cases/*/workflow.toml"))
    drawn = [text for file in files if "sub_graph" in (text := file.read_text("utf-8"))]
    assert len(drawn) > 5
    for text in drawn:
        assert validate(load(text, "toml")) == Report()


# --- structure


def test_a_body_that_is_whole_has_no_findings() -> None:
    assert found(iteration(around(template("__scope__", "item")))) == ()


@pytest.mark.parametrize(
    ("sub_graph", "code", "text"),
    [
        (body(B_END), "E004", "No start node found in sub-graph"),
        (body(B_START), "E006", "No end node found in sub-graph"),
        (body(B_START, node("a", "answer", answer="x")), "E006", "No end node found in sub-graph"),
    ],
)
def test_a_native_body_needs_a_start_and_an_end(sub_graph: Any, code: str, text: str) -> None:
    one = only(iteration(sub_graph))
    assert (one.code, one.node_id, one.message) == (code, "it", text)


def test_of_several_start_nodes_in_a_body_the_last_one_counts() -> None:
    first = node("b-first", "start")
    one = only(iteration(body(first, B_START, B_END, edges=[edge("b-start", "b-end")])))
    assert (one.code, one.node_id) == ("W103", "b-first")


def test_an_empty_body_is_its_container_s_affair() -> None:
    empty = body()
    assert only(iteration(empty)).code == "E211"
    condition = {"variable_selector": "loop.x", "comparison_operator": "is", "value": 1}
    loop = node("l", "loop", condition=condition, output_variable="o", sub_graph=empty)
    assert only(loop).code == "E213"
    listed = {"operation": "map", "input_selector": "start.x", "output_variable": "o"}
    assert only(node("m", "list-operator", sub_graph=empty, **listed)).code == "E216"


@pytest.mark.parametrize(
    ("edges", "code"),
    [([edge("gone", "b-end")], "E010"), ([edge("b-start", "gone")], "E011")],
)
def test_an_edge_of_a_body_leads_from_node_to_node(edges: list[EdgeSpec], code: str) -> None:
    one = only(iteration(around(edges=[edge("b-start", "b-end"), *edges])))
    assert (one.code, one.message.startswith("Invalid edge reference: ")) == (code, True)


def test_an_unknown_type_in_a_body_is_named_with_its_node() -> None:
    assert [(d.code, d.node_id) for d in found(iteration(around(node("q", "tool"))))] == [
        ("E050", "q")
    ]
    one = only(iteration(around(node("q", "tamplate"))))
    assert (one.code, "did you mean 'template'" in one.message) == ("E009", True)


def test_the_old_name_of_templates_and_loop_marks_are_legal_in_bodies_only() -> None:
    old = node("t", "template", template="x")
    assert found(iteration(around(old, node("stop", "loop-end")))) == ()
    assert only(old).code == "E009"
    for mark in ("iteration-start", "loop-start", "loop-end"):
        one = only(node("m", mark))
        assert (one.code, one.node_id) == ("E050", "m")
        assert "only inside of an iteration or loop" in one.message


def test_a_type_of_a_registered_executor_and_a_mocked_node_are_accepted_in_bodies() -> None:
    inside = iteration(around(node("q", "tool"), node("c", "code")))
    assert found(inside, mocked=frozenset({"q", "c"})) == ()
    assert found(inside, mocked=frozenset({"c"}), foreign=frozenset({"tool"})) == ()


def test_the_body_of_a_mocked_container_is_not_looked_into() -> None:
    wrong = iteration({"nodes": [{"id": "q"}], "edges": []})
    assert found(wrong, mocked=frozenset({"it"})) == ()


def test_a_node_of_a_body_without_a_type_is_told_so() -> None:
    one = only(iteration({"nodes": [{"id": "q"}], "edges": []}))
    assert (one.code, one.node_id, one.field_path) == ("E217", "it", "sub_graph")
    assert "Sub-graph node type is missing" in one.message


# --- topology and data


def test_a_cycle_in_a_body_is_refused() -> None:
    edges = [edge("b-start", "t"), edge("t", "u"), edge("u", "t"), edge("u", "b-end")]
    inside = iteration(around(template(), template(node_id="u"), edges=edges))
    assert only(inside).code == "E101"
    assert found(inside, limits=DslLimits(enable_cycle_detection=False)) == ()


def test_what_cannot_be_reached_in_a_body_is_only_warned_of() -> None:
    inside = around(template(), edges=[edge("b-start", "b-end")])
    assert [(d.code, d.node_id) for d in found(iteration(inside))] == [("W103", "t")]


def test_data_that_can_never_run_is_refused_in_a_body_too() -> None:
    assert only(iteration(around(node("c", "code", code=" ")))).code == "E207"
    assert only(iteration(around(node("c", "if-else", cases=5)))).code == "E217"
    broken = node("t", "template-transform", template="{% if %}")
    assert only(iteration(around(broken))).code == "E501"


def test_what_the_reference_runs_all_the_same_is_a_warning_in_a_native_body() -> None:
    one = only(iteration(around(node("t", "template-transform", template=""))))
    assert (one.level, one.code, one.node_id) == ("warning", "W020", "t")
    assert one.message.endswith("(E210)")
    branch = node("i", "if-else", cases=[])
    inside = around(branch, edges=[edge("b-start", "i"), edge("i", "b-end", "false")])
    assert only(iteration(inside)).code == "W020"


# --- what inner nodes read


@pytest.mark.parametrize(
    "selector",
    [("item",), ("__scope__", "index"), ("start", "x"), ("before", "output"), ("sys", "query")],
)
def test_a_body_sees_its_scope_and_all_that_ran_before_its_container(
    selector: tuple[str, ...],
) -> None:
    assert found(template(node_id="before"), iteration(around(template(*selector)))) == ()


@pytest.mark.parametrize(
    ("selector", "words"),
    [
        (("gone", "x"), "no node and no namespace"),
        (("itm",), "did you mean 'item'"),
        (("accumulator",), "no variable of the bodies around"),
        (("after", "output"), "does not run before 'it'"),
        (("it", "o"), "does not run before 'it'"),
        (("b-end", "x"), "does not run before 't'"),
    ],
)
def test_what_a_body_cannot_see_is_null(selector: tuple[str, ...], words: str) -> None:
    one = only(iteration(around(template(*selector))), template(node_id="after"))
    assert (one.code, one.node_id) == ("W401", "t")
    assert one.field_path == "variables[0].value_selector"
    assert words in one.message


def test_a_slip_in_the_name_of_an_input_is_found_in_bodies_too() -> None:
    start = node("start", "start", variables=[{"variable": "items"}])
    schema = graph(
        start,
        iteration(around(template("start", "itemz"))),
        END,
        edges=[edge("start", "it"), edge("it", "end")],
    )
    assert [(d.code, d.node_id) for d in validate(schema).diagnostics] == [("W403", "t")]


def test_inner_bodies_see_the_scopes_of_outer_ones() -> None:
    condition = {"variable_selector": "loop.x", "comparison_operator": "is", "value": 1}
    reads = template("__scope__", "item", node_id="deep")
    inner = node("l", "loop", condition=condition, output_variable="o", sub_graph=around(reads))
    assert found(iteration(around(inner))) == ()
    unknown = template("__scope__", "accumulator", node_id="deep")
    loop = node("l", "loop", condition=condition, output_variable="o", sub_graph=around(unknown))
    assert [(d.code, d.node_id) for d in found(iteration(around(loop)))] == [("W401", "deep")]


def test_placeholders_may_name_the_scope_by_one_part() -> None:
    answer = node("a", "answer", answer="{{#item#}} {{#__scope__.index#}} {{#start.x#}}")
    assert found(iteration(around(answer))) == ()
    wrong = node("a", "answer", answer="{{#other#}}")
    assert only(iteration(around(wrong))).code == "W020"
    unknown = node("a", "answer", answer="{{#gone.x#}}")
    assert only(iteration(around(unknown))).code == "W502"


# --- Dify


MARK = node("mark", "iteration-start")


def dify_body(*nodes: NodeSpec) -> Any:
    return body(MARK, *nodes, start="mark")


def test_a_dify_body_needs_no_end_and_sees_its_container_s_items() -> None:
    inside = dify_body(template("it", "item"), template("it", "index", node_id="u"))
    assert found(dify_iteration(inside), dialect="dify") == ()


def test_a_dify_body_without_a_start_is_refused() -> None:
    one = only(dify_iteration(body(template())), dialect="dify")
    assert (one.code, one.node_id) == ("E004", "it")


def test_a_variable_that_the_container_does_not_give_is_null() -> None:
    one = only(dify_iteration(dify_body(template("it", "itm"))), dialect="dify")
    assert (one.code, one.node_id) == ("W401", "t")
    assert "did you mean 'item'" in one.message


@pytest.mark.parametrize("selector", [["gone", "output"], ["left", "output"]])
def test_an_output_selector_that_leads_nowhere_is_warned_of(selector: list[str]) -> None:
    left = template(node_id="left")
    inside = body(MARK, template(), left, edges=[edge("mark", "t")], start="mark")
    report = found(dify_iteration(inside, output_selector=selector), dialect="dify")
    assert ("W401", "it", "output_selector") in [(d.code, d.node_id, d.field_path) for d in report]


def test_break_conditions_may_read_the_body_and_the_loop() -> None:
    conditions = [
        {"variable_selector": ["l", "n"], "comparison_operator": "is", "value": "1"},
        {"variable_selector": ["t", "output"], "comparison_operator": "is", "value": "1"},
    ]
    loop = node(
        "l",
        "loop",
        loop_count=2,
        loop_variables=[{"label": "n", "var_type": "number", "value": "0"}],
        break_conditions=conditions,
        sub_graph=body(node("mark", "loop-start"), template("l", "n"), start="mark"),
    )
    assert found(loop, dialect="dify") == ()


def test_in_dify_an_answer_in_a_body_is_answer_enough() -> None:
    answer = node("t", "answer", answer="{{#it.item#}}")
    drawn = dify_iteration(dify_body(answer), output_selector=["it", "item"])
    schema = graph(START, drawn, edges=[edge("start", "it")], dialect="dify")
    assert codes(validate(schema)) == []
    silent = dify_iteration(dify_body(template("it", "item")))
    schema = graph(START, silent, edges=[edge("start", "it")], dialect="dify")
    assert codes(validate(schema)) == ["E006"]


def test_leftovers_in_a_dify_body_are_only_warnings() -> None:
    inside = body(MARK, template(), node("q", "no-such"), edges=[edge("mark", "t")], start="mark")
    assert [(d.code, d.node_id) for d in found(dify_iteration(inside), dialect="dify")] == [
        ("W103", "q")
    ]


def test_the_body_of_a_container_that_never_runs_is_not_looked_into() -> None:
    lost = dify_iteration(dify_body(node("q", "no-such")))
    schema = graph(START, END, lost, edges=[edge("start", "end")], dialect="dify")
    assert codes(validate(schema)) == ["W103"]


def test_an_id_of_dify_s_flat_list_is_used_once() -> None:
    one = only(template(), dify_iteration(dify_body(template())), dialect="dify")
    assert (one.code, one.node_id) == ("E007", "t")
    assert found(template(), iteration(around(template()))) == ()


def test_leftover_inner_nodes_without_their_container_are_warned_of() -> None:
    schema = load(
        """nodes:
- {id: start, data: {type: start, title: S}}
- {id: end, data: {type: end, title: E}}
- {id: mark, parentId: gone, data: {type: iteration-start, title: M}}
- {id: q, parentId: gone, data: {type: no-such, title: Q}}
edges:
- {id: a, source: start, target: end}
- {id: b, source: mark, target: q}
"""
    )
    assert [(d.code, d.node_id) for d in validate(schema).diagnostics] == [
        ("W103", "mark"),
        ("W103", "q"),
    ]


# --- the error handler, lines, limits


def handled(sub_graph: Any) -> Report:
    handler = ErrorHandler(sub_graph=SubGraph.model_validate(sub_graph))
    return validate(chain(template()).model_copy(update={"error_handler": handler}))


def test_the_error_handler_is_a_body_that_may_read_every_node() -> None:
    assert handled(around(template("t", "output", node_id="u"))) == Report()
    assert codes(handled(around(node("q", "tool")))) == ["E050"]
    assert codes(handled(body(B_START))) == ["E006"]
    assert codes(handled(around(template("gone", "x", node_id="u")))) == ["W401"]


def test_a_finding_in_a_body_has_the_line_of_its_node() -> None:
    schema = load(
        """version: 0.1.0
nodes:
- {id: start, data: {type: start, title: S, variables: [{variable: x}]}}
- id: it
  data:
    type: iteration
    title: I
    input_selector: start.x
    output_variable: o
    sub_graph:
      nodes:
      - {id: s, type: start}
      - {id: q, type: tool}
      - {id: e, type: end}
      edges: [{source: s, target: q}, {source: q, target: e}, {source: e, target: gone}]
- {id: end, data: {type: end, title: E}}
edges: [{source: start, target: it}, {source: it, target: end}]
"""
    )
    found = {d.code: d.line for d in validate(schema).diagnostics}
    assert found == {"E050": 13, "E011": 4}


@pytest.mark.parametrize(
    ("limits", "code"),
    [
        (sizes(5, 9, 99, 9999, 9), "E020"),
        (sizes(9, 3, 99, 9999, 9), "E021"),
        (sizes(9, 9, 6, 9999, 9), "E022"),
        (sizes(9, 9, 99, 150, 9), "E023"),
        (sizes(9, 9, 99, 9999, 0), "E024"),
    ],
)
def test_bodies_count_for_the_limits(limits: DslLimits, code: str) -> None:
    schema = chain(iteration(around(template(node_id="long-id"))))
    assert validate(schema, limits=sizes(9, 9, 99, 9999, 9)) == Report()
    assert {d.code for d in validate(schema, limits=limits).diagnostics} == {code}


def test_a_body_that_dify_draws_beside_its_container_is_no_part_of_its_data() -> None:
    inside = dify_body(*(template(node_id=f"t{i}", note="x" * 300) for i in range(5)))
    schema = chain(dify_iteration(inside, output_selector=["t1", "output"]), dialect="dify")
    assert validate(schema, limits=sizes(99, 99, 99, 600, 9)) == Report()
    assert "E023" in codes(validate(schema, limits=sizes(99, 99, 99, 300, 9)))


def test_forty_nested_bodies_are_validated() -> None:
    inner = around()
    for depth in range(40):
        inner = around(iteration(inner).model_copy(update={"id": f"i{depth}"}))
    schema: WorkflowSchema = chain(iteration(inner))
    assert validate(schema) == Report()
