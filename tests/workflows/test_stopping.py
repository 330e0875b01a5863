"""A stop takes effect within two seconds, whatever the run is doing."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.workflows.awaited import node_started
from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import (
    SPIN_FOR_EVER,
    chain,
    code,
    end,
    graph,
    handler,
    http,
    retries,
    start,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Failed, FailedWithRecovery, Stopped
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.errors import InputError
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal

SOON_SECS = 2.0


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (MockResponse("GET", "/broken", response_status=500),)


async def _until_activity(bench: Bench, handle: WorkflowHandle) -> None:
    """Wait until a worker has taken an activity of the run."""
    temporal = bench.client.get_workflow_handle(handle.execution_id)
    while True:
        pending = (await temporal.describe()).raw_description.pending_activities
        if any(activity.HasField("last_started_time") for activity in pending):
            return
        await asyncio.sleep(0.05)


async def _stop(handle: WorkflowHandle) -> float:
    """Cancel, and wait for the end; returns the seconds between."""
    asked = time.monotonic()
    await handle.cancel()
    assert await handle.wait() == Stopped("cancelled")
    return time.monotonic() - asked


async def test_a_request_that_hangs_is_stopped_and_its_connection_given_up(
    bench: Bench, web: MockServer
) -> None:
    schema = chain("hangs", start("n"), http("h", f"{web.url}/slow"), end())
    handle = await bench.start(schema, {"n": 1})
    await _until_activity(bench, handle)
    assert await _stop(handle) < SOON_SECS
    assert len(web.requests) == 1


async def test_a_script_that_never_ends_is_stopped_and_its_process_ended(bench: Bench) -> None:
    schema = chain("spins", start("n"), code("c", script=SPIN_FOR_EVER), end())
    handle = await bench.start(schema, {"n": 1})
    await _until_activity(bench, handle)
    assert await _stop(handle) < SOON_SECS
    # the pool's processes are free again: the next script runs
    after = await bench.start(chain("next", start("n"), code("c"), end(n="c.n")), {"n": 1})
    assert await after.wait() == Completed({"n": 2})


async def test_a_wait_for_another_attempt_is_stopped(bench: Bench, web: MockServer) -> None:
    again = http(
        "h", f"{web.url}/broken", fail_on_error_status=True,
        retry=retries(3, 3_600_000, max_retry_interval=3_600_000),
    )  # fmt: skip
    handle = await bench.start(chain("waits", start("n"), again, end()), {"n": 1})
    async for event in handle.events():
        if event.type == "node_run_retry":
            break
    assert await _stop(handle) < SOON_SECS


async def test_many_branches_are_stopped_at_once(bench: Bench, web: MockServer) -> None:
    slow: list[NodeSpec] = [http(f"h{i}", f"{web.url}/slow") for i in range(8)]
    drawn = [line for n in slow for line in (f"start > {n.id}", f"{n.id} > end")]
    handle = await bench.start(graph("wide", [start("n"), *slow, end()], *drawn), {"n": 1})
    await _until_activity(bench, handle)
    assert await _stop(handle) < SOON_SECS


async def test_a_stopped_run_still_runs_its_error_handler(bench: Bench, web: MockServer) -> None:
    body = handler("recover", start(), code("c", script="function main() { return { n: 1 } }"),
                   end(why="sys.error_type"))  # fmt: skip
    schema = chain("handled", start("n"), http("h", f"{web.url}/slow"), end(), handler=body)
    handle = await bench.start(schema, {"n": 1})
    await _until_activity(bench, handle)
    await handle.cancel()
    status = await handle.wait()
    assert status == FailedWithRecovery("Workflow aborted: cancelled", {"why": "Aborted"})
    assert [e.type for e in await read(handle)][-2:] == [
        "error_handler_started",
        "error_handler_succeeded",
    ]


async def test_a_failed_run_is_stopped_in_its_error_handler(bench: Bench, web: MockServer) -> None:
    """The run has failed already, and ends with that failure."""
    body = handler("recover", start(), http("slow", f"{web.url}/slow"), end())
    broken = http("h", f"{web.url}/broken", fail_on_error_status=True)
    schema = chain("handled", start("n"), broken, end(), handler=body)
    handle = await bench.start(schema, {"n": 1})
    child = WorkflowHandle(bench.client, f"{handle.execution_id}/error-handler")
    async for event in handle.events():
        if event.type == "error_handler_started":
            break
    await _until_child(child)
    await _until_activity(bench, child)
    asked = time.monotonic()
    await handle.cancel()
    status = await handle.wait()
    assert time.monotonic() - asked < SOON_SECS
    assert isinstance(status, Failed)
    assert status.node_id == "h"
    assert await child.wait() == Stopped("cancelled")
    assert (await read(handle))[-1].data == {
        "error": "Sub-graph execution failed: it was cancelled"
    }


async def _until_child(child: WorkflowHandle) -> None:
    while True:
        try:
            await child.status()
        except InputError:
            await asyncio.sleep(0.02)
        else:
            return


@pytest.mark.parametrize("group_id", [None, "tenant"])
async def test_a_run_that_no_worker_has_seen_is_stopped_when_one_comes(
    idle_bench: Bench, web: MockServer, group_id: str | None
) -> None:
    """Also one that was still to be admitted: its stop is not lost."""
    bench = Bench(idle_bench.client, idle_bench.queue, idle_bench.group.replaced(group_id=group_id))
    schema = chain("early", start("n"), http("h", f"{web.url}/slow"), end())
    handle = await bench.start(schema, {"n": 1})
    await handle.cancel()
    async with bench.worker(sandboxed=True):
        assert await handle.wait() == Stopped("cancelled")
    assert not web.requests


async def test_a_second_stop_and_one_of_a_finished_run_change_nothing(
    bench: Bench, web: MockServer
) -> None:
    handle = await bench.start(_hanging(web), {"n": 1})
    await node_started(handle, "h")
    await handle.cancel()
    await handle.cancel()
    assert await handle.wait() == Stopped("cancelled")
    await handle.cancel()
    assert await handle.status() == Stopped("cancelled")
    counted = kinds(await history(handle, bench.client))
    assert counted["workflow_execution_cancel_requested"] == 1


async def test_a_terminated_run_says_who_ended_it(bench: Bench, web: MockServer) -> None:
    handle = await bench.start(_hanging(web), {"n": 1})
    await node_started(handle, "h")
    await bench.client.get_workflow_handle(handle.execution_id).terminate(reason="cleaning up")
    assert await handle.wait() == Stopped("cleaning up")


def _hanging(web: MockServer) -> WorkflowSchema:
    return chain("hangs", start("n"), http("h", f"{web.url}/slow"), end())
