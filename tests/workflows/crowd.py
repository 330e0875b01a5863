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
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 4
_FULL_SECS = 60.0


class Crowd(MockServer):
    """Notes which runs are between their first request and their last one.

    A killed worker's request is repeated, under the same key: a run is there once. The first ones
    are answered when as many have come as ``places`` admit, so that the crowd was full once.
    """

    def __init__(self, places: int) -> None:
        super().__init__()
        self._places = places
        self._was_full = threading.Event()
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
            if self.most >= self._places:
                self._was_full.set()
        self._was_full.wait(_FULL_SECS)
        return MockResponse(request.method, request.path, response_body="fine", delay_secs=0.05)


class Processes:
    """Worker processes of one group; one that is killed is replaced at once, and in doubt sooner by
    ``haste``."""

    def __init__(self, address: str, group: RuntimeGroup, *, haste: float = 1) -> None:
        assert group.usage_quota is not None
        module = "tests.workflows.governed_worker"
        given = [address, group.group_id or "", group.usage_quota.model_dump_json(), str(haste)]
        if group.governor_url is not None:
            given.append(group.governor_url)
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
