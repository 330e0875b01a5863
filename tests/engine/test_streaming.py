"""Which nodes stream is a property of the drawing."""

from __future__ import annotations

import pytest

from tests.workflows.drawing import code, graph, node, start, text
from xworkflow.domain.schema import NodeSpec
from xworkflow.domain.wire import MockNode
from xworkflow.engine.compile import CompileOptions, compile_schema
from xworkflow.engine.streaming import streaming_nodes
from xworkflow.nodes.registry import NodeRegistry

MODEL = {"provider": "openai", "name": "m"}


def llm(id_: str, *, stream: bool = True) -> NodeSpec:
    return node(id_, "llm", model=MODEL, stream=stream)


def answer(id_: str, said: str) -> NodeSpec:
    return node(id_, "answer", answer=said)


def streaming(*nodes: NodeSpec, mocks: dict[str, MockNode] | None = None) -> set[str]:
    drawn = graph("g", [start(), *nodes], *(f"start > {n.id}" for n in nodes))
    options = CompileOptions(mock_nodes=mocks or {})
    compiled = compile_schema(drawn, NodeRegistry.builtin(), options)
    return set(streaming_nodes((c.node, c.type) for c in compiled.nodes))


def test_an_llm_streams_where_it_is_drawn_so() -> None:
    assert streaming(llm("a"), llm("b", stream=False)) == {"a"}


def test_a_text_that_quotes_a_stream_streams_and_so_on() -> None:
    nodes = (
        answer("last", "{{#middle.output#}}!"),
        text("middle", "{{ v }}", "first.answer"),
        answer("first", "{{#a.text#}}"),
        answer("other", "{{#start.q#}} {{#b.text#}}"),
        llm("a"),
        llm("b", stream=False),
    )
    assert streaming(*nodes) == {"a", "first", "middle", "last"}


@pytest.mark.parametrize(
    "collects",
    [
        node("x", "variable-aggregator", variables=[["a", "text"]]),
        code("x", "a.text"),
        llm("x", stream=False),
    ],
)
def test_what_collects_a_stream_does_not_stream(collects: NodeSpec) -> None:
    assert streaming(llm("a"), collects, answer("y", "{{#x.output#}}")) == {"a"}


def test_a_mock_streams_when_it_says_in_which_pieces() -> None:
    outputs = {"text": "ab", "__chunks": {"text": [1, 1]}}
    mocks = {"a": MockNode(outputs=outputs), "b": MockNode(outputs={"text": "ab"})}
    nodes = (llm("a"), llm("b"), answer("x", "{{#a.text#}}"), answer("y", "{{#b.text#}}"))
    assert streaming(*nodes, mocks=mocks) == {"a", "x"}
