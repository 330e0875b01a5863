"""What anybody with a Temporal client or the Web UI sees of a run."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import WorkflowExecutionDescription
from temporalio.exceptions import ApplicationError

from tests.workflows.awaited import node_started
from tests.workflows.bench import Bench, history
from tests.workflows.drawing import chain, choice, code, end, graph, http, start, text
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Failed, Running
from xworkflow.domain.wire import GRAPH_WORKFLOW
from xworkflow.testing.mock_server import MockServer

pytestmark = pytest.mark.temporal


@pytest_asyncio.fixture
async def open_run(bench: Bench, web: MockServer) -> AsyncIterator[WorkflowHandle]:
    """A run that stands at a slow request, with a branch taken and one skipped."""
    nodes = [
        start("n"), choice("which", "start.n", "1"), code("c"), text("no", "no"),
        http("wait", f"{web.url}/slow", title="Ask the | slow\nserver"), end(n="c.n"),
    ]  # fmt: skip
    drawn = ("start > which", "which:yes > c", "which:false > no", "c > wait", "wait > end")
    handle = await bench.start(graph("Desk of orders", nodes, *drawn, "no > end"), {"n": 1})
    await node_started(handle, "wait")
    yield handle
    await handle.cancel()
    await handle.wait()


async def test_the_state_shows_each_node(open_run: WorkflowHandle) -> None:
    state = await open_run.state()
    assert state.phase == "running"
    assert state.steps == 4
    assert state.nodes == {
        "start": "done", "which": "done", "c": "done", "no": "skipped",
        "wait": "running", "end": "pending",
    }  # fmt: skip
    assert await open_run.status() == Running()


async def test_variables_show_the_pool_whole_or_by_node(open_run: WorkflowHandle) -> None:
    assert await open_run.variables("c") == {"n": 2}
    whole = await open_run.variables()
    assert whole["c"] == {"n": 2}
    assert whole["start"]["n"] == 1
    assert await open_run.variables("nobody") == {}


async def test_outputs_are_those_collected_so_far(bench: Bench, open_run: WorkflowHandle) -> None:
    assert await open_run.outputs() == {}
    done = await bench.start(chain("done", start("n"), end(n="start.n")), {"n": 3})
    assert await done.wait() == Completed({"n": 3})
    assert await done.outputs() == {"n": 3}
    assert (await done.state()).phase == "finished"


async def test_the_current_details_are_a_table_of_the_nodes(
    bench: Bench, open_run: WorkflowHandle
) -> None:
    metadata = await bench.client.get_workflow_handle(open_run.execution_id).query(
        "__temporal_workflow_metadata", result_type=WorkflowMetadata
    )
    shown = metadata.current_details.splitlines()
    assert shown[0] == "**running** · 4 steps"
    assert "| ✓ | C | code |" in shown
    assert "| – | No | template-transform |" in shown
    assert "| ▶ | Ask the \\| slow server | http-request |" in shown
    assert "| · | End | end |" in shown


async def test_a_run_and_its_activities_are_called_as_they_were_drawn(
    bench: Bench, web: MockServer
) -> None:
    schema = chain("Desk of orders", start(), http("h", f"{web.url}/ok", title="Fetch it"), end())
    handle = await bench.start(schema)
    await handle.wait()
    description = await _described(bench, handle)
    assert await description.static_summary() == "Desk of orders"
    assert description.workflow_type == GRAPH_WORKFLOW
    (scheduled,) = [
        event
        for event in await history(handle, bench.client)
        if event.HasField("activity_task_scheduled_event_attributes")
    ]
    attributes = scheduled.activity_task_scheduled_event_attributes
    assert attributes.activity_type.name == "http-request"
    assert attributes.activity_id == "h"
    assert scheduled.user_metadata.summary.data == b'"Fetch it"'


async def test_a_node_without_a_title_is_called_by_its_id(bench: Bench, web: MockServer) -> None:
    handle = await bench.start(chain("x", start(), http("h", f"{web.url}/ok", title=""), end()))
    await handle.wait()
    summaries = [e.user_metadata.summary.data for e in await history(handle, bench.client)]
    assert b'"h"' in summaries


async def _described(bench: Bench, handle: WorkflowHandle) -> WorkflowExecutionDescription:
    return await bench.client.get_workflow_handle(handle.execution_id).describe()


async def test_a_failed_run_names_no_path_of_its_worker_whose_log_has_the_trace(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "temporalio")
    drawn = chain("Fails", start("n"), code("bad", script="function main() { boom() }"), end())
    handle = await bench.start(drawn, {"n": 1})
    assert isinstance(await handle.wait(), Failed)
    last = (await history(handle, bench.client))[-1]
    failure = last.workflow_execution_failed_event_attributes.failure
    assert "boom" in failure.message
    assert failure.stack_trace == ""
    logged = [record.exc_info for record in caplog.records if "raised failure" in record.message]
    assert [info[0] for info in logged if info] == [ApplicationError]
