"""Records who hears of places given back: a workflow, where the ledger is none."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

from temporalio import activity
from temporalio.client import Client
from temporalio.worker import Worker

from xworkflow.domain.governing import (
    YIELD_SIGNAL,
    YIELDED_ACTIVITY,
    YIELDS_WORKFLOW,
    RunEnds,
    yields_id,
)
from xworkflow.worker import workflow_runner
from xworkflow.workflows import YieldsWorkflow

NAME = "yields"
WORKFLOW_ID = yields_id("golden")
HISTORY = Path(__file__).parent / "yields" / f"{NAME}.json"


async def record_yields(client: Client) -> None:
    """Two runs give their places back, one after the other."""
    heard: asyncio.Queue[RunEnds] = asyncio.Queue()

    @activity.defn(name=YIELDED_ACTIVITY)
    async def yielded(ends: Sequence[RunEnds]) -> None:
        for end in ends:
            await heard.put(end)

    async with Worker(
        client,
        task_queue=NAME,
        workflows=[YieldsWorkflow],
        activities=[yielded],
        workflow_runner=workflow_runner(sandboxed=True),
    ):
        handle = await client.start_workflow(YIELDS_WORKFLOW, id=WORKFLOW_ID, task_queue=NAME)
        for run in ("one", "two"):
            await handle.signal(YIELD_SIGNAL, RunEnds(run=run, turn=0))
            assert (await heard.get()).run == run
    data = json.loads((await handle.fetch_history()).to_json())
    HISTORY.parent.mkdir(exist_ok=True)
    HISTORY.write_text(json.dumps(data, indent=1) + "\n")
