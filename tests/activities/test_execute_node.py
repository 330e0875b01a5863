"""The one activity of all node types, in an environment without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from xworkflow.activities import execute_node
from xworkflow.activities.execute_node import NodeActivities
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.wire import CrossedValue, NodeReport, NodeTask
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

PLUS_ONE = "function main({ n }) { return { n: n + 1 } }"


@pytest_asyncio.fixture
async def activities() -> AsyncIterator[NodeActivities]:
    group = RuntimeGroup.default()
    yield NodeActivities(group)
    await group.aclose()


@pytest.fixture
def web() -> Iterator[MockServer]:
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/slow", delay_secs=30),
    )
    with MockServer(responses) as server:
        yield server


@pytest.fixture
def environment() -> ActivityEnvironment:
    environment = ActivityEnvironment()
    environment.payload_converter = DATA_CONVERTER.payload_converter
    return environment


async def _run(environment: ActivityEnvironment, activities: NodeActivities, task: Any) -> Any:
    payload = DATA_CONVERTER.payload_converter.to_payload(task)
    environment.info = replace(environment.info, activity_type=getattr(task, "node_type", "odd"))
    return await environment.run(activities.execute, [RawValue(payload)])


def _http(url: str, **data: Any) -> NodeTask:
    drawn = {"type": "http-request", "method": "GET", "url": url, **data}
    return NodeTask(
        execution_id="r", node_id="h", node_type="http-request", data=drawn, idempotency_key="r/x/1"
    )


async def test_a_request_goes_out_with_its_key(
    environment: ActivityEnvironment, activities: NodeActivities, web: MockServer
) -> None:
    report: NodeReport = await _run(environment, activities, _http(f"{web.url}/ok"))
    assert report.result is not None
    assert report.result.outputs["body"] == "fine"
    assert web.requests[0].headers["idempotency-key"] == "r/x/1"


async def test_code_gets_the_values_that_crossed(
    environment: ActivityEnvironment, activities: NodeActivities
) -> None:
    task = NodeTask(
        execution_id="r", node_id="c", node_type="code",
        data={
            "type": "code", "code": PLUS_ONE,
            "variables": [{"variable": "n", "value_selector": ["start", "n"]}],
        },
        values=(CrossedValue(selector=("start", "n"), value=41),),
    )  # fmt: skip
    report: NodeReport = await _run(environment, activities, task)
    assert report.result is not None
    assert report.result.outputs == {"n": 42}


@pytest.mark.parametrize(
    ("task", "code"),
    [
        (_http("http://127.0.0.1:9/"), "http_error"),
        (_http("http://x/", method=7), "config_error"),
        (NodeTask(execution_id="r", node_id="x", node_type="no-such-type"), "config_error"),
    ],
    ids=["unreachable", "wrong data", "unknown type"],
)
async def test_a_failure_is_data(
    environment: ActivityEnvironment, activities: NodeActivities, task: NodeTask, code: str
) -> None:
    report: NodeReport = await _run(environment, activities, task)
    assert report.result is None
    assert report.failure is not None
    assert report.failure.code == code


async def test_an_activity_that_is_no_node_is_refused(
    environment: ActivityEnvironment, activities: NodeActivities
) -> None:
    with pytest.raises(ApplicationError, match="no activity") as refused:
        await environment.run(activities.execute, [])
    assert refused.value.non_retryable


async def test_a_long_call_sends_heartbeats_and_a_short_one_none(
    environment: ActivityEnvironment,
    activities: NodeActivities,
    web: MockServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    beats: list[Any] = []
    environment.on_heartbeat = lambda *details: beats.append(details)
    await _run(environment, activities, _http(f"{web.url}/ok"))
    assert beats == []
    monkeypatch.setattr(execute_node, "HEARTBEAT_SECS", 0.01)
    task = _http(f"{web.url}/slow").model_copy(update={"timeout_secs": 0.3})
    report: NodeReport = await _run(environment, activities, task)
    assert report.failure is not None
    assert report.failure.text == "Node execution timed out after 0.3s"
    assert len(beats) > 3


async def test_a_cancelled_call_is_given_up_and_raises(
    environment: ActivityEnvironment, activities: NodeActivities, web: MockServer
) -> None:
    running = asyncio.create_task(_run(environment, activities, _http(f"{web.url}/slow")))
    while not web.requests:
        await asyncio.sleep(0.01)
    environment.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
