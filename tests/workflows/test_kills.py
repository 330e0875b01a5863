"""Workers are killed at random moments, and nobody can tell from what their runs did.

The seed of the moments is printed, and set with ``XWORKFLOW_KILL_SEED``.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import time
import tomllib
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from tests.workflows.killed_workers import Workers, seeded
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus
from xworkflow.domain.events import UNNUMBERED, GraphEngineEvent
from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.embedded.worker_process import worker_command
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
CASES = ROOT.parent / "shared" / "conformance" / "cases"
KILLS = 50
IN_FLIGHT = 6
DELAY_SECS = 0.2

ORDER = json.dumps({"customer": "Ada", "lines": [{"name": "gears", "price": 12.5, "count": 12}]})
SHOP = (
    MockResponse("GET", "/orders/4711", response_status=503, response_body="busy"),
    MockResponse("GET", "/orders/4711", response_body=ORDER),
    MockResponse("GET", "/weather?city=Oslo", response_body="snow"),
)


class IdempotentServer(MockServer):
    """Answers a request with a key that it knows as it did before, as a good service does.

    ``arrivals`` has the Unix times at which each key came in.
    """

    def __init__(self, responses: tuple[MockResponse, ...]) -> None:
        super().__init__(tuple(replace(r, delay_secs=DELAY_SECS) for r in responses))
        self.arrivals: dict[str, list[float]] = defaultdict(list)
        self._answers: dict[str, MockResponse] = {}

    def answer(self, request: ReceivedRequest) -> MockResponse:
        key = request.headers["idempotency-key"]
        self.arrivals[key].append(time.time())
        if key not in self._answers:
            self._answers[key] = super().answer(request)
        return self._answers[key]


@dataclass(frozen=True)
class Subject:
    """A workflow that is run over and over, with a server of its own each time."""

    name: str
    schema: WorkflowSchema
    responses: tuple[MockResponse, ...] = ()
    inputs: dict[str, Any] = field(default_factory=dict[str, Any])
    inputs_with_url: str | None = None


@dataclass
class Trial:
    """One run of a subject, and what became of it."""

    subject: Subject
    handle: WorkflowHandle
    server: IdempotentServer
    status: ExecutionStatus | None = None
    events: list[GraphEngineEvent] = field(default_factory=list[GraphEngineEvent])


def subjects() -> list[Subject]:
    orders = load((ROOT / "examples" / "orders.yml").read_bytes(), "yaml")
    found = [Subject("orders", orders, SHOP, {"order_id": "4711"}, "shop_url")]
    for pattern in ("012_*", "042_*", "110_*"):
        for folder in sorted(CASES.glob(pattern)) if CASES.is_dir() else ():
            state = tomllib.loads((folder / "state.toml").read_text())
            responses = tuple(MockResponse.from_table(t) for t in state.get("mock_server", ()))
            inputs = tomllib.loads((folder / "in.toml").read_text())
            schema = load((folder / "workflow.toml").read_bytes(), "toml", name=folder.name)
            found.append(Subject(folder.name, schema, responses, inputs))
    return found


async def begin(subject: Subject, client: Client, queue: str, stack: ExitStack) -> Trial:
    server = stack.enter_context(IdempotentServer(subject.responses))
    inputs = dict(subject.inputs)
    if subject.inputs_with_url is not None:
        inputs[subject.inputs_with_url] = server.url
    builder = WorkflowRunner.builder(subject.schema).user_inputs(inputs)
    builder.system_vars({"base_url": server.url}).options(heartbeat_timeout_secs=2)
    handle = await builder.client(client, task_queue=queue).run()
    return Trial(subject, handle, server)


async def finish(trial: Trial) -> Trial:
    trial.status = await trial.handle.wait()
    trial.events = [event async for event in trial.handle.events(follow=False)]
    return trial


UNSTEADY = {"id", "parallel_group_id", "predecessor_node_id"}
"""What depends on which of two parallel nodes ends first, or is new in each run."""


def comparable(events: list[GraphEngineEvent]) -> dict[str, list[tuple[str, dict[str, Any]]]]:
    """The events of each node, and those of the run, in order.

    Without times and ids, and without what only the server chose. Between parallel nodes the order
    is that of their ends, in an undisturbed run as well.
    """
    numbered = [event.seq for event in events if event.type not in UNNUMBERED]
    assert numbered == list(range(len(numbered)))
    by_node: dict[str, list[tuple[str, dict[str, Any]]]] = defaultdict(list)
    for event in events:
        data = {key: value for key, value in event.data.items() if key not in UNSTEADY}
        if "outputs" in data:
            chosen = ("headers", "shop_url")
            data["outputs"] = {k: v for k, v in data["outputs"].items() if k not in chosen}
        by_node[data.get("node_id", "")].append((event.type, data))
    return by_node


@pytest.mark.timeout(420)
async def test_runs_whose_workers_are_killed_give_what_undisturbed_runs_give(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    _, chosen = seeded()
    workers = Workers(worker_command(temporal_server, task_queue))
    with ExitStack() as stack:
        stack.enter_context(workers.running())
        reference = {
            subject.name: await finish(await begin(subject, temporal_client, task_queue, stack))
            for subject in subjects()
        }
        trials = await disturbed(workers, chosen, temporal_client, task_queue, stack)
    assert len(workers.kills) == 2 * KILLS
    assert len(trials) >= IN_FLIGHT
    for trial in trials:
        undisturbed = reference[trial.subject.name]
        assert isinstance(trial.status, Completed), (trial.subject.name, trial.status)
        assert trial.status == undisturbed.status
        assert comparable(trial.events) == comparable(undisturbed.events)
        assert_no_call_is_repeated_without_a_kill(trial, workers.kills)


async def disturbed(
    workers: Workers, chosen: random.Random, client: Client, queue: str, stack: ExitStack
) -> list[Trial]:
    """Keep runs in flight while the workers are killed, and wait for the end of all."""
    kinds = subjects()
    finishing: list[asyncio.Task[Trial]] = []
    while len(workers.kills) < 2 * KILLS:
        while sum(not task.done() for task in finishing) < IN_FLIGHT:
            trial = await begin(kinds[len(finishing) % len(kinds)], client, queue, stack)
            finishing.append(asyncio.create_task(finish(trial)))
        await asyncio.sleep(chosen.uniform(0.05, 1.5))
        await asyncio.to_thread(workers.kill, chosen)
    return list(await asyncio.gather(*finishing))


def assert_no_call_is_repeated_without_a_kill(trial: Trial, kills: list[float]) -> None:
    """Each repeat of a key has a kill before it, and none comes after its node has ended."""
    ended = {
        event.data["id"]: event.at / 1000
        for event in trial.events
        if event.type == "node_run_succeeded"
    }
    for key, arrivals in trial.server.arrivals.items():
        for first, second in itertools.pairwise(arrivals):
            assert any(first - DELAY_SECS <= kill <= second for kill in kills), (key, arrivals)
        node_execution = key.split("/")[-2]
        assert arrivals[-1] <= ended[node_execution] + 0.05, (key, arrivals)
