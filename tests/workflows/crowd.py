"""A crowd of runs over several worker processes, which a test kills."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from temporalio.client import Client

from tests.workflows.drawing import chain, end, http, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.governing import UsageQuota
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 4


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

    def __init__(
        self, address: str, group_id: str, quota: UsageQuota, redis_url: str | None = None
    ) -> None:
        module = "tests.workflows.governed_worker"
        given = [address, group_id, quota.model_dump_json(), *([redis_url] if redis_url else [])]
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
            self.wait_ready()
            yield
        finally:
            self.end()

    def wait_ready(self) -> None:
        for process in self.alive:
            _wait_ready(process)

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


async def begin(crowd: Crowd, client: Client, group: RuntimeGroup) -> WorkflowHandle:
    requests = [http("enter", f"{crowd.url}/enter"), http("leave", f"{crowd.url}/leave")]
    schema = chain("crowd", start("n"), *requests, end(body="leave.body"))
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    builder.user_inputs({"n": 1}).options(heartbeat_timeout_secs=2)
    return await builder.client(client).run()
