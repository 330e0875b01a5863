"""Random graphs of scripted nodes, and their compiled form."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from hypothesis import settings
from hypothesis import strategies as st

from tests.properties.naive import (
    Attempt,
    Dialect,
    Edge,
    Graph,
    Retry,
    ScriptedNode,
    Strategy,
)
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import EdgeSpec, ErrorStrategy, NodeSpec, RetryConfig, WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.engine.compile import Compiled, CompileOptions, compile_schema
from xworkflow.errors import NodeFailure
from xworkflow.nodes.base import Node, NodeData, Values, WorkNode
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.ports import Ports

LAWS = settings(max_examples=100)

Failing = Literal["never", "tolerated", "any"]
"""Which failures a graph may hold: none, those that a strategy or a retry absorbs, or all."""

_HANDLES = ("a", "b", "false")


class Scripted(WorkNode[NodeData]):
    """Runs nowhere: the shell of the laws answers for it."""

    type = "scripted"
    data_model = NodeData

    async def execute(self, node: Node[NodeData], values: Values, ports: Ports) -> NodeRunResult:
        raise AssertionError(f"{node.id} has no worker for {values} and {ports}")


class ScriptedOutput(Scripted):
    type = "scripted-output"
    is_output = True


TYPES = NodeRegistry.builtin().including(Scripted(), ScriptedOutput())


def _spec_type(*, is_output: bool, inline: bool, is_root: bool) -> str:
    if is_root:
        return "start"
    if inline:
        return "end" if is_output else "code"
    return "scripted-output" if is_output else "scripted"


def compile_graph(graph: Graph) -> Compiled:
    """The graph as the engine runs it: inline nodes are mocked, the others are activities."""
    schema = WorkflowSchema(
        dialect=graph.dialect,
        nodes=tuple(_node_spec(graph, node) for node in graph.nodes),
        edges=tuple(_edge_spec(number, edge) for number, edge in enumerate(graph.edges)),
    )
    mocks = {node.id: _mock(node) for node in graph.nodes if node.inline}
    return compile_schema(schema, TYPES, CompileOptions(mock_nodes=mocks))


def _node_spec(graph: Graph, node: ScriptedNode) -> NodeSpec:
    return NodeSpec(
        id=node.id,
        type=_spec_type(
            is_output=node.is_output, inline=node.inline, is_root=node.id == graph.root
        ),
        title=node.id.upper(),
        error_strategy=ErrorStrategy(type=node.strategy, default_value=dict(node.default_value)),
        retry_config=node.retry
        and RetryConfig(
            max_retries=node.retry.max_retries,
            retry_interval=node.retry.interval_ms,
            retry_on_retryable_only=not node.retry.every_error,
        ),
    )


def _edge_spec(number: int, edge: Edge) -> EdgeSpec:
    handle = None if edge.handle == "source" else edge.handle
    return EdgeSpec(
        id=f"edge_{number}", source=edge.source, target=edge.target, source_handle=handle
    )


def _mock(node: ScriptedNode) -> MockNode:
    """An inline node's only attempt; a mock cannot count, and its failures are never retryable."""
    (only,) = node.attempts
    if only.failure is not None:
        return MockNode(error=only.failure.text, error_type=only.failure.code)
    return MockNode(outputs=dict(only.outputs), handle=only.handle)


def result_of(attempt: Attempt) -> NodeRunResult:
    """What an activity gives for an attempt that does not fail."""
    if not attempt.excepted:
        return NodeRunResult(outputs=dict(attempt.outputs), edge_source_handle=attempt.handle)
    error = NodeFailure(code="not_implemented", text="tolerated by itself")
    return NodeRunResult.model_validate(
        {
            "status": "exception",
            "outputs": dict(attempt.outputs),
            "edge_source_handle": attempt.handle,
            "error": error,
        }
    )


# ---- strategies

_DIALECTS: st.SearchStrategy[Dialect] = st.sampled_from(["native", "native", "dify"])
_RETRIES = st.none() | st.builds(
    Retry,
    max_retries=st.integers(0, 3),
    interval_ms=st.sampled_from([0, 0, 5, 40]),
    every_error=st.booleans(),
)


@st.composite
def graphs(draw: st.DrawFn, failing: Failing = "any", max_nodes: int = 9) -> Graph:
    """A graph whose nodes all hang on the start node; Dify's may have leftovers that do not."""
    dialect = draw(_DIALECTS)
    names = ["start", *(f"n{i}" for i in range(draw(st.integers(1, max_nodes))))]
    strategies: dict[str, Strategy] = {name: draw(_strategies(failing)) for name in names[1:]}
    strategies["start"] = "none"
    branching = {name: draw(st.integers(0, 3)) == 0 for name in names}
    edges = draw(_edges(names, strategies, branching))
    if dialect == "dify" and draw(st.booleans()):
        names.append("leftover")
        strategies["leftover"] = "none"
        edges.append(Edge("leftover", draw(st.sampled_from(names[1:-1]))))
    out_edges = {name: [e for e in edges if e.source == name] for name in names}
    start = draw(_nodes("start", "none", out_edges["start"], "never"))
    start = replace(start, is_output=False, inline=True)
    others = (draw(_nodes(n, strategies[n], out_edges[n], failing)) for n in names[1:])
    return Graph((start, *others), tuple(edges), dialect)


def _strategies(failing: Failing) -> st.SearchStrategy[Strategy]:
    if failing == "any":
        return st.sampled_from(["none", "fail-branch", "default-value"])
    return st.sampled_from(["none", "none", "fail-branch", "default-value"])


@st.composite
def _edges(
    draw: st.DrawFn, names: list[str], strategies: dict[str, Strategy], branching: dict[str, bool]
) -> list[Edge]:
    """One to three in-edges from earlier nodes for each node; a branch may lead to one twice."""
    edges: list[Edge] = []
    for number, target in enumerate(names[1:], start=1):
        wanted = draw(st.integers(1, 3))
        for source in draw(st.lists(st.sampled_from(names[:number]), min_size=1, max_size=wanted)):
            handle = "source"
            if strategies[source] == "fail-branch":
                handle = draw(st.sampled_from(["source", "fail-branch"]))
            elif branching[source]:
                handle = draw(st.sampled_from(_HANDLES))
            if Edge(source, target, handle) not in edges:
                edges.append(Edge(source, target, handle))
    return edges


@st.composite
def _nodes(
    draw: st.DrawFn, name: str, strategy: Strategy, out_edges: list[Edge], failing: Failing
) -> ScriptedNode:
    inline = draw(st.booleans())
    handles = [edge.handle for edge in out_edges]
    success = Attempt({f"out_{name}": draw(st.integers(0, 9))}, draw(_handle(handles, failing)))
    attempts: tuple[Attempt, ...] = (success,)
    branches = any(handle != "source" for handle in handles)
    absorbs = strategy == "fail-branch" and ("fail-branch" in handles or not branches)
    absorbs = absorbs or (strategy == "default-value" and not branches)
    retry = None if failing == "never" else draw(_RETRIES)
    if failing == "any" or (failing == "tolerated" and absorbs):
        attempts = draw(_scripts(success, inline=inline))
    elif failing == "tolerated" and retry is not None and not inline:
        again = Attempt(failure=NodeFailure(code="http_error", text="again", retryable=True))
        attempts = (*[again] * draw(st.integers(0, retry.max_retries)), success)
    return ScriptedNode(
        id=name,
        attempts=attempts,
        # exceptions add the same two outputs everywhere: the later one would win
        is_output=strategy == "none" and (not out_edges or draw(st.integers(0, 3)) == 0),
        inline=inline,
        strategy=strategy,
        default_value={f"out_{name}": "default"} if strategy == "default-value" else {},
        retry=retry,
    )


def _handle(handles: list[str], failing: Failing) -> st.SearchStrategy[str | None]:
    """A handle that leads somewhere; where everything may fail, at times one that does not."""
    if all(handle in ("source", "fail-branch") for handle in handles):
        return st.none()
    if failing == "any":
        return st.sampled_from([*handles, *handles, "nowhere", None])
    return st.sampled_from(handles)


def _scripts(success: Attempt, *, inline: bool) -> st.SearchStrategy[tuple[Attempt, ...]]:
    lasting = Attempt(failure=NodeFailure(code="execution_error", text="boom"))
    if inline:
        return st.sampled_from([(success,), (success,), (lasting,)])
    passing = Attempt(failure=NodeFailure(code="http_error", text="busy", retryable=True))
    ends = st.sampled_from([success, success, replace(success, excepted=True), lasting, passing])
    starts = st.lists(st.sampled_from([passing, passing, lasting]), max_size=3)
    return st.tuples(starts, ends).map(lambda script: (*script[0], script[1]))
