"""What a carrier hands out for a fact, when something of it is undone by the same fact."""

from __future__ import annotations

from typing import Any

from tests.workflows.drawing import begin, body, code, end, finish, graph, iteration, start
from xworkflow.domain.commands import CancelChunk, CancelNode, FinishRun, StartChunk, StartNode
from xworkflow.domain.repeats import Repeat
from xworkflow.domain.wire import ChunkTask, RunInput, Variables
from xworkflow.engine.carrier import FinishChunk
from xworkflow.engine.compile import body_schema
from xworkflow.engine.start import carrier_of, compiled_of
from xworkflow.nodes.iteration import Iteration, IterationData

STARTS = (StartNode, StartChunk, CancelNode, CancelChunk)


def _body(name: str) -> dict[str, Any]:
    return body(begin(f"s_{name}"), code(f"c_{name}"), finish(f"e_{name}", n=f"c_{name}.n"))


def test_a_sub_graph_that_is_stopped_before_it_was_started_is_never_asked_for() -> None:
    schema = graph(
        "stopped",
        [
            start("list", "text"),
            iteration("bad", "start.text", _body("bad")),
            iteration("good", "start.list", _body("good")),
            end(),
        ],
        "start > bad",
        "start > good",
        "bad > end",
        "good > end",
    )
    variables = Variables(user_inputs={"list": [1, 2], "text": "no list"})
    run = RunInput(schema_text=schema.text, variables=variables)
    effects = [effect for _, effect in carrier_of(run, compiled_of(run), "run").begin(1)]
    assert isinstance(effects[-1], FinishRun)
    assert effects[-1].result.status == "failed"
    assert not any(isinstance(effect, STARTS) for effect in effects)


def test_an_item_whose_sibling_fails_at_once_starts_nothing() -> None:
    """The second item is no list: its inner iteration fails before the first was carried out."""
    inner = body(
        begin("s"),
        code("c"),
        iteration("inner", "item", _body("inner")),
        finish("e", n="c.n", out="inner.out"),
        drawn=("s > c", "s > inner", "c > e", "inner > e"),
    )
    outer = iteration("outer", "start.list", inner)
    data = IterationData.model_validate(outer.data)
    schema = body_schema(graph("failing", [start("list"), outer]), data.sub_graph)
    repeat = Repeat(items=([1, 2], "no list", [3]), parallelism=3)
    task = ChunkTask(
        node_id="outer", node_type=Iteration.type, data=outer.data, execution_id="x", window=3,
        repeat=repeat,
    )  # fmt: skip
    run = RunInput(schema_text=schema.text, pool={"start": {"n": 1}}, chunk=task)
    effects = [effect for _, effect in carrier_of(run, compiled_of(run), "run").begin(1)]
    assert isinstance(effects[-1], FinishChunk)
    assert effects[-1].end.error is not None
    assert not any(isinstance(effect, STARTS) for effect in effects)
