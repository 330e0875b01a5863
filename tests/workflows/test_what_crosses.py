"""What a history holds: never the pool, and nothing that no node reads."""

from __future__ import annotations

import json
from typing import Any

import pytest
from temporalio.client import Client, WorkflowHistory

from tests.workflows.bench import Bench
from tests.workflows.drawing import chain, code, end, handler, http, start, text
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.wire import NodeTask, RunInput
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal

UNREAD = "a-text-that-no-node-reads-7f3a"
READ = "a-text-that-one-node-reads-51cc"


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/unread", response_body=UNREAD, response_headers={"x-big": UNREAD}),
        MockResponse("POST", "/echo", response_body="fine"),
        MockResponse("GET", "/broken", response_status=500),
    )


async def _raw(client: Client, workflow_id: str) -> str:
    """A history with its payloads readable, as text, without the input of the run."""
    fetched = await client.get_workflow_handle(workflow_id).fetch_history()
    return "\n".join(_readable(event) for event in _without_input(fetched))


def _without_input(fetched: WorkflowHistory) -> list[Any]:
    first, *others = fetched.events
    first.workflow_execution_started_event_attributes.ClearField("input")
    return [first, *others]


def _readable(event: Any) -> str:
    # payload data are bytes, and print as text with escapes
    return str(event).replace("\\", "")


def _scheduled(fetched: WorkflowHistory) -> list[NodeTask]:
    attributes = [e.activity_task_scheduled_event_attributes for e in fetched.events]
    payloads = [a.input.payloads[0].data for a in attributes if a.activity_id]
    return [NodeTask.model_validate_json(data) for data in payloads]


async def _done(bench: Bench, schema: Any, inputs: dict[str, Any]) -> WorkflowHandle:
    handle = await bench.start(schema, inputs)
    await handle.wait()
    return handle


async def test_an_input_that_no_node_reads_stays_in_the_input(
    bench: Bench, web: MockServer
) -> None:
    schema = chain(
        "unread", start("n", "secret"), code("c"), http("h", f"{web.url}/echo", method="POST"),
        text("t", "hi"), code("d", "c.n"), end(n="d.n"),
    )  # fmt: skip
    handle = await _done(bench, schema, {"n": 1, "secret": UNREAD})
    assert UNREAD not in await _raw(bench.client, handle.execution_id)


async def test_an_output_that_no_node_reads_is_only_in_its_own_result(
    bench: Bench, web: MockServer
) -> None:
    schema = chain(
        "unread", start("n"), http("h", f"{web.url}/unread"), code("c", "h.status_code"),
        http("g", f"{web.url}/echo", method="POST"), end(n="c.n"),
    )  # fmt: skip
    handle = await _done(bench, schema, {"n": 1})
    fetched = await bench.client.get_workflow_handle(handle.execution_id).fetch_history()
    holding = [e for e in _without_input(fetched) if UNREAD in _readable(e)]
    assert len(holding) == 1
    assert holding[0].HasField("activity_task_completed_event_attributes")


async def test_a_request_gets_what_it_reads_and_nothing_else(bench: Bench, web: MockServer) -> None:
    schema = chain(
        "reads", start("n", "word", "secret"), code("c"),
        http("h", f"{web.url}/echo?w={{{{#start.word#}}}}", method="POST",
             headers=[{"key": "x-n", "value": "{{#c.n#}}"}]),
        end(),
    )  # fmt: skip
    handle = await _done(bench, schema, {"n": 1, "word": READ, "secret": UNREAD})
    fetched = await bench.client.get_workflow_handle(handle.execution_id).fetch_history()
    (task,) = _scheduled(fetched)
    assert {v.selector: v.value for v in task.values} == {("start", "word"): READ, ("c", "n"): 2}
    assert task.pool is None
    assert "schema" not in json.dumps(task.model_dump(mode="json"))


async def test_the_result_of_a_region_holds_outputs_of_its_own_nodes_only(bench: Bench) -> None:
    schema = chain("region", start("n", "word"), code("c"), code("d", "c.n"), end(w="start.word"))
    handle = await _done(bench, schema, {"n": 1, "word": READ})
    fetched = await bench.client.get_workflow_handle(handle.execution_id).fetch_history()
    attributes = [e.marker_recorded_event_attributes for e in fetched.events]
    results = [a.details["result"].payloads[0].data for a in attributes if a.marker_name]
    assert results
    assert READ.encode() not in b"".join(results)
    finished = [node for result in results for node in json.loads(result)["finished"]]
    assert [f["report"]["result"]["outputs"] for f in finished] == [{"n": 2}, {"n": 3}]


async def test_an_error_handler_gets_its_body_and_what_that_reads(
    bench: Bench, web: MockServer
) -> None:
    body = handler("recover", start(), text("t", "{{ v }}", of="start.word"), end(t="t.output"))
    schema = chain(
        "handled", start("n", "word", "secret"),
        http("h", f"{web.url}/broken", fail_on_error_status=True), text("own", UNREAD), end(),
        handler=body,
    )  # fmt: skip
    handle = await _done(bench, schema, {"n": 1, "word": READ, "secret": UNREAD})
    child = bench.client.get_workflow_handle(f"{handle.execution_id}/error-handler")
    fetched = await child.fetch_history()
    attributes = fetched.events[0].workflow_execution_started_event_attributes
    run = RunInput.model_validate_json(attributes.input.payloads[0].data)
    assert run.pool == {"start": {"word": READ}}
    assert UNREAD not in _readable(fetched.events[0])
