"""What tests wait for: requests that arrive, nodes that start, questions that are asked, and events
of a history."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client

from tests.workflows.bench import kind
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.wire import Waiting
from xworkflow.testing.mock_server import MockServer


async def requested(server: MockServer, count: int = 1) -> None:
    """So many requests have arrived."""
    while len(server.requests) < count:
        await asyncio.sleep(0.01)


async def node_started(handle: WorkflowHandle, node_id: str) -> None:
    async for event in handle.events():
        if event.type == "node_run_started" and event.data["node_id"] == node_id:
            return
    pytest.fail("the run is over")


async def asked(handle: WorkflowHandle, count: int = 1) -> list[Waiting]:
    """The questions, once there are exactly so many."""
    while len(waiting := await handle.waiting()) != count:
        await asyncio.sleep(0.02)
    return sorted(waiting, key=lambda w: w.workflow_id)


async def happened(client: Client, handle: WorkflowHandle, *kinds: str) -> None:
    """The newest history of a run has events of all these kinds."""
    left = {*kinds}
    temporal = client.get_workflow_handle(handle.execution_id)
    async for event in temporal.fetch_history_events(wait_new_event=True):
        left.discard(kind(event))
        if not left:
            return
    pytest.fail("the run is over")
