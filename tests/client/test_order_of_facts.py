"""What arrives together is taken in one order: signals, updates, timers, results.

The SDK lets a workflow run on the signals and updates of a task before it tells of its other news,
although a history has an update behind them. Nobody carries the runs of these tests on until all of
it has arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from temporalio.api.update.v1 import UpdateRef
from temporalio.api.workflowservice.v1 import PollWorkflowExecutionUpdateRequest
from temporalio.client import WorkflowUpdateHandle, WorkflowUpdateStage
from temporalio.service import RPCError, RPCStatusCode

from tests.workflows.awaited import happened
from tests.workflows.bench import Bench, history, kind, read
from tests.workflows.drawing import chain, code, end, form, http, start, text
from tests.workflows.half_workers import nodes_alone, workflows_alone
from tests.workflows.recording import Recording
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Paused
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import ANSWER_UPDATE, VARIABLES_UPDATE
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def web() -> Iterator[str]:
    with MockServer((MockResponse("GET", "/ok", response_body="fine"),)) as server:
        yield server.url


async def sent(
    bench: Bench, handle: WorkflowHandle, update: str, arg: object
) -> asyncio.Task[WorkflowUpdateHandle[object]]:
    """An update of which the server knows, and no worker."""
    temporal = bench.client.get_workflow_handle(handle.execution_id)
    sending = asyncio.create_task(
        temporal.start_update(update, arg, id="u", wait_for_stage=WorkflowUpdateStage.ACCEPTED)  # pyright: ignore[reportUnknownMemberType]
    )
    request = PollWorkflowExecutionUpdateRequest(
        namespace=bench.client.namespace, update_ref=UpdateRef(update_id="u")
    )
    request.update_ref.workflow_execution.workflow_id = handle.execution_id
    while True:
        try:
            await bench.client.workflow_service.poll_workflow_execution_update(request)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            await asyncio.sleep(0.01)
        else:
            return sending


async def waits_for_result(bench: Bench, schema: WorkflowSchema) -> WorkflowHandle:
    """A run whose request was answered, which it has not heard."""
    async with workflows_alone(bench):
        handle = await bench.start(schema, {"n": "before"})
        await happened(bench.client, handle, "activity_task_scheduled")
    async with nodes_alone(bench):
        await happened(bench.client, handle, "activity_task_completed")
    return handle


def quoting(web: str) -> WorkflowSchema:
    """After a request it prints an input."""
    return chain(
        "quoting", start("n"), http("h", f"{web}/ok"), text("t", "{{ v }}", of="start.n"),
        end(o="t.output"),
    )  # fmt: skip


async def check_that_one_task_brought(bench: Bench, handle: WorkflowHandle, *wanted: str) -> None:
    """The second task of the run, which is the first of the worker that came back."""
    told = [kind(event) for event in await history(handle, bench.client)]
    first, second = [i for i, name in enumerate(told) if name == "workflow_task_completed"][:2]
    accepted = "workflow_execution_update_accepted"
    assert set(wanted) <= {*told[first:second], *({accepted} & {told[second + 1]})}


async def check_reading(handle: WorkflowHandle, recording: Recording) -> None:
    assert await read(handle) == recording.of(handle.execution_id)


async def test_an_update_counts_before_a_result_that_came_with_it(
    idle_bench: Bench, recording: Recording, web: str
) -> None:
    handle = await waits_for_result(idle_bench, quoting(web))
    sending = await sent(idle_bench, handle, VARIABLES_UPDATE, {"start.n": "after"})
    async with idle_bench.worker():
        followed = await read(handle, follow=True)
        assert await handle.wait() == Completed({"o": "after"})
    await sending
    await check_that_one_task_brought(
        idle_bench, handle, "activity_task_completed", "workflow_execution_update_accepted"
    )
    assert followed == recording.of(handle.execution_id)
    await check_reading(handle, recording)


async def test_a_signal_counts_before_a_result_that_came_with_it(
    idle_bench: Bench, recording: Recording, web: str
) -> None:
    handle = await waits_for_result(idle_bench, quoting(web))
    await handle.pause()
    async with idle_bench.worker():
        paused = await handle.wait_or_paused()
        assert isinstance(paused, Paused)
        await check_reading(handle, recording)
        assert not any(event.data.get("node_id") == "t" for event in await read(handle))
        await handle.resume()
        assert await handle.wait() == Completed({"o": "before"})
    await check_that_one_task_brought(
        idle_bench, handle, "activity_task_completed", "workflow_execution_signaled"
    )
    await check_reading(handle, recording)


@pytest.mark.parametrize("code_first", [False, True], ids=["", "then a region"])
async def test_an_answer_counts_although_its_time_ended_with_it(
    idle_bench: Bench, recording: Recording, code_first: bool
) -> None:
    asking = form(
        "ask", "name", timeout_secs=1, timeout_action="default_value",
        timeout_default_values={"name": "nobody"},
    )  # fmt: skip
    after = [code("c", "start.n")] if code_first else []
    schema = chain("in time", start("n"), asking, *after, end(o="ask.name"))
    async with workflows_alone(idle_bench):
        handle = await idle_bench.start(schema, {"n": 1})
        await happened(idle_bench.client, handle, "timer_started")
    await happened(idle_bench.client, handle, "timer_fired")
    answer = HumanAnswer(node_id="ask", form_data={"name": "somebody"})
    sending = await sent(idle_bench, handle, ANSWER_UPDATE, answer)
    async with idle_bench.worker():
        assert await handle.wait() == Completed({"o": "somebody"})
    await sending
    await check_that_one_task_brought(
        idle_bench, handle, "timer_fired", "workflow_execution_update_accepted"
    )
    await check_reading(handle, recording)


async def test_a_signal_and_an_update_and_a_result_of_one_task_are_read_as_they_were_taken(
    idle_bench: Bench, recording: Recording, web: str
) -> None:
    handle = await waits_for_result(idle_bench, quoting(web))
    sending = await sent(idle_bench, handle, VARIABLES_UPDATE, {"start.n": "after"})
    await handle.pause()
    async with idle_bench.worker():
        await sending
        await check_reading(handle, recording)
        await handle.resume()
        assert await handle.wait() == Completed({"o": "after"})
    await check_that_one_task_brought(
        idle_bench, handle, "activity_task_completed", "workflow_execution_update_accepted",
        "workflow_execution_signaled",
    )  # fmt: skip
    await check_reading(handle, recording)


async def test_a_reader_finds_all_that_a_task_did_on_one_page(idle_bench: Bench, web: str) -> None:
    """It waits for more where a page ends: no update of the task may stand on the next one."""
    handle = await waits_for_result(idle_bench, quoting(web))
    sending = await sent(idle_bench, handle, VARIABLES_UPDATE, {"start.n": "after"})
    async with idle_bench.worker():
        await handle.wait()
    await sending
    temporal = idle_bench.client.get_workflow_handle(handle.execution_id)
    for waits in (False, True):
        events = temporal.fetch_history_events(page_size=1, wait_new_event=waits)
        pages: list[list[str]] = []
        async for event in events:
            if events.current_page_index == 1:
                pages.append([])
            pages[-1].append(kind(event))
        assert len(pages) > 1
        (page,) = [page for page in pages if "workflow_execution_update_accepted" in page]
        assert page[0] == "workflow_task_completed"
