"""What holds for every graph, however it is drawn."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.engine.validation.test_validation import sizes
from xworkflow.domain.schema import EdgeSpec, ErrorHandler, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.engine.validation import validate
from xworkflow.engine.validation.subject import Subject
from xworkflow.nodes.registry import NodeRegistry

TYPES = [*sorted(NodeRegistry.builtin().names(in_body=True)), "agent", "plugin.x", "nope", ""]
IDS = ["a", "b", "c", "start", "", " "]
KEYS = [
    "variables", "outputs", "answer", "cases", "template", "code", "language", "url", "method",
    "body", "items", "variable", "value_selector", "conditions", "type", "value", "groups",
]  # fmt: skip


def container(node_id: str, node_type: str, body: SubGraph, around: bool) -> NodeSpec:
    """A container that can be read, in both dialects; on demand inside of another one."""
    data = {
        "input_selector": ["start", "x"],
        "output_selector": ["b", "x"],
        "output_variable": "o",
        "operation": "map",
        "condition": {"variable_selector": "loop.x", "comparison_operator": "is"},
        "loop_count": 2,
        "loop_variables": [{"label": "x"}],
        "break_conditions": [{"variable_selector": "a.y", "comparison_operator": "is"}],
        "sub_graph": body.model_dump(mode="json", exclude_defaults=True),
    }
    made = NodeSpec(id=node_id, type=node_type, data=data)
    inside = SubGraph(nodes=(made,), edges=(), start=node_id)
    return container("a", "iteration", inside, around=False) if around else made


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(["", "a.b", "{{#a.b#}}", "{{ a"]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3)
    ),
    max_leaves=8,
)
nodes = st.builds(
    NodeSpec,
    id=st.sampled_from(IDS),
    type=st.sampled_from(TYPES),
    title=st.sampled_from(["", "T"]),
    data=st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4),
)
edges = st.builds(
    EdgeSpec,
    id=st.just("e"),
    source=st.sampled_from(IDS),
    target=st.sampled_from(IDS),
    source_handle=st.sampled_from([None, "source", "false", "x", "fail-branch"]),
)
bodies = st.builds(
    SubGraph,
    nodes=st.lists(nodes, max_size=3).map(tuple),
    edges=st.lists(edges, max_size=3).map(tuple),
    start=st.none() | st.sampled_from(IDS),
)
containers = st.builds(
    container,
    st.sampled_from(IDS),
    st.sampled_from(["iteration", "loop", "list-operator"]),
    bodies,
    st.booleans(),
)
schemas = st.builds(
    WorkflowSchema,
    dialect=st.sampled_from(["native", "dify"]),
    nodes=st.lists(nodes | containers, max_size=5).map(tuple),
    edges=st.lists(edges, max_size=6).map(tuple),
    error_handler=st.none() | st.builds(ErrorHandler, sub_graph=bodies),
)


@given(schemas)
def test_validation_never_raises_and_judges_alike_each_time(schema: WorkflowSchema) -> None:
    report = validate(schema)
    assert report == validate(schema)
    assert report.is_valid == (not report.errors)
    roomy = sizes(99, 99, 99, 99_999, 99)
    assert validate(schema, limits=roomy) == report


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)).filter(lambda e: e[0] < e[1])))
def test_a_node_runs_before_another_exactly_when_there_is_a_way(
    pairs: set[tuple[int, int]],
) -> None:
    schema = WorkflowSchema(
        nodes=tuple(NodeSpec(id=str(i), type="code") for i in range(7)),
        edges=tuple(EdgeSpec(id=f"{s}-{t}", source=str(s), target=str(t)) for s, t in pairs),
    )
    subject = Subject(schema, NodeRegistry.builtin(), frozenset(), frozenset())
    ways = _closure(pairs)
    for first in range(7):
        for then in range(7):
            assert subject.runs_before(str(first), str(then)) == ((first, then) in ways)


def _closure(pairs: set[tuple[int, int]]) -> set[tuple[int, int]]:
    """All pairs with a way between them, by the definition."""
    ways: set[Any] = set(pairs)
    while more := {(a, d) for a, b in ways for c, d in pairs if b == c} - ways:
        ways |= more
    return ways
