"""A quota of ten runs over four worker processes that are killed at random: never eleven.

The seed of the moments is printed, and set with ``XWORKFLOW_KILL_SEED``.
"""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.workflows.drawing import chain, end, http, start
from tests.workflows.overlap import most_at_once
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.context import WorkflowContext
from xworkflow.domain.governing import USAGE_QUERY, GroupUsage, UsageQuota, governor_id
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
RUNS, WORKERS, PLACES, KILLS = 200, 4, 10, 8


class Crowd(MockServer):
    """Notes which runs are between their first request and their last one.

    A killed worker's request is repeated, under the same key: a run is there once.
    """

    def __init__(self) -> None:
        super().__init__()
        self.inside: set[str] = set()
        self.most = 0
        self._door = threading.Lock()

    def answer(self, request: ReceivedRequest) -> MockResponse:
        run = request.headers["idempotency-key"].split("/")[0]
        with self._door:
            if request.path == "/enter":
                self.inside.add(run)
                self.most = max(self.most, len(self.inside))
            else:
                self.inside.discard(run)
        return MockResponse(request.method, request.path, response_body="fine", delay_secs=0.05)


class Processes:
    """Worker processes of one group; one that is killed is replaced at once."""

    def __init__(self, address: str, group_id: str, quota: UsageQuota) -> None:
        module = "tests.workflows.governed_worker"
        given = [address, group_id, quota.model_dump_json()]
        self._command = [sys.executable, "-m", module, *given]
        self.alive: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        self.alive.append(
            subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
            )
        )

    def kill_one(self, chosen: random.Random) -> None:
        victim = self.alive.pop(chosen.randrange(len(self.alive)))
        _end(victim, signal.SIGKILL)
        self.start()

    @contextmanager
    def running(self) -> Generator[None]:
        try:
            for _ in range(WORKERS):
                self.start()
            for process in self.alive:
                _wait_ready(process)
            yield
        finally:
            self.end()

    def end(self) -> None:
        for process in self.alive:
            _end(process, signal.SIGKILL)


def _wait_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    while line := process.stdout.readline():
        if line.strip() == READY_LINE:
            return
    raise AssertionError("a worker does not start")


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


@pytest.mark.timeout(240)
async def test_workers_are_killed_and_never_more_runs_than_the_quota_go_on(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    seed = int(os.environ.get("XWORKFLOW_KILL_SEED") or time.time_ns() % 10**6)
    sys.stdout.write(f"XWORKFLOW_KILL_SEED={seed}\n")
    chosen = random.Random(seed)  # noqa: S311 - moments, not secrets
    quota = UsageQuota(concurrent_runs=PLACES, when_full="wait")
    group = RuntimeGroup(group_id=f"killed-{task_queue}")
    group_id = group.group_id or ""
    processes = Processes(temporal_server, group_id, quota)
    with Crowd() as crowd, processes.running():
        finishing = [
            asyncio.create_task((await begin(crowd, temporal_client, group)).wait())
            for _ in range(RUNS)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(chosen.uniform(0.2, 1.2))
            await asyncio.to_thread(processes.kill_one, chosen)
        statuses = await asyncio.gather(*finishing)
        assert statuses == [Completed({"body": "fine"})] * RUNS
        used = await until_free(temporal_client, group_id)
    await group.aclose()
    assert (used.running, used.waiting) == ((), 0)
    assert crowd.most <= PLACES
    assert used.most_running == PLACES
    runs = [
        run.id
        async for run in temporal_client.list_workflows(
            f'TaskQueue = "xworkflow-{group_id}" AND WorkflowType = "GraphWorkflow"'
        )
    ]
    assert len(runs) == RUNS
    assert await most_at_once(temporal_client, runs) <= PLACES


async def begin(crowd: Crowd, client: Client, group: RuntimeGroup) -> WorkflowHandle:
    requests = [http("enter", f"{crowd.url}/enter"), http("leave", f"{crowd.url}/leave")]
    schema = chain("crowd", start("n"), *requests, end(body="leave.body"))
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    builder.user_inputs({"n": 1}).options(heartbeat_timeout_secs=2)
    return await builder.client(client).run()


async def until_free(client: Client, group_id: str) -> GroupUsage:
    """What the group uses once all places are back, which takes less than 30 s."""
    ledger = client.get_workflow_handle(governor_id(group_id))
    until = time.monotonic() + 30
    while True:
        used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
        if not used.running or time.monotonic() > until:
            return used
        await asyncio.sleep(0.2)


@pytest.mark.timeout(120)
async def test_what_a_process_had_in_hand_when_it_was_killed_is_found_again(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    """It had given places of its lease to runs, and had not told the ledger of them."""
    group = RuntimeGroup(group_id=f"lost-{task_queue}")
    group_id = group.group_id or ""
    processes = Processes(temporal_server, group_id, UsageQuota(concurrent_runs=40))
    with MockServer((MockResponse("GET", "/never", delay_secs=100),)) as web, ExitStack() as stack:
        stack.callback(processes.end)
        processes.start()
        _wait_ready(processes.alive[0])
        schema = chain("stays", start("n"), http("h", f"{web.url}/never"), end())
        runs: list[str] = []
        for number in range(4):
            builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
            handle = await builder.user_inputs({"n": 1}).client(temporal_client).run()
            runs.append(handle.execution_id)
            while len(web.requests) <= number:
                await asyncio.sleep(0.005)
        ledger = temporal_client.get_workflow_handle(governor_id(group_id))
        used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
        processes.kill_one(random.Random(0))  # noqa: S311 - there is but one
        untold = set(runs) - set(used.running)
        assert untold
        assert used.leased >= len(untold)
        began = time.monotonic()
        while used.leased and time.monotonic() < began + 40:
            await asyncio.sleep(0.2)
            used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
            assert len(used.running) + used.leased >= len(runs)
        assert time.monotonic() < began + 30
        assert sorted(used.running) == sorted(runs)
        for run in runs:
            await temporal_client.get_workflow_handle(run).terminate()
    await group.aclose()
