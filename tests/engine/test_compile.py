"""From a schema to a plan."""

from __future__ import annotations

from typing import Any

import pytest

from tests.domain.drawn import drawn
from tests.workflows.drawing import (
    chain,
    choice,
    code,
    edges,
    end,
    first_of,
    graph,
    handler,
    http,
    node,
    retries,
    start,
    text,
)
from xworkflow.domain.plan import Placement
from xworkflow.domain.schema import EdgeSpec, ErrorStrategy, WorkflowSchema
from xworkflow.domain.wire import ExecutorInfo, MockNode
from xworkflow.engine.compile import Compiled, CompileError, CompileOptions, compile_schema
from xworkflow.engine.compile import body_schema as body_of
from xworkflow.nodes.registry import NodeRegistry

CHAIN = chain("c", start("n"), code("c"), end(n="c.n"))


def compiled(schema: WorkflowSchema, **options: Any) -> Compiled:
    return compile_schema(schema, NodeRegistry.builtin(), CompileOptions(**options))


def ids(schema: WorkflowSchema, **options: Any) -> list[str]:
    return [node.id for node in compiled(schema, **options).plan.nodes]


# ---- the graph


def test_nodes_are_numbered_as_they_are_drawn() -> None:
    plan = compiled(CHAIN).plan
    assert [node.id for node in plan.nodes] == ["start", "c", "end"]
    assert plan.index_of == {"start": 0, "c": 1, "end": 2}
    assert plan.root == 0
    assert plan.node("c").index == 1


def test_the_root_is_the_start_node_wherever_it_stands() -> None:
    schema = graph("g", [end(), start()], "start > end")
    plan = compiled(schema).plan
    assert plan.nodes[plan.root].id == "start"


def test_edges_are_numbered_by_their_targets_and_lead_on_in_the_order_drawn() -> None:
    plan = drawn("start>c start>b b>d start>d c>d")
    assert list(plan.targets) == sorted(plan.targets)
    for index, found in enumerate(plan.nodes):
        assert [e for e, target in enumerate(plan.targets) if target == index] == [*found.in_edges]
        assert {e for e, source in enumerate(plan.sources) if source == index} == {*found.out_edges}
    following = [plan.nodes[plan.targets[e]].id for e in plan.node("start").out_edges]
    assert following == ["c", "b", "d"]


def test_an_edge_keeps_its_handle_when_it_is_numbered() -> None:
    plan = drawn("start>if if:no>b if:yes>a start>b")
    handles = {plan.nodes[plan.targets[e]].id: plan.handles[e] for e in plan.node("if").out_edges}
    assert handles == {"b": "no", "a": "yes"}


def test_a_branch_node_is_one_with_a_handle_other_than_source() -> None:
    plan = drawn("start>if if:yes>a a:source>b start>c")
    assert [found.id for found in plan.nodes if found.is_branch] == ["if"]


def test_what_the_start_node_does_not_reach_is_left_out() -> None:
    nodes = [start("n"), code("c"), end(), code("leftover")]
    schema = graph("g", nodes, "start > c", "c > end", "leftover > end")
    assert ids(schema) == ["start", "c", "end"]
    assert len(compiled(schema).plan.node("end").in_edges) == 1


def test_bodies_and_edges_to_nowhere_are_left_out() -> None:
    inner = code("inner").model_copy(update={"parent_id": "c"})
    nodes = (start("n"), code("c"), inner, end())
    drawn_edges = (*edges("start > c", "c > end", "c > inner", "c > missing"),)
    assert ids(WorkflowSchema(nodes=nodes, edges=drawn_edges)) == ["start", "c", "end"]


def test_a_schema_without_a_start_node_is_refused() -> None:
    with pytest.raises(CompileError, match=r"^No start node found$"):
        compiled(WorkflowSchema(nodes=(end(),)))


def test_a_cycle_compiles_and_nothing_in_it_can_become_ready() -> None:
    """Validation refuses cycles; a plan of one must still not hang the compiler."""
    schema = graph("g", [start("n"), code("a"), code("b")], "start > a", "a > b", "b > a")
    assert ids(schema) == ["start", "a", "b"]


# ---- nodes


def test_a_node_of_an_unknown_type_is_refused_by_name() -> None:
    schema = chain("c", start(), node("x", "teleport"), end())
    with pytest.raises(CompileError, match=r"node 'x': unknown or unsupported type 'teleport'"):
        compiled(schema)


def test_data_that_do_not_fit_are_refused_by_field() -> None:
    schema = chain("c", start(), node("t", "template-transform", template=5), end())
    with pytest.raises(CompileError, match=r"^node 't', field 'template': "):
        compiled(schema)


def test_policies_of_a_node_reach_its_plan() -> None:
    strategy = ErrorStrategy(type="default-value", default_value={"n": 0})
    retry = retries(2, 50)
    drawn_node = code("c", strategy=strategy, retry=retry, timeout_secs=3.0, title="Adds")
    found = compiled(chain("c", start("n"), drawn_node, end())).plan.node("c")
    assert (found.error_strategy, found.retry, found.timeout_secs) == (strategy, retry, 3.0)
    assert (found.title, found.type) == ("Adds", "code")


def test_a_node_without_policies_has_none() -> None:
    found = compiled(CHAIN).plan.node("c")
    assert (found.error_strategy.type, found.retry, found.timeout_secs) == ("none", None, None)


def test_end_and_answer_nodes_give_outputs() -> None:
    schema = chain("c", start("n"), node("a", "answer", answer="hi"), end())
    assert [n.id for n in compiled(schema).plan.nodes if n.is_output] == ["a", "end"]


def test_the_error_handler_travels_with_the_plan() -> None:
    with_handler = chain("c", start(), end(), handler=handler("recover", start(), end()))
    assert compiled(with_handler).plan.error_handler is with_handler.error_handler


def test_a_body_is_a_schema_of_its_own_in_the_dialect_around_it() -> None:
    outer = CHAIN.model_copy(update={"dialect": "dify"})
    found = body_of(outer, handler("notify", start(), end()).sub_graph)
    assert found.dialect == "dify"
    assert [spec.id for spec in found.nodes] == ["start", "end"]
    assert found.error_handler is None


# ---- what a node reads


def test_a_node_reads_what_its_selectors_and_texts_name_each_once() -> None:
    asked = http("h", "{{#start.u#}}/{{#c.n#}}?{{#start.u#}}")
    plan = compiled(chain("c", start("u", "n"), code("c"), asked, end(out="h.body"))).plan
    assert plan.node("c").reads == (("start", "n"),)
    assert sorted(plan.node("h").reads or ()) == [("c", "n"), ("start", "u")]
    assert plan.node("end").reads == (("h", "body"),)


def test_all_reads_of_a_compilation_are_those_of_its_nodes() -> None:
    reads = compiled(CHAIN).reads
    assert reads is not None
    assert {("start", "n"), ("c", "n")} <= set(reads)
    assert len(set(reads)) == len(reads)


def test_a_foreign_executor_may_read_the_whole_pool() -> None:
    schema = chain("c", start(), node("p", "plugin.x"), end())
    everything = {"plugin.x": ExecutorInfo(reads_all=True)}
    assert compiled(schema, executors=everything).plan.node("p").reads is None
    assert compiled(schema, executors=everything).reads is None
    assert compiled(schema, executors={"plugin.x": ExecutorInfo()}).reads is not None


# ---- where a node runs


def placements(schema: WorkflowSchema, **options: Any) -> dict[str, Placement]:
    return {found.id: found.placement for found in compiled(schema, **options).plan.nodes}


EVERY_PLACE = chain(
    "c",
    start("n"),
    code("c"),
    http("h", "http://x/"),
    text("simple", "{{ v }}", of="start.n"),
    text("wild", "{% set x = [v, v] %}{{ x|string }}", of="start.n"),
    first_of("agg", "start.n"),
    end(),
)


def test_each_type_says_where_its_nodes_run() -> None:
    assert placements(EVERY_PLACE) == {
        "start": Placement.INLINE,
        "c": Placement.LOCAL,
        "h": Placement.ACTIVITY,
        "simple": Placement.INLINE,
        "wild": Placement.LOCAL,
        "agg": Placement.INLINE,
        "end": Placement.INLINE,
    }


def test_a_group_may_want_all_but_control_flow_as_activities() -> None:
    placed = placements(EVERY_PLACE, all_activities=True)
    assert {name for name, place in placed.items() if place is Placement.INLINE} == {
        "start",
        "agg",
        "end",
    }
    assert {placed[name] for name in ("c", "h", "simple", "wild")} == {Placement.ACTIVITY}


def test_a_mocked_node_runs_inline_whatever_it_stands_for() -> None:
    mocks = {"h": MockNode(outputs={"body": "x"}), "c": MockNode()}
    placed = placements(EVERY_PLACE, mock_nodes=mocks, all_activities=True)
    assert placed["h"] is placed["c"] is Placement.INLINE


def test_a_mocked_node_may_be_of_a_type_that_does_not_exist() -> None:
    schema = chain("c", start(), node("x", "teleport"), end())
    assert placements(schema, mock_nodes={"x": MockNode()})["x"] is Placement.INLINE


def test_a_mocked_end_node_still_gives_outputs() -> None:
    plan = compiled(CHAIN, mock_nodes={"end": MockNode(), "c": MockNode()}).plan
    assert [found.id for found in plan.nodes if found.is_output] == ["end"]


# ---- keys


def test_the_key_of_a_plain_compilation_is_the_version_of_its_schema() -> None:
    assert compiled(CHAIN).key == CHAIN.hash
    assert compiled(CHAIN, all_activities=True).key == f"{CHAIN.hash}+activities"


def test_whatever_changes_the_compilation_changes_its_key() -> None:
    choices: list[dict[str, Any]] = [
        {},
        {"all_activities": True},
        {"mock_nodes": {"c": MockNode()}},
        {"mock_nodes": {"c": MockNode(outputs={"n": 1})}},
        {"mock_nodes": {"c": MockNode()}, "all_activities": True},
        {"executors": {"code": ExecutorInfo()}},
        {"executors": {"code": ExecutorInfo(reads_all=True)}},
    ]
    assert len({compiled(CHAIN, **options).key for options in choices}) == len(choices)


def test_the_key_does_not_depend_on_the_order_of_mocks() -> None:
    mocks = {"c": MockNode(), "end": MockNode(outputs={"n": 1})}
    backwards = dict(reversed(mocks.items()))
    assert compiled(CHAIN, mock_nodes=mocks).key == compiled(CHAIN, mock_nodes=backwards).key


def test_an_absent_handle_is_source() -> None:
    assert EdgeSpec(id="e", source="a", target="b").handle == "source"


def test_a_choice_leads_on_by_its_cases() -> None:
    nodes = [start("n"), choice("if", "start.n", "1"), code("a"), code("b")]
    schema = graph("g", nodes, "start > if", "if:yes > a", "if:false > b")
    plan = compiled(schema).plan
    assert plan.node("if").is_branch
    assert sorted(plan.handles) == ["false", "source", "yes"]
