"""Histories are replayed as a worker with the SDK's sandbox does it."""

from __future__ import annotations

from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow, SubGraphWorkflow

OF_RUNS = (GraphWorkflow, SubGraphWorkflow)


async def replay(history: WorkflowHistory, *workflows: type, sandboxed: bool = True) -> None:
    """Raises where a history does not replay; without ``workflows`` it is one of a run."""
    replayer = Replayer(
        workflows=workflows or OF_RUNS,
        workflow_runner=workflow_runner(sandboxed=sandboxed),
        data_converter=DATA_CONVERTER,
    )
    await replayer.replay_workflow(history)
