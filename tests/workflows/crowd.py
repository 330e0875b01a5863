"""A crowd of runs, and the server at whose door it is counted."""

from __future__ import annotations

import threading

from temporalio.client import Client

from tests.workflows.drawing import chain, end, http, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

_FULL_SECS = 60.0
_DOORS = ("enter", "leave")


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


async def begin(crowd: Crowd, client: Client, group: RuntimeGroup) -> WorkflowHandle:
    requests = [http(name, f"{crowd.url}/{name}", timeout=2 * _FULL_SECS) for name in _DOORS]
    schema = chain("crowd", start("n"), *requests, end(body="leave.body"))
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    builder.user_inputs({"n": 1}).options(heartbeat_timeout_secs=2)
    return await builder.client(client).run()
