"""Workers that carry only workflows, or only nodes: what arrives waits for the other half."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.worker import Worker

from tests.workflows.bench import Bench
from xworkflow.activities.execute_node import NodeActivities
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow, SubGraphWorkflow


@asynccontextmanager
async def workflows_alone(bench: Bench) -> AsyncGenerator[None]:
    """Nodes that are no part of a workflow wait meanwhile."""
    async with Worker(
        bench.client, task_queue=bench.queue, workflows=[GraphWorkflow, SubGraphWorkflow],
        workflow_runner=workflow_runner(sandboxed=False),
    ):  # fmt: skip
        yield


@asynccontextmanager
async def nodes_alone(bench: Bench) -> AsyncGenerator[None]:
    """Workflows hear of nothing meanwhile."""
    async with Worker(
        bench.client, task_queue=bench.queue, activities=NodeActivities(bench.group).all()
    ):
        yield
