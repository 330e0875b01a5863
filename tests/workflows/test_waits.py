"""Waits and time limits with Temporal's own semantics, on a server whose clock jumps."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from temporalio import activity
from temporalio.common import RawValue
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.workflows.bench import Bench, history, read, timers
from tests.workflows.drawing import chain, end, handler, http, retries, start
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.policy import EngineConfig
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow, options, shell

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="session")]

HOUR_MS = 3_600_000
NO_LIMIT = EngineConfig(max_execution_time_secs=None)


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/fourth", response_status=503, expect=3),
        MockResponse("GET", "/fourth", response_body="at last"),
        MockResponse("GET", "/busy", 429, {"retry-after": "86400"}, expect=1),
        MockResponse("GET", "/busy", response_body="free"),
    )


async def test_waits_of_hours_double_and_pass_at_once(skipping: Bench, web: MockServer) -> None:
    again = http(
        "h", f"{web.url}/fourth", fail_on_error_status=True,
        retry=retries(3, HOUR_MS, backoff_strategy="exponential", max_retry_interval=100 * HOUR_MS),
    )  # fmt: skip
    schema = chain("hours", start("n"), again, end(body="h.body"))
    handle = await skipping.start(schema, {"n": 1}, config=NO_LIMIT)
    assert await handle.wait() == Completed({"body": "at last"})
    waits = timers(await history(handle, skipping.client))
    assert [round(wait / timedelta(hours=1)) for wait in waits] == [1, 2, 4]


async def test_a_server_says_how_long_to_wait(skipping: Bench, web: MockServer) -> None:
    again = http("h", f"{web.url}/busy", fail_on_error_status=True, retry=retries(1, 10))
    schema = chain("day", start("n"), again, end(body="h.body"))
    handle = await skipping.start(schema, {"n": 1}, config=NO_LIMIT)
    assert await handle.wait() == Completed({"body": "free"})
    (wait,) = timers(await history(handle, skipping.client))
    assert round(wait / timedelta(hours=1)) == 24


async def test_a_node_that_passes_its_limit_fails_with_its_own_words(
    skipping: Bench, web: MockServer
) -> None:
    """Each attempt has the whole limit, and a timeout is worth another attempt."""
    slow = http("h", f"{web.url}/slow", timeout_secs=0.3, retry=retries(1, HOUR_MS))
    handle = await skipping.start(chain("slow", start("n"), slow, end()), {"n": 1})
    status = await handle.wait()
    events = await read(handle)
    assert isinstance(status, Failed)
    assert status.message.endswith("error=Node execution timed out after 0.3s")
    failed = [event.data.get("error_type") for event in events if event.type == "node_run_failed"]
    assert failed == ["timeout"]
    assert len(web.requests) == 2


@pytest.mark.parametrize("beats", [True, False], ids=["alive", "silent"])
async def test_an_activity_that_never_returns_is_ended_by_temporal(
    time_skipping_env: WorkflowEnvironment,
    task_queue: str,
    beats: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A worker that hangs: without heartbeats it is taken for lost after the heartbeat timeout,
    with them after the node's limit and some grace; Temporal tries it again before it gives up."""
    monkeypatch.setattr(options, "_GRACE", timedelta(seconds=0.5))
    twice = replace(options.LOST_WORKER_RETRY, maximum_attempts=2)
    monkeypatch.setattr(shell, "LOST_WORKER_RETRY", twice)
    attempts: list[int] = []

    @activity.defn(dynamic=True)
    async def stuck(_args: Sequence[RawValue]) -> Any:
        attempts.append(activity.info().attempt)
        while True:
            if beats:
                activity.heartbeat()
            await asyncio.sleep(0.1)

    bench = Bench(time_skipping_env.client, task_queue)
    slow = http("h", "http://127.0.0.1:9/", timeout_secs=0.5 if beats else 3_600)
    schema = chain("stuck", start("n"), slow, end(), handler=handler("notify", start(), end()))
    async with Worker(
        bench.client, task_queue=task_queue, workflows=[GraphWorkflow], activities=[stuck],
        workflow_runner=workflow_runner(sandboxed=False),
        max_heartbeat_throttle_interval=timedelta(seconds=0.2),
    ):  # fmt: skip
        handle = await bench.start(schema, {"n": 1}, heartbeat_timeout_secs=1)
        status = await handle.wait()
    assert isinstance(status, Failed)
    assert status.message.endswith("error=Timeout: node execution exceeded time limit")
    assert attempts == [1, 2]
