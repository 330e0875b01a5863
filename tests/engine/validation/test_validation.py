"""One small graph per diagnostic, each of which yields that diagnostic and nothing else."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from xworkflow.domain.diagnostics import Report
from xworkflow.domain.quota import DslLimits
from xworkflow.domain.schema import (
    EdgeSpec,
    ErrorHandler,
    ErrorStrategy,
    NodeSpec,
    SubGraph,
    WorkflowSchema,
)
from xworkflow.domain.selectors import Dialect
from xworkflow.engine.validation import validate

Data = dict[str, Any]


def node(node_id: str, node_type: str, **data: Any) -> NodeSpec:
    return NodeSpec(id=node_id, type=node_type, title=node_id.title(), data=data)


def edge(source: str, target: str, handle: str | None = None) -> EdgeSpec:
    edge_id = f"{source}-{handle or ''}-{target}"
    return EdgeSpec(id=edge_id, source=source, target=target, source_handle=handle)


def graph(
    *nodes: NodeSpec, edges: list[EdgeSpec], dialect: Dialect = "native", **more: Any
) -> WorkflowSchema:
    return WorkflowSchema(dialect=dialect, nodes=nodes, edges=tuple(edges), **more)


START = node("start", "start", variables=[{"variable": "x"}])
END = node("end", "end")


def chain(*middle: NodeSpec, dialect: Dialect = "native", end: NodeSpec = END) -> WorkflowSchema:
    """start → middle → end."""
    nodes = (START, *middle, end)
    edges = [edge(a.id, b.id) for a, b in pairwise(nodes)]
    return graph(*nodes, edges=edges, dialect=dialect)


def case(case_id: str, **condition: Any) -> Data:
    one = {"variable_selector": ["start", "x"], "comparison_operator": "is", "value": "a"}
    return {"case_id": case_id, "logical_operator": "and", "conditions": [one | condition]}


def branching(
    *edges: EdgeSpec, dialect: Dialect = "native", cases: list[Data] | None = None
) -> WorkflowSchema:
    """start → if → end, with the given edges of the if-else ``if``."""
    branch = node("if", "if-else", cases=[case("a")] if cases is None else cases)
    return graph(START, branch, END, edges=[edge("start", "if"), *edges], dialect=dialect)


BOTH = (edge("if", "end", "a"), edge("if", "end", "false"))


def http(**data: Any) -> WorkflowSchema:
    return chain(node("http", "http-request", **({"method": "GET", "url": "http://h"} | data)))


def code(**data: Any) -> WorkflowSchema:
    return chain(node("code", "code", **({"code": "function main() {}"} | data)))


def template(text: str, **data: Any) -> WorkflowSchema:
    return chain(node("t", "template-transform", template=text, **data))


def end_reading(*selector: str) -> NodeSpec:
    return node("end", "end", outputs=[{"variable": "o", "value_selector": list(selector)}])


def codes(report: Report) -> list[str]:
    return [found.code for found in report.diagnostics]


def fine(name: str, schema: WorkflowSchema) -> Any:
    return pytest.param(schema, id=name)


@pytest.mark.parametrize(
    "schema",
    [
        fine("start and end", chain()),
        fine("a branch", branching(*BOTH)),
        fine("a request", http(headers=[{"key": "a", "value": "{{#start.x#}}"}])),
        fine("an old aggregator without variables", chain(node("v", "variable-assigner"))),
        fine(
            "answer only",
            graph(START, node("a", "answer", answer="hi"), edges=[edge("start", "a")]),
        ),
        fine(
            "an ancestor that is farther away than the shortest way (2.2, E403)",
            graph(
                START,
                node("a", "code", code="x"),
                node("b", "code", code="x"),
                END.model_copy(update={"data": end_reading("b", "r").data}),
                edges=[edge("start", "a"), edge("a", "b"), edge("b", "end"), edge("start", "end")],
            ),
        ),
        fine(
            "reserved namespaces",
            chain(end=end_reading("sys", "query")),
        ),
        fine("a literal output of the start node", chain(end=end_reading("start", "sys.query"))),
        fine(
            "Dify input types",
            graph(
                node("start", "start", variables=[{"variable": "x", "type": "paragraph"}]),
                END,
                edges=[edge("start", "end")],
                dialect="dify",
            ),
        ),
        fine(
            "a long selector in Dify",
            chain(end=end_reading("start", "x", "y", "z"), dialect="dify"),
        ),
        fine("a branch that just ends in Dify", branching(BOTH[0], dialect="dify")),
        fine(
            "answers in a row in Dify",
            graph(
                START,
                node("a", "answer", answer="1"),
                node("b", "answer", answer="2"),
                edges=[edge("start", "a"), edge("a", "b")],
                dialect="dify",
            ),
        ),
        fine(
            "python3 in Dify",
            chain(node("c", "code", code="x", language="python3"), dialect="dify"),
        ),
        fine(
            "any version in Dify",
            WorkflowSchema.model_validate(
                chain(dialect="dify").model_dump() | {"version": "0.6.0"}
            ),
        ),
    ],
)
def test_a_sound_workflow_has_no_diagnostics(schema: WorkflowSchema) -> None:
    assert validate(schema) == Report()


def one(code_: str, where: str | None, schema: WorkflowSchema) -> Any:
    return pytest.param(code_, where, schema, id=f"{code_} {where}")


A, B = node("a", "code", code="x"), node("b", "code", code="x")
LOST = node("lost", "code", code="x")


@pytest.mark.parametrize(
    ("code_", "field", "schema"),
    [
        one(
            "E002",
            "version",
            WorkflowSchema(version="0.2.0", nodes=(START, END), edges=(edge("start", "end"),)),
        ),
        one("E003", "nodes", WorkflowSchema()),
        one("E004", None, graph(END, edges=[])),
        one("E005", None, graph(START, node("two", "start"), END, edges=[edge("start", "end")])),
        one("E006", None, graph(START, edges=[])),
        one("E007", None, graph(START, END, END, edges=[edge("start", "end")])),
        one(
            "E008",
            "id",
            graph(START, node(" ", "end"), edges=[edge("start", " ")]).model_copy(
                update={"nodes": (START, NodeSpec(id=" ", type="end", title="End"))}
            ),
        ),
        one("E009", "type", chain(node("x", "no-such-type"))),
        one("E009", "type", chain(node("t", "template", template="a"))),
        one("E050", "type", chain(node("x", "agent"))),
        one("E050", "type", chain(node("x", "plugin.mine"))),
        one("E050", "type", graph(node("t", "trigger-webhook"), END, edges=[edge("t", "end")])),
        one(
            "E010", "source", graph(START, END, edges=[edge("start", "end"), edge("ghost", "end")])
        ),
        one(
            "E011",
            "target",
            graph(START, END, edges=[edge("start", "end"), edge("start", "ghost")]),
        ),
        one(
            "E012",
            None,
            graph(START, A, END, edges=[edge("start", "a"), edge("a", "a"), edge("a", "end")]),
        ),
        one("E013", None, graph(START, END, edges=[edge("start", "end"), edge("start", "end")])),
        one("W001", "title", chain(NodeSpec(id="c", type="code", title=" ", data={"code": "x"}))),
        one(
            "E101",
            None,
            graph(
                START,
                A,
                B,
                END,
                edges=[edge("start", "a"), edge("a", "b"), edge("b", "a"), edge("b", "end")],
            ),
        ),
        one("E102", None, graph(START, END, LOST, edges=[edge("start", "end")])),
        one("W103", None, graph(START, END, LOST, edges=[edge("start", "end")], dialect="dify")),
        one(
            "W103",
            None,
            graph(START, END, node("lost", "agent"), edges=[edge("start", "end")], dialect="dify"),
        ),
        one("W101", None, graph(START, END, A, edges=[edge("start", "end"), edge("end", "a")])),
        one(
            "E201",
            "variables[0].type",
            graph(
                node("start", "start", variables=[{"variable": "x", "type": "text-input"}]),
                END,
                edges=[edge("start", "end")],
            ),
        ),
        one(
            "E203",
            "answer",
            graph(START, node("a", "answer", answer=" "), edges=[edge("start", "a")]),
        ),
        one("E204", "cases", branching(BOTH[1], cases=[])),
        one(
            "E205", "cases[0].conditions", branching(*BOTH, cases=[case("a") | {"conditions": []}])
        ),
        one("E206", "cases", branching(*BOTH, cases=[case("a"), case("a")])),
        one("E207", "code", code(code=" ")),
        one("E208", "language", code(language="ruby")),
        one("E208", "language", code(language="js")),
        one("W201", "language", code(language="python3")),
        one("E209", "url", http(url=" ")),
        one("E210", "template", template(" ")),
        one("E215", "variables", chain(node("v", "variable-aggregator"))),
        one("E217", "method", http(method="get")),
        one("E217", "method", http(method="TRACE")),
        one("E217", "answer", graph(START, node("a", "answer"), edges=[edge("start", "a")])),
        one("E217", "outputs[0].value_selector", chain(end=end_reading())),
        one("E217", "outputs[0].value_selector", chain(end=end_reading("start", "x", "deep"))),
        one(
            "E217",
            "cases[0].conditions[0].comparison_operator",
            branching(*BOTH, cases=[case("a", comparison_operator="resembles")]),
        ),
        one("E217", "data", chain(node("a", "assigner"))),
        one(
            "E217",
            "write_mode",
            chain(
                node(
                    "a",
                    "assigner",
                    write_mode="shred",
                    assigned_variable_selector=["conversation", "v"],
                )
            ),
        ),
        one("E301", None, branching(BOTH[0])),
        one("E302", None, branching(BOTH[1])),
        one("E303", "source_handle", graph(START, END, edges=[edge("start", "end", "left")])),
        one(
            "E303",
            "source_handle",
            graph(
                START,
                A,
                END,
                edges=[edge("start", "a"), edge("a", "end"), edge("a", "end", "fail-branch")],
            ),
        ),
        one("E304", "source_handle", branching(*BOTH, edge("if", "end", "b"))),
        one("E304", "source_handle", branching(*BOTH, edge("if", "end", "fail-branch"))),
        one("W301", "source_handle", branching(*BOTH, edge("if", "end"))),
        one("E402", "outputs[0].value_selector", chain(end=end_reading("ghost", "x"))),
        one("E402", "outputs[0].value_selector", chain(end=end_reading("x"))),
        one(
            "E402",
            "value",
            chain(
                node(
                    "a",
                    "assigner",
                    items=[
                        {
                            "variable_selector": ["conversation", "v"],
                            "operation": "over-write",
                            "value": ["ghost", "x"],
                        },
                    ],
                )
            ),
        ),
        one("E403", "outputs[0].value_selector", chain(end=end_reading("end", "x"))),
        one(
            "E403",
            "outputs[0].value_selector",
            graph(
                START, A, end_reading("a", "r"), edges=[edge("start", "a"), edge("start", "end")]
            ),
        ),
        one("E501", "template", template("{% if %}")),
        one("E502", "url", http(url="http://{{#host#}}")),
        one("E502", "headers[0].value", http(headers=[{"key": "a", "value": "{{#x#}}"}])),
        one("E502", "params[0].value", http(params=[{"key": "a", "value": "{{#x#}}"}])),
        one("W502", "url", http(url="http://{{#ghost.host#}}")),
        one(
            "W403",
            "outputs[0].value_selector",
            graph(
                node("start", "start", variables=[{"variable": "query"}]),
                end_reading("start", "qeury"),
                edges=[edge("start", "end")],
            ),
        ),
    ],
)
def test_a_faulty_workflow_yields_exactly_its_diagnostic(
    code_: str, field: str | None, schema: WorkflowSchema
) -> None:
    report = validate(schema)
    assert codes(report) == [code_]
    (found,) = report.diagnostics
    assert found.level == ("error" if code_.startswith("E") else "warning")
    assert report.is_valid == code_.startswith("W")
    assert (found.field_path or "").endswith(field or "")
    assert bool(found.field_path) == bool(field)


@pytest.mark.parametrize(
    ("expected", "schema"),
    [
        # what cannot be reached has edges that cannot be taken
        (
            {"E102", "W102"},
            graph(START, END, LOST, edges=[edge("start", "end"), edge("lost", "end")]),
        ),
        # an edge to the start node comes from a cycle or from nowhere
        (
            {"E104", "E101"},
            graph(START, A, END, edges=[edge("start", "a"), edge("a", "start"), edge("a", "end")]),
        ),
        # an end that cannot be reached is both
        ({"E103", "E102"}, graph(START, A, END, edges=[edge("start", "a")])),
        (
            {"E102", "W401"},
            graph(START, LOST, end_reading("lost", "r"), edges=[edge("start", "end")]),
        ),
    ],
)
def test_faults_that_never_come_alone_come_with_their_cause(
    expected: set[str], schema: WorkflowSchema
) -> None:
    assert set(codes(validate(schema))) == expected


def test_all_findings_are_collected_at_once() -> None:
    schema = graph(
        START,
        node("a", "no-such-type"),
        node("h", "http-request", method="get"),
        edges=[edge("start", "a"), edge("a", "h")],
    )
    assert set(codes(validate(schema))) == {"E006", "E009", "E217"}


def test_a_cycle_is_told_by_its_path() -> None:
    schema = graph(
        START,
        A,
        B,
        END,
        edges=[edge("start", "a"), edge("a", "b"), edge("b", "a"), edge("b", "end")],
    )
    assert validate(schema).diagnostics[0].message == "cycle: a -> b -> a"


def test_a_cycle_in_a_corner_that_cannot_be_reached_is_reported() -> None:
    schema = graph(START, END, A, B, edges=[edge("start", "end"), edge("a", "b"), edge("b", "a")])
    assert "E101" in codes(validate(schema))


def test_the_line_of_the_file_travels_with_the_finding() -> None:
    wrong = NodeSpec(id="x", type="no-such-type", title="X", line=12)
    crossing = EdgeSpec(id="e", source="start", target="ghost", line=34)
    schema = graph(START, wrong, END, edges=[edge("start", "x"), edge("x", "end"), crossing])
    lines = {found.code: found.line for found in validate(schema).diagnostics}
    assert lines == {"E009": 12, "E011": 34}


def test_an_unsupported_type_is_told_with_what_would_provide_it() -> None:
    (found,) = validate(chain(node("x", "agent"))).diagnostics
    assert "'agent'" in found.message
    assert "model provider" in found.message


def test_a_mocked_node_is_accepted_whatever_its_type_and_data() -> None:
    for spec in (
        node("x", "agent"),
        node("x", "no-such-type"),
        node("x", "http-request", method="?"),
    ):
        assert validate(chain(spec), mocked=frozenset({"x"})) == Report()


def test_a_type_with_a_registered_executor_is_accepted() -> None:
    assert validate(chain(node("x", "plugin.mine")), foreign=frozenset({"plugin.mine"})) == Report()


def test_a_fail_branch_is_legal_where_the_strategy_says_so() -> None:
    risky = A.model_copy(update={"error_strategy": ErrorStrategy(type="fail-branch")})
    schema = graph(
        START,
        risky,
        END,
        edges=[edge("start", "a"), edge("a", "end"), edge("a", "end", "fail-branch")],
    )
    assert validate(schema) == Report()


def test_leftovers_of_a_dify_export_are_only_warnings() -> None:
    schema = graph(
        START,
        END,
        node("lost", "http-request", method="?"),
        node("lost2", "no-such-type"),
        edges=[edge("start", "end"), edge("lost", "lost2")],
        dialect="dify",
    )
    report = validate(schema)
    assert codes(report) == ["W103", "W103"]
    assert report.is_valid


def test_a_chain_of_ten_thousand_nodes_is_validated() -> None:
    middle = [
        node(f"n{i}", "end", outputs=[{"variable": "o", "value_selector": ["start", "x"]}])
        for i in range(10_000)
    ]
    report = validate(chain(*middle, dialect="dify", end=end_reading("n9999", "o")))
    assert set(codes(report)) == {"W101"}


def sizes(nodes: int, edges: int, ids: int, config_bytes: int, depth: int) -> DslLimits:
    return DslLimits(
        max_nodes=nodes,
        max_edges=edges,
        max_node_id_length=ids,
        max_node_config_bytes=config_bytes,
        max_nesting_depth=depth,
    )


LIMITS = sizes(2, 1, 5, 200, 1)


@pytest.mark.parametrize(
    ("code_", "schema"),
    [
        ("E020", graph(START, END, END, edges=[edge("start", "end")])),
        ("E021", graph(START, END, edges=[edge("start", "end"), edge("end", "start")])),
        ("E022", graph(START, node("much-longer", "end"), edges=[edge("start", "much-longer")])),
        ("E023", graph(START, node("end", "end", note="x" * 201), edges=[edge("start", "end")])),
        (
            "E024",
            graph(START, node("end", "end", sub_graph={"nodes": [{"subGraph": {}}]}), edges=[]),
        ),
        (
            "E024",
            graph(
                START,
                END,
                edges=[],
                error_handler=ErrorHandler(
                    sub_graph=SubGraph(nodes=(node("n", "loop", sub_graph={}),), edges=())
                ),
            ),
        ),
    ],
)
def test_a_size_over_its_limit_is_refused_only_where_there_are_limits(
    code_: str, schema: WorkflowSchema
) -> None:
    assert code_ in codes(validate(schema, limits=LIMITS))
    assert code_ not in codes(validate(schema))
    assert code_ not in codes(validate(schema, limits=sizes(9, 9, 99, 9999, 9)))


def test_a_policy_may_let_cycles_pass() -> None:
    schema = graph(
        START,
        A,
        B,
        END,
        edges=[edge("start", "a"), edge("a", "b"), edge("b", "a"), edge("b", "end")],
    )
    assert validate(schema, limits=DslLimits(enable_cycle_detection=False)) == Report()
