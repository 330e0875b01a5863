"""What is said of a run that does not go on, and that nothing is said of one that does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager

import pytest
from temporalio.api.enums.v1 import TaskQueueKind
from temporalio.api.failure.v1 import ApplicationFailureInfo, Failure
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import (
    PollActivityTaskQueueRequest,
    RespondActivityTaskFailedRequest,
)

from tests.workflows.awaited import happened, requested
from tests.workflows.bench import Bench
from tests.workflows.drawing import begin, body, chain, end, finish, http, iteration, start
from tests.workflows.half_workers import workflows_alone
from xworkflow.client import hold_ups
from xworkflow.client.handle import WorkflowHandle
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def web() -> Iterator[MockServer]:
    with MockServer((MockResponse("GET", "/slow", delay_secs=60),)) as server:
        yield server


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits has waited too long."""
    monkeypatch.setattr(hold_ups, "UNTAKEN_SECS", 0.0)
    monkeypatch.setattr(hold_ups, "SILENT_SECS", 0.0)


@asynccontextmanager
async def begun(bench: Bench, url: str) -> AsyncGenerator[WorkflowHandle]:
    """A run whose request nobody has taken; its workflow's worker stays."""
    schema = chain("held up", start(), http("h", f"{url}/slow"), end(out="h.body"))
    handle = await bench.start(schema, {})
    async with workflows_alone(bench):
        await happened(bench.client, handle, "activity_task_scheduled")
        yield handle
        await handle.cancel()
        await handle.wait()


async def sentences(handle: WorkflowHandle) -> tuple[str, ...]:
    return tuple(map(str, await handle.hold_ups()))


async def taken(bench: Bench) -> bytes:
    """The token of an activity that a worker takes of which nobody will hear again."""
    request = PollActivityTaskQueueRequest(
        namespace=bench.client.namespace,
        task_queue=TaskQueue(name=bench.queue, kind=TaskQueueKind.TASK_QUEUE_KIND_NORMAL),
        identity="4711@gone",
    )
    return (await bench.client.workflow_service.poll_activity_task_queue(request)).task_token


@pytest.mark.usefixtures("hasty")
async def test_a_run_that_no_worker_takes_waits_in_its_queue(idle_bench: Bench) -> None:
    handle = await idle_bench.start(chain("nobody", start(), end(out="start.x")), {})
    said = await sentences(handle)
    assert said == (f"no worker takes the run; it waits in '{idle_bench.queue}' until one does",)
    await idle_bench.client.get_workflow_handle(handle.execution_id).terminate()
    assert await handle.hold_ups() == ()


@pytest.mark.usefixtures("hasty")
async def test_a_node_that_no_worker_takes_is_named(idle_bench: Bench, web: MockServer) -> None:
    async with begun(idle_bench, web.url) as handle:
        assert await sentences(handle) == (f"h: no worker takes it from '{idle_bench.queue}' yet",)


@pytest.mark.usefixtures("hasty")
async def test_a_node_whose_worker_has_gone_says_when_another_attempt_begins(
    idle_bench: Bench, web: MockServer
) -> None:
    async with begun(idle_bench, web.url) as handle:
        await taken(idle_bench)
        (said,) = await sentences(handle)
        assert said.startswith("h: nothing is heard of its worker 4711@gone; after 60 s of that ")


def test_a_line_for_people_has_the_title_of_the_node() -> None:
    held = hold_ups.HoldUp("is under way again", "1721110597868")
    assert held.told({"1721110597868": "LLM"}) == "LLM: is under way again"
    assert held.told({}) == "1721110597868: is under way again"
    assert str(hold_ups.HoldUp("no worker takes the run")) == "no worker takes the run"


async def test_an_attempt_that_failed_is_quoted(idle_bench: Bench, web: MockServer) -> None:
    async with begun(idle_bench, web.url) as handle:
        failed = RespondActivityTaskFailedRequest(
            namespace=idle_bench.client.namespace,
            task_token=await taken(idle_bench),
            failure=Failure(
                message="the disk\nis full",
                application_failure_info=ApplicationFailureInfo(type="OSError"),
            ),
        )
        await idle_bench.client.workflow_service.respond_activity_task_failed(failed)
        (said,) = await sentences(handle)
        assert said.startswith("h: ")
        assert said.endswith(" (attempt 2; the one before: the disk is full)")


async def test_nothing_is_said_of_a_long_request_under_way_also_of_a_sub_graph(
    idle_bench: Bench, web: MockServer
) -> None:
    inner = body(begin("s"), http("h", f"{web.url}/slow"), finish("e", out="h.body"))
    schema = chain(
        "busy",
        start("list"),
        iteration("it", "start.list", inner, parallel=True),
        end(out="it.out"),
    )
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"list": [1, 2]})
        await requested(web, 2)
        assert await handle.hold_ups() == ()
        await handle.cancel()
        await handle.wait()


@pytest.mark.usefixtures("hasty")
async def test_what_holds_a_sub_graph_up_holds_its_run_up(
    idle_bench: Bench, web: MockServer
) -> None:
    inner = body(begin("s"), http("h", f"{web.url}/slow"), finish("e", out="h.body"))
    schema = chain("nested", start("list"), iteration("it", "start.list", inner), end(out="it.out"))
    handle = await idle_bench.start(schema, {"list": [1]})
    async with workflows_alone(idle_bench):
        while not await handle.hold_ups():
            await asyncio.sleep(0.01)
        while (said := await sentences(handle)) != (
            f"h: no worker takes it from '{idle_bench.queue}' yet",
        ):
            assert all("no worker takes" in sentence for sentence in said)
            await asyncio.sleep(0.01)
        await handle.cancel()
        await handle.wait()
