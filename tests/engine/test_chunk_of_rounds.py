"""A chunk of a container, fed by hand: what one round leaves for the next, in a region too."""

from __future__ import annotations

from typing import Any

from xworkflow.domain.commands import StartNode
from xworkflow.domain.facts import NodeSucceeded
from xworkflow.domain.loading import load
from xworkflow.domain.repeats import Repeat
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.wire import ChunkTask, PathStep, RunInput
from xworkflow.engine.carrier import Carrier, FinishChunk, LaneEffect
from xworkflow.engine.compile import Compiled, compile_schema
from xworkflow.engine.start import carrier_of
from xworkflow.nodes.registry import NodeRegistry

LOOP = """
workflow:
  graph:
    nodes:
    - {id: start, data: {type: start, title: s, variables: []}}
    - {id: loop, data: {type: loop, title: l, start_node_id: begin, loop_count: 3,
       loop_variables: [{label: draft, var_type: string, value_type: constant, value: a}]}}
    - {id: begin, type: custom-loop-start, parentId: loop, data: {type: loop-start}}
    - {id: first, parentId: loop, data: {type: code, title: f, code_language: python3, code: x,
       outputs: {text: {type: string}}, variables: [{variable: d, value_selector: [loop, draft]}]}}
    - {id: keep, parentId: loop, data: {type: assigner, version: '2', title: k, items: [
        {input_type: variable, operation: over-write, value: [first, text],
         variable_selector: [loop, draft]}]}}
    - {id: last, parentId: loop, data: {type: code, title: z, code_language: python3, code: x,
       outputs: {n: {type: number}}, variables: []}}
    - {id: end, data: {type: end, title: e, outputs: []}}
    edges:
    - {source: start, target: loop}
    - {source: begin, target: first}
    - {source: first, target: keep}
    - {source: keep, target: last}
    - {source: loop, target: end}
"""


INNER = """
workflow:
  graph:
    nodes:
    - {id: start, data: {type: start, title: s, variables: []}}
    - {id: inner, data: {type: loop, title: i, start_node_id: begin, loop_count: 3}}
    - {id: begin, type: custom-loop-start, parentId: inner, data: {type: loop-start}}
    - {id: stop, parentId: inner, data: {type: loop-end, title: s}}
    - {id: end, data: {type: end, title: e, outputs: []}}
    edges: [{source: start, target: inner}, {source: begin, target: stop},
            {source: inner, target: end}]
"""


def drawn() -> tuple[Compiled, RunInput]:
    """The body of the loop, and what its chunk is started with."""
    whole = compile_schema(load(LOOP, "yaml"), NodeRegistry.builtin())
    index = whole.plan.index_of["loop"]
    body = whole.bodies[index]
    task = ChunkTask(
        node_id="loop",
        node_type="loop",
        data=whole.nodes[index].spec.data,
        execution_id="e",
        repeat=Repeat(carry={"draft": "a"}, folds=True),
    )
    return body, RunInput(schema_text=body.schema.text, pool={}, chunk=task)


def carried(body: Compiled, run: RunInput, state: dict[str, Any] | None = None) -> Carrier:
    return carrier_of(run.model_copy(update={"state": state}), body, "run")


def started(effects: list[LaneEffect]) -> list[tuple[int, StartNode]]:
    return [(lane, effect) for lane, effect in effects if isinstance(effect, StartNode)]


def succeeded(start: StartNode, **outputs: Any) -> NodeSucceeded:
    return NodeSucceeded(start.node, start.attempt, NodeRunResult(outputs=outputs), 1)


def test_a_round_that_begins_in_a_region_sees_what_the_one_before_it_left() -> None:
    body, run = drawn()
    chunk = carried(body, run)
    ((_, first),) = started(chunk.begin(1))
    ((_, last),) = started(chunk.feed(0, succeeded(first, text="b")))
    region = carried(body, run, chunk.dump_for_region([(0, last)]))
    ((lane, _),) = started(region.feed(0, succeeded(last, n=1)))
    assert lane == 1
    assert region.lanes[1].state.pool.get(("loop", "draft")) == "b"


def test_a_loop_that_ends_itself_ends_none_around_it_though_it_be_called_loop() -> None:
    whole = compile_schema(load(INNER, "yaml"), NodeRegistry.builtin())
    index = whole.plan.index_of["inner"]
    task = ChunkTask(
        node_id="inner",
        node_type="loop",
        data=whole.nodes[index].spec.data,
        execution_id="e",
        repeat=Repeat(carry={}, folds=True),
        path=(PathStep(node_id="loop", index=0),),
    )
    body = whole.bodies[index]
    chunk = carried(body, RunInput(schema_text=body.schema.text, pool={"loop": {}}, chunk=task))
    (end,) = [effect.end for _, effect in chunk.begin(1) if isinstance(effect, FinishChunk)]
    assert (end.rounds, end.writes) == (1, ())
