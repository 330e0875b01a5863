"""Runs that somebody starts with any Temporal client, and workers that are not ours."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from temporalio import workflow
from temporalio.client import WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from tests.workflows.bench import Bench, kinds
from tests.workflows.drawing import chain, end, node, start
from xworkflow.client.handle import WorkflowHandle as RunHandle
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.wire import GRAPH_WORKFLOW, RunInput
from xworkflow.errors import RunError

pytestmark = pytest.mark.temporal

PLAIN = chain("plain", start("n"), end(n="start.n"))


async def _start(bench: Bench, run: Any) -> WorkflowHandle[Any, Any]:
    return await bench.client.start_workflow(
        GRAPH_WORKFLOW, run, id=str(uuid.uuid4()), task_queue=bench.queue
    )


async def _failure(bench: Bench, run: Any) -> ApplicationError:
    """How a run fails, which it must at its first workflow task."""
    handle = await _start(bench, run)
    with pytest.raises(WorkflowFailureError) as failed:
        await handle.result()
    counted = kinds(list((await handle.fetch_history()).events))
    assert counted["workflow_task_started"] == 1
    assert not counted["workflow_task_failed"]
    assert isinstance(failed.value.cause, ApplicationError)
    return failed.value.cause


async def test_a_run_is_started_with_plain_json(bench: Bench) -> None:
    run = {"schema_text": PLAIN.text, "variables": {"user_inputs": {"n": 7}}, "from_the_future": 1}
    handle = await _start(bench, run)
    result = await handle.result()
    assert result["status"] == "completed"
    assert result["outputs"] == {"n": 7}


@pytest.mark.parametrize(
    "schema_text",
    [
        "no schema at all",
        "{}",
        WorkflowSchema(nodes=(end(),)).text,
        chain("x", start(), node("odd", "no-such-type"), end()).text,
        chain("x", start(), node("h", "http-request", method=7), end()).text,
    ],
    ids=["no schema", "empty", "no start", "unknown type", "wrong data"],
)
async def test_a_graph_that_does_not_compile_fails_its_run(bench: Bench, schema_text: str) -> None:
    failure = await _failure(bench, RunInput(schema_text=schema_text))
    assert failure.type == "compile_error"
    assert failure.non_retryable


@pytest.mark.parametrize(
    "run", [{"schema": "misspelt"}, {"schema_text": 5}, [1], "text", b"bytes", None], ids=repr
)
async def test_an_input_that_is_no_run_fails_its_run(bench: Bench, run: Any) -> None:
    failure = await _failure(bench, run)
    assert failure.type == "input_validation_error"
    assert failure.message.startswith("the input is no RunInput")


async def test_a_refused_run_answers_queries_with_its_refusal(bench: Bench) -> None:
    handle = await _start(bench, RunInput(schema_text="{}"))
    run = RunHandle(bench.client, handle.id)
    assert await run.wait() == Failed("No start node found", "compile_error")
    assert [event async for event in run.events()] == []
    with pytest.raises(RunError, match="No start node found"):
        await run.state()


@workflow.defn(name="SomethingElse")
class SomethingElse:
    @workflow.run
    async def run(self) -> None:
        """Does nothing."""


async def test_a_worker_without_our_workflow_delays_a_run_and_does_not_end_it(
    idle_bench: Bench,
) -> None:
    handle = await idle_bench.start(PLAIN, {"n": 1})
    temporal = idle_bench.client.get_workflow_handle(handle.execution_id)
    async with Worker(
        idle_bench.client,
        task_queue=idle_bench.queue,
        workflows=[SomethingElse],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        async for event in temporal.fetch_history_events(wait_new_event=True):
            if event.HasField("workflow_task_failed_event_attributes"):
                break
    async with idle_bench.worker(sandboxed=True):
        assert await handle.wait() == Completed({"n": 1})
