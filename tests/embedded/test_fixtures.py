"""The servers that the session's fixtures start are real."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from temporalio import workflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker


@workflow.defn
class SleepsAWeek:
    @workflow.run
    async def run(self) -> float:
        begun = workflow.now()
        await workflow.sleep(timedelta(days=7))
        return (workflow.now() - begun).total_seconds()


@pytest.mark.temporal
async def test_the_session_server_keeps_a_run(temporal_client: Client, task_queue: str) -> None:
    run_id = uuid.uuid4().hex
    handle = await temporal_client.start_workflow("Waits", id=run_id, task_queue=task_queue)
    assert (await handle.describe()).task_queue == task_queue
    await handle.terminate()


@pytest.mark.temporal
@pytest.mark.asyncio(loop_scope="session")
async def test_a_week_passes_at_once_on_the_time_skipping_server(
    time_skipping_env: WorkflowEnvironment, task_queue: str
) -> None:
    async with Worker(
        time_skipping_env.client,
        task_queue=task_queue,
        workflows=[SleepsAWeek],
        workflow_runner=UnsandboxedWorkflowRunner(),
    ):
        slept = await time_skipping_env.client.execute_workflow(
            SleepsAWeek.run, id=uuid.uuid4().hex, task_queue=task_queue
        )
    assert slept >= timedelta(days=7).total_seconds()
