"""Workers are killed at random moments while random nested graphs run, and nobody can tell.

The seed of the graphs and of the moments is printed, and set with ``XWORKFLOW_KILL_SEED``.
"""

from __future__ import annotations

import asyncio
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

import pytest
from temporalio.client import Client

from tests.properties.nested_graphs import INPUTS, Drawer, Nest, schema_of
from tests.properties.nested_naive import End, interpret
from tests.workflows.answering import answering
from tests.workflows.killed_workers import Workers, seeded
from tests.workflows.reckoner import Reckoner
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.embedded.worker_process import worker_command
from xworkflow.testing.mock_server import MockResponse, ReceivedRequest

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

KILLS = 50
GRAPHS = 8
IN_FLIGHT = 6
DELAY_SECS = 0.1
UNSTEADY = {"id", "parallel_group_id", "predecessor_node_id", "resume_token", "timeout_at"}
"""What depends on which of two parallel nodes ends first, or is new in each run."""

Steps = dict[tuple[Any, ...], list[tuple[str, dict[str, Any]]]]


class SlowReckoner(Reckoner):
    """Takes its time, so that workers die while it computes."""

    def answer(self, request: ReceivedRequest) -> MockResponse:
        return replace(super().answer(request), delay_secs=DELAY_SECS)


def graphs(seed: int) -> Iterator[tuple[int, Nest, End]]:
    """Nested graphs that end well: what a failure still finds running depends on the moment."""
    while True:
        chance = random.Random(seed)  # noqa: S311 - no secret
        nest = Drawer(chance, max_nodes=4, people=seed % 2 == 1).draw()
        end = interpret(nest, INPUTS)
        if 0 < end.bodies <= 20 and not end.fatal:
            yield seed, nest, end
        seed += 1


async def start(nest: Nest, url: str, client: Client, queue: str) -> WorkflowHandle:
    builder = WorkflowRunner.builder(schema_of(nest)).user_inputs(INPUTS)
    builder.system_vars({"base_url": url}).options(heartbeat_timeout_secs=2)
    return await builder.client(client, task_queue=queue).run()


async def events_of(handle: WorkflowHandle) -> list[GraphEngineEvent]:
    return [event async for event in handle.events(follow=False)]


def steps(events: list[GraphEngineEvent]) -> Steps:
    """The events of each node of each item, in order, without times, ids and chosen headers."""
    found: Steps = defaultdict(list)
    for event in events:
        data = {key: value for key, value in event.data.items() if key not in UNSTEADY}
        if "outputs" in data:
            data["outputs"] = {k: v for k, v in data["outputs"].items() if k != "headers"}
        path = tuple(tuple(step) for step in data.get("path", ()))
        found[path, data.get("node_id", ""), data.get("index")].append((event.type, data))
    return found


def all_went_well(events: list[GraphEngineEvent]) -> bool:
    return not any(event.type.endswith(("_failed", "_exception")) for event in events)


@pytest.mark.timeout(420)
async def test_nested_runs_whose_workers_are_killed_give_what_undisturbed_runs_give(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    seed, chosen = seeded()
    workers = Workers(worker_command(temporal_server, task_queue))
    drawn = list(islice(graphs(seed), GRAPHS))
    with SlowReckoner() as server, workers.running():

        async def run(number: int) -> tuple[int, WorkflowHandle]:
            handle = await start(drawn[number][1], server.url, temporal_client, task_queue)
            async with answering(handle, drawn[number][1]):
                status = await handle.wait()
            assert isinstance(status, Completed), (drawn[number][0], status)
            assert status.outputs == drawn[number][2].outputs, drawn[number][0]
            return number, handle

        undisturbed = [
            await events_of(handle) for _, handle in await asyncio.gather(*map(run, range(GRAPHS)))
        ]
        running: list[asyncio.Task[tuple[int, WorkflowHandle]]] = []
        while len(workers.kills) < 2 * KILLS:
            while sum(not task.done() for task in running) < IN_FLIGHT:
                running.append(asyncio.create_task(run(len(running) % GRAPHS)))
            await asyncio.sleep(chosen.uniform(0.05, 1.0))
            await asyncio.to_thread(workers.kill, chosen)
        compared = 0
        for number, handle in await asyncio.gather(*running):
            if all_went_well(undisturbed[number]):
                assert steps(await events_of(handle)) == steps(undisturbed[number]), seed
                compared += 1
    assert len(running) >= IN_FLIGHT
    sys.stdout.write(f"{len(running)} runs, {compared} of them compared event by event\n")
