"""Random nested graphs on Temporal: the naive interpreter's results, and what readers see of them.

The graphs are those of ``tests/properties/test_nested_laws.py``. The seed is printed, and set with
``XWORKFLOW_NESTED_SEED``.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
import pytest_asyncio

from tests.properties.nested_graphs import INPUTS, Drawer, Nest, schema_of
from tests.properties.nested_naive import End, interpret
from tests.workflows.answering import answering
from tests.workflows.bench import Bench
from tests.workflows.reckoner import Reckoner
from tests.workflows.recording import (
    Recording,
    Seen,
    all_ended,
    by_workflow,
    carried_out_again,
    check_reading,
    read_all,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus, Failed
from xworkflow.domain.events import GraphEngineEvent

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


GRAPHS = 36
SIDE_BY_SIDE = 4
MOST_BODIES = 40


@dataclass(frozen=True)
class Drawn:
    seed: int
    nest: Nest
    expected: End


@dataclass
class Trial:
    """One run, and what a reader saw that was there from its start."""

    drawn: Drawn
    handle: WorkflowHandle
    status: ExecutionStatus
    live: Seen = field(default_factory=list[tuple[str, GraphEngineEvent]])


def chosen_seed() -> int:
    given = os.environ.get("XWORKFLOW_NESTED_SEED")
    if given is None and os.environ.get("CI"):
        given = "1"
    seed = int(given or time.time_ns() % 10**6)
    sys.stdout.write(f"XWORKFLOW_NESTED_SEED={seed}\n")
    return seed


def drawn_graphs(seed: int, count: int, *, most_bodies: int = MOST_BODIES) -> Iterator[Drawn]:
    """Graphs with at least one body, and not too many."""
    while count:
        people = seed % 2 == 1
        nest = Drawer(Random(seed), max_nodes=4, people=people).draw()  # noqa: S311 - no secret
        expected = interpret(nest, INPUTS)
        if 0 < expected.bodies <= most_bodies:
            yield Drawn(seed, nest, expected)
            count -= 1
        seed += 1


def numbers(seen: Seen) -> set[tuple[str, int]]:
    return {(workflow_id, event.seq) for workflow_id, event in seen}


@pytest_asyncio.fixture
async def fast_bench(idle_bench: Bench) -> AsyncIterator[Bench]:
    """Without the workflow sandbox: what is recorded must be this process's own."""
    async with idle_bench.worker():
        yield idle_bench


@pytest.fixture
def reckoner() -> Iterator[Reckoner]:
    with Reckoner() as server:
        yield server


async def start(bench: Bench, nest: Nest, url: str, **options: Any) -> WorkflowHandle:
    builder = WorkflowRunner.builder(schema_of(nest)).user_inputs(INPUTS)
    builder.system_vars({"base_url": url}).options(**options)
    return await builder.client(bench.client, task_queue=bench.queue).run()


async def run(bench: Bench, drawn: Drawn, url: str, **options: Any) -> Trial:
    handle = await start(bench, drawn.nest, url, **options)
    reading = asyncio.create_task(read_all(handle, follow=True))
    async with answering(handle, drawn.nest):
        status = await handle.wait()
    return Trial(drawn, handle, status, await reading)


def check_result(trial: Trial) -> None:
    expected, status = trial.drawn.expected, trial.status
    if expected.fatal:
        assert isinstance(status, Failed), trial.drawn.seed
        named = {f"Node execution error: node={node}, " for node in expected.fatal}
        assert any(status.message.startswith(name) for name in named), trial.drawn.seed
        return
    assert isinstance(status, Completed), (trial.drawn.seed, status)
    assert status.outputs == expected.outputs, trial.drawn.seed


@pytest.mark.timeout(300)
@pytest.mark.parametrize("most_events", [8_000, 25], ids=["whole", "continued"])
async def test_nested_graphs_give_what_the_naive_interpreter_gives_and_read_as_they_ran(
    fast_bench: Bench, reckoner: Reckoner, recording: Recording, most_events: int
) -> None:
    graphs = list(drawn_graphs(chosen_seed(), GRAPHS if most_events > 1000 else GRAPHS // 2))
    places = asyncio.Semaphore(SIDE_BY_SIDE)

    async def one(drawn: Drawn) -> Trial:
        async with places:
            return await run(
                fast_bench, drawn, reckoner.url, continue_as_new_after_events=most_events
            )

    for trial in await asyncio.gather(*map(one, graphs)):
        check_result(trial)
        run_id = trial.handle.execution_id
        await all_ended(fast_bench, run_id)
        closed = await read_all(trial.handle)
        again, left_with = set[str](), None
        if trial.drawn.expected.fatal:  # then it has stopped sub-graphs, and not waited for them
            again = await carried_out_again(fast_bench, recording.names_of(run_id))
            left_with = run_id
        check_reading(recording, run_id, closed, but=again)
        check_reading(recording, run_id, trial.live, but=again, left_with=left_with)
        check_order(trial.live)
        check_order(closed)
    assert recording.emitted


def check_order(seen: Seen) -> None:
    """Each workflow's events in their order; those of a sub-graph before what its end led to.

    Of a container that is tried again, the sub-graphs of the attempt before may tell of their end
    meanwhile; they are other workflows.
    """
    for events in by_workflow(seen).values():
        assert [event.seq for event in events] == list(range(len(events)))
    began: set[tuple[str, Place, str]] = set()
    for workflow_id, event in seen:
        place = place_of(event)
        key = (workflow_id, place, str(event.data.get("node_id")))
        if event.type in ("iteration_started", "loop_started"):
            began.add(key)
        elif event.type in ("iteration_succeeded", "loop_succeeded"):
            began.remove(key)
        elif "/" in workflow_id and event.type.startswith("node_run"):
            container, _ = place[-1]
            around = {(parent, place[:-1], container) for parent in prefixes(workflow_id)}
            assert around & began, event


Place = tuple[tuple[str, int], ...]


def place_of(event: GraphEngineEvent) -> Place:
    return tuple((str(step[0]), int(step[1])) for step in event.data.get("path", []))


def prefixes(workflow_id: str) -> list[str]:
    """Among them is the workflow around it."""
    parts = workflow_id.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


@pytest.mark.timeout(120)
async def test_readers_that_begin_at_any_cursor_see_exactly_the_rest(
    fast_bench: Bench, reckoner: Reckoner
) -> None:
    chance = Random(7)  # noqa: S311 - places, not secrets
    for drawn in drawn_graphs(chosen_seed(), 4, most_bodies=15):
        trial = await run(fast_bench, drawn, reckoner.url)
        everything = numbers(trial.live)
        assert len(everything) == len(trial.live)
        places = range(len(trial.live))
        for place in sorted(chance.sample(places, min(25, len(places)))):
            rest = await read_all(trial.handle, after=trial.live[place][1].cursor)
            seen = trial.live[: place + 1]
            assert len(numbers(rest)) == len(rest), (drawn.seed, place)
            assert numbers(rest) == everything - numbers(seen), (drawn.seed, place)
