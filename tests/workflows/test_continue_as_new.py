"""A long run goes on in a new history, and nobody can tell from its events."""

from __future__ import annotations

from typing import Any

import pytest

from tests.texts import noise
from tests.workflows.awaited import node_started
from tests.workflows.bench import Bench, history, kind, read
from tests.workflows.drawing import chain, code, end, http, start, text
from tests.workflows.recording import Recording
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Failed, Stopped
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import RunInput
from xworkflow.engine import continuing
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/large", response_body="x" * 20_000),
        MockResponse("GET", "/noise", response_body=noise(800_000)),
    )


def _long(web: MockServer, count: int, path: str = "/ok") -> WorkflowSchema:
    fetches = (http(f"h{i}", web.url + path) for i in range(count))
    shown = text("t", "{{ v }}", of=f"h{count - 1}.status_code")
    return chain("long", start("n"), *fetches, shown, end(o="t.output"))


async def _run_ids(bench: Bench, handle: WorkflowHandle) -> list[str]:
    """The histories of a run, the first one first."""
    ids: list[str] = []
    run_id = handle.first_run_id
    while run_id:
        ids.append(run_id)
        temporal = bench.client.get_workflow_handle(handle.execution_id, run_id=run_id)
        last = (await temporal.fetch_history()).events[-1]
        run_id = last.workflow_execution_continued_as_new_event_attributes.new_execution_run_id
    return ids


async def _followed(
    bench: Bench, recording: Recording, schema: WorkflowSchema, **options: Any
) -> tuple[WorkflowHandle, list[GraphEngineEvent]]:
    """A run, and its events as they were read while it went on: those that it emitted."""
    async with bench.worker():
        handle = await bench.start(schema, {"n": 1}, **options)
        followed = await read(handle, follow=True)
        assert await handle.wait() == Completed({"o": "200"})
    assert followed == recording.of(handle.execution_id)
    return handle, followed


async def test_a_chain_of_forty_requests_runs_through_short_histories(
    idle_bench: Bench, recording: Recording, web: MockServer
) -> None:
    handle, followed = await _followed(
        idle_bench, recording, _long(web, 40), continue_as_new_after_events=30
    )
    assert len(web.requests) == 40
    assert [event.seq for event in followed] == list(range(len(followed)))
    assert await read(handle) == followed
    run_ids = await _run_ids(idle_bench, handle)
    assert len(run_ids) > 5
    for run_id in run_ids:
        temporal = idle_bench.client.get_workflow_handle(handle.execution_id, run_id=run_id)
        assert len((await temporal.fetch_history()).events) <= 40


async def test_a_history_with_large_results_is_left_by_its_size(
    idle_bench: Bench, recording: Recording, web: MockServer
) -> None:
    handle, followed = await _followed(
        idle_bench, recording, _long(web, 6, "/large"), continue_as_new_after_bytes=60_000
    )
    assert followed[-1].type == "graph_run_succeeded"
    assert len(await _run_ids(idle_bench, handle)) > 1


async def test_a_run_whose_state_fits_no_message_goes_on_in_its_history(
    idle_bench: Bench, recording: Recording, web: MockServer
) -> None:
    handle, followed = await _followed(
        idle_bench, recording, _long(web, 8, "/noise"), continue_as_new_after_bytes=1_000_000
    )
    assert len(web.requests) == 8
    assert await read(handle) == followed
    assert len(await _run_ids(idle_bench, handle)) == 2  # the first time it fitted


async def test_a_run_that_must_leave_its_history_with_too_large_a_state_fails_and_says_why(
    bench: Bench, web: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(continuing, "_LAST_BYTES", 3_000_000)
    handle = await bench.start(
        _long(web, 8, "/noise"), {"n": 1}, continue_as_new_after_bytes=2_500_000
    )
    status = await handle.wait()
    assert isinstance(status, Failed)
    assert status.message.startswith(
        "The values that the run carries into its next history are too large (max 2096128 bytes"
    )


async def test_a_run_that_goes_on_takes_its_state_and_not_its_inputs_again(
    bench: Bench, web: MockServer
) -> None:
    handle = await bench.start(_long(web, 8), {"n": 1}, continue_as_new_after_events=15)
    await handle.wait()
    first = (await history(handle, bench.client))[0]
    payload = first.workflow_execution_started_event_attributes.input.payloads[0]
    run = RunInput.model_validate_json(payload.data)
    assert run.state is not None
    assert run.state["steps"] > 1
    assert run.variables.user_inputs == {}


async def test_a_run_that_went_on_is_stopped_and_read_by_its_one_id(
    bench: Bench, web: MockServer
) -> None:
    fetches = (http(f"h{i}", f"{web.url}/ok") for i in range(4))
    schema = chain("x", start("n"), *fetches, http("s", f"{web.url}/slow"), code("c"), end())
    handle = await bench.start(schema, {"n": 1}, continue_as_new_after_events=12)
    await node_started(handle, "s")
    await handle.cancel()
    assert await handle.wait() == Stopped("cancelled")
    later = WorkflowHandle(bench.client, handle.execution_id)
    assert await later.wait() == Stopped("cancelled")
    assert await read(later) == await read(handle)
    kinds_of_last = [kind(event) for event in await history(handle, bench.client)]
    assert kinds_of_last[-1] == "workflow_execution_canceled"
