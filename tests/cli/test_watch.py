"""Watching a run that nobody carries."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from temporalio.client import Client

from tests.cli import flows
from xworkflow import WorkflowContext, WorkflowRunner, load
from xworkflow.cli import silence, watch
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.place import Place
from xworkflow.client import hold_ups

pytestmark = pytest.mark.temporal


async def test_a_run_that_no_worker_takes_is_not_waited_for_in_silence(
    temporal_client: Client,
    run_id: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(silence, "IDLE_SECS", 0.1)
    monkeypatch.setattr(hold_ups, "UNTAKEN_SECS", 0.0)
    context = replace(WorkflowContext.default(), execution_id=run_id)
    builder = WorkflowRunner.builder(load(flows.GREET, "toml")).context(context)
    client = builder.user_inputs({"name": "Ada"}).client(temporal_client, task_queue="nobody's")
    handle, place = await client.run(), Place(temporal_client, "here:1", None, embedded=False)
    watching = asyncio.create_task(watch.watch(handle, place, quiet=False))
    told = "no worker takes the run; it waits in 'nobody's' until one does"
    while told not in capsys.readouterr().err:
        await asyncio.sleep(0.01)
    await temporal_client.get_workflow_handle(run_id).terminate(reason="enough")
    assert (await watching).exit_code == ExitCode.STOPPED
