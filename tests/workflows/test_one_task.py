"""What arrives in one workflow task: signals and updates come before its news, in the workflow and
for whoever reads its history, which tells of the updates last."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client, WorkflowHistory
from temporalio.worker import Worker
from temporalio.worker._workflow_instance import _WorkflowLogicFlag

from tests.workflows.awaited import happened
from tests.workflows.bench import Bench, history, kind
from tests.workflows.drawing import end, form, graph, http, retries, start, text
from tests.workflows.recording import Recording, Seen, check_reading, read_all
from tests.workflows.replaying import replay
from xworkflow.activities.execute_node import NodeActivities
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow

pytestmark = [pytest.mark.temporal, pytest.mark.slow, pytest.mark.timeout(120)]


Said = tuple[str, ...]
SAID: tuple[Said, ...] = (
    ("pause",),
    ("answer",),
    ("variables",),
    ("variables", "variables"),
    ("pause", "answer", "variables"),
)
"""What is said to a run while a result and a timer wait to be taken."""

AT_ONCE = _WorkflowLogicFlag.PROCESS_WORKFLOW_ACTIVATION_JOBS_AS_SINGLE_BATCH
"""What a later SDK does by itself: it lets a workflow run on all that is new, not on signals and
updates before the rest."""


class Held(MockServer):
    """Answers when it is told to; what is busy is so once for each run."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self._seen: set[str] = set()

    def answer(self, request: ReceivedRequest) -> MockResponse:
        busy = request.path.startswith("/busy") and request.path not in self._seen
        self._seen.add(request.path)
        if request.path.startswith("/held"):
            self.released.wait(60)
        return MockResponse("GET", request.path, 503 if busy else 200, response_body="fine")


@dataclass
class Trial:
    said: Said
    handle: WorkflowHandle
    reading: asyncio.Task[Seen]


@pytest.fixture
def held() -> Iterator[Held]:
    with Held() as server:
        yield server
        server.released.set()


@pytest.fixture
async def bench(temporal_client: Client, task_queue: str) -> AsyncIterator[Bench]:
    made = Bench(temporal_client, task_queue)
    yield made
    await made.group.aclose()


@asynccontextmanager
async def activities(bench: Bench) -> AsyncGenerator[None]:
    async with Worker(
        bench.client, task_queue=bench.queue, activities=NodeActivities(bench.group).all()
    ):
        yield


@asynccontextmanager
async def workflows(bench: Bench, *, at_once: bool) -> AsyncGenerator[None]:
    """Only workflow tasks; without the workflow sandbox, as what is recorded is this process's."""
    worker = Worker(
        bench.client, task_queue=bench.queue, workflows=[GraphWorkflow],
        workflow_runner=workflow_runner(sandboxed=False),
    )  # fmt: skip
    worker._set_default_workflow_logic_flag(AT_ONCE, enabled=at_once)
    async with worker:
        yield


async def begun(bench: Bench, held: Held, said: Said, number: int) -> Trial:
    """A run that waits for a server, a timer and a person."""
    again = retries(1, 1_500)
    schema = graph(
        "one task",
        [
            start("name"), http("h", f"{held.url}/held"), text("t", "{{ v }}", of="start.name"),
            http("b", f"{held.url}/busy/{number}", fail_on_error_status=True, retry=again),
            form("ask", "v"), end(name="t.output", body="b.body", said="ask.v"),
        ],
        "start > h", "h > t", "t > end", "start > b", "b > end", "start > ask", "ask > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"name": "old"})
    await happened(bench.client, handle, "timer_started")
    return Trial(said, handle, asyncio.create_task(read_all(handle, follow=True)))


def saying(what: str, handle: WorkflowHandle) -> Coroutine[Any, Any, object]:
    match what:
        case "pause":
            return handle.pause()
        case "answer":
            return handle.answer("ask", form_data={"v": "said"})
        case _:
            return handle.update_variables({"start.name": "new"})


@pytest.mark.parametrize("at_once", [False, True], ids=["updates first", "all at once"])
async def test_what_arrives_in_one_task_is_taken_in_one_order_by_workflow_and_reader(
    bench: Bench, held: Held, recording: Recording, *, at_once: bool
) -> None:
    async with activities(bench):
        async with workflows(bench, at_once=at_once):
            trials = [await begun(bench, held, said, n) for n, said in enumerate(SAID)]
        # nobody takes workflow tasks now: what comes is one task of each run
        held.released.set()
        for trial in trials:
            await happened(bench.client, trial.handle, "timer_fired", "activity_task_completed")
        telling = [
            asyncio.create_task(saying(what, trial.handle))
            for trial in trials
            for what in trial.said
        ]
        for trial in trials:
            if "pause" in trial.said:
                await happened(bench.client, trial.handle, "workflow_execution_signaled")
        async with workflows(bench, at_once=at_once):
            await asyncio.gather(*telling)
            for trial in trials:
                if "pause" in trial.said:
                    await trial.handle.resume()
                if "answer" not in trial.said:
                    await trial.handle.answer("ask", form_data={"v": "said"})
                name = "new" if "variables" in trial.said else "old"
                expected = {"name": name, "body": "fine", "said": "said"}
                assert await trial.handle.wait() == Completed(expected), trial.said
    for trial in trials:
        events = await history(trial.handle, bench.client)
        check_one_task(events, trial.said)
        for read in (await trial.reading, await read_all(trial.handle)):
            check_reading(recording, trial.handle.execution_id, read)
        await replay(WorkflowHistory(trial.handle.execution_id, events))


def check_one_task(events: list[HistoryEvent], said: Said) -> None:
    """That the test made what it is about: one task has taken it all."""
    names = [kind(event) for event in events]
    fired = names.index("timer_fired")
    started = names.index("workflow_task_started", fired)
    news = {*names[fired:started], *names[names.index("activity_task_completed") : started]}
    assert ("workflow_execution_signaled" in news) == ("pause" in said)
    closed = names.index("workflow_task_scheduled", started)
    assert names[started:closed].count("workflow_execution_update_accepted") == sum(
        what != "pause" for what in said
    )
