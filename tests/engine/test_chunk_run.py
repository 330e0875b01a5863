"""A chunk of a container's items, fed by hand: what its items write, and what time it is."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.workflows.drawing import choice, http, iteration, node
from xworkflow.domain.commands import Emit, StartNode
from xworkflow.domain.facts import NodeSucceeded, Resumed
from xworkflow.domain.repeats import ChunkEnd, OpenChunk, Progress, Repeat
from xworkflow.domain.results import NodeRunResult, PoolWrite
from xworkflow.domain.schema import EdgeSpec, SubGraph, WorkflowSchema
from xworkflow.domain.wire import ChunkTask, RunInput, RunOptions
from xworkflow.engine.carrier import FinishChunk, LaneEffect
from xworkflow.engine.chunk_run import ChunkRun
from xworkflow.engine.compile import body_schema
from xworkflow.engine.start import carrier_of, compiled_of

SET = {"variable_selector": ["conversation", "x"], "operation": "set", "input_type": "constant"}


def _chunk(
    items: list[Any],
    *,
    window: int | None = None,
    bytes_at_once: int | None = None,
    nodes_in_a_history: int | None = None,
    **options: Any,
) -> ChunkRun:
    """A Dify iteration whose body calls somebody, and then writes ``conversation.x`` where its item
    is ``write``; all items run side by side."""
    nodes = (
        node("s", "iteration-start"),
        http("call", "http://x/"),
        choice("pick", "it.item", "write"),
        node("set", "assigner", items=[{**SET, "value": 1}]),
    )
    drawn = (("s", "call", None), ("call", "pick", None), ("pick", "set", "yes"))
    lines = tuple(
        EdgeSpec(id=f"e{i}", source=s, target=t, source_handle=h)
        for i, (s, t, h) in enumerate(drawn)
    )
    inner = SubGraph(nodes=nodes, edges=lines, start="s")
    outer = iteration("it", "start.list", inner.model_dump(mode="json", exclude_defaults=True))
    schema = body_schema(WorkflowSchema(dialect="dify"), inner)
    task = ChunkTask(
        node_id="it", node_type="iteration", data=outer.data, execution_id="x",
        window=window or len(items),
        repeat=Repeat(items=tuple(items), parallelism=len(items)), bytes_at_once=bytes_at_once,
        nodes_in_a_history=nodes_in_a_history,
    )  # fmt: skip
    run = RunInput(
        schema_text=schema.text, chunk=task, pool={"conversation": {"x": 0}},
        options=RunOptions(**options),
    )  # fmt: skip
    chunk = carrier_of(run, compiled_of(run), "run")
    assert isinstance(chunk, ChunkRun)
    return chunk


def _answered(chunk: ChunkRun, lane: int) -> list[LaneEffect]:
    call = chunk.compiled.plan.index_of["call"]
    return chunk.feed(lane, NodeSucceeded(call, 1, NodeRunResult(), 5))


def _end(effects: list[LaneEffect]) -> ChunkEnd:
    (end,) = (effect.end for _, effect in effects if isinstance(effect, FinishChunk))
    return end


@pytest.mark.parametrize("reloaded", [False, True])
def test_an_item_that_writes_nothing_undoes_no_write_of_its_sibling(*, reloaded: bool) -> None:
    """It began before that write, and has the older value in its pool to the end."""
    chunk = _chunk(["write", "look"])
    chunk.begin(1)
    _answered(chunk, 0)
    if reloaded:
        state = json.loads(json.dumps(chunk.dump()))
        run = chunk._run.model_copy(update={"state": state})
        again = carrier_of(run, chunk.compiled, "run")
        assert isinstance(again, ChunkRun)
        chunk = again
    end = _end(_answered(chunk, 1))
    assert end.writes == (PoolWrite(selector=("conversation", "x"), value=1),)


def test_a_chunk_whose_results_are_large_ends_early_and_its_rest_goes_out_again() -> None:
    chunk = _chunk(["a", "b", "c"], window=1, bytes_at_once=1)
    chunk.begin(1)
    end = _end(_answered(chunk, 0))
    assert len(end.outcomes) == 1
    whole = Progress(repeat=Repeat(items=("a", "b", "c")), size=3)
    given, first = whole.give_out()
    assert first == OpenChunk(start=0, count=3)
    taken = given.take(0, end)
    assert taken is not None
    assert not taken.is_over
    again, rest = taken.give_out()
    assert rest == OpenChunk(start=1, count=2)
    assert again.give_out()[1] is None


def test_a_chunk_is_long_when_a_replay_would_compute_for_long_until_it_continues_as_new() -> None:
    chunk = _chunk(["a", "b", "c"], window=1, nodes_in_a_history=8)
    nodes = len(chunk.compiled.plan.nodes)
    chunk.begin(1)
    assert (nodes, chunk.is_long) == (4, False)
    _answered(chunk, 0)
    assert not chunk.is_long
    _answered(chunk, 1)
    assert chunk.is_long
    chunk.tell(Resumed(9))
    assert not chunk.is_long


def test_a_chunk_that_began_before_there_were_bounds_is_never_long() -> None:
    """Its history has neither breaths nor an end at such a place."""
    chunk = _chunk(["x"] * 3_000, window=1)
    chunk.begin(1)
    for lane in range(1_500):
        _answered(chunk, lane)
    assert not chunk.is_long
    assert not chunk.breathes


def test_of_two_items_that_write_the_later_one_wins() -> None:
    chunk = _chunk(["write", "write"])
    chunk.begin(1)
    _answered(chunk, 1)
    end = _end(_answered(chunk, 0))
    assert end.writes == (PoolWrite(selector=("conversation", "x"), value=1),)


def test_what_items_write_changes_no_byte_of_the_pool_that_they_got() -> None:
    chunk = _chunk(["write", "write"])
    before = json.dumps(chunk._run.pool)
    chunk.begin(1)
    for lane in (0, 1):
        effects = _answered(chunk, lane)
    assert _end(effects).writes
    assert json.dumps(chunk._run.pool) == before


def test_a_stopped_clock_stands_still_for_items_too() -> None:
    chunk = _chunk(["look"], fixed_timestamp=1_000)
    effects = chunk.begin(99_999)
    assert any(isinstance(effect, StartNode) for _, effect in effects)
    effects += _answered(chunk, 0)
    assert {effect.event.at for _, effect in effects if isinstance(effect, Emit)} == {1_000_000}
