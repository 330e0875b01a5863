"""A quota of ten runs over four worker processes that are killed at random: never eleven.

The seed of the moments is printed, and set with ``XWORKFLOW_KILL_SEED``.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from contextlib import ExitStack

import pytest
from temporalio.client import Client

from tests.workflows.crowd import Crowd, Processes, begin
from tests.workflows.drawing import chain, end, http, start
from tests.workflows.overlap import most_at_once
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.context import WorkflowContext
from xworkflow.domain.governing import USAGE_QUERY, GroupUsage, UsageQuota, governor_id
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

RUNS, PLACES, KILLS = 200, 10, 8


@pytest.mark.timeout(240)
async def test_workers_are_killed_and_never_more_runs_than_the_quota_go_on(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    seed = int(os.environ.get("XWORKFLOW_KILL_SEED") or time.time_ns() % 10**6)
    sys.stdout.write(f"XWORKFLOW_KILL_SEED={seed}\n")
    chosen = random.Random(seed)  # noqa: S311 - moments, not secrets
    quota = UsageQuota(concurrent_runs=PLACES, when_full="wait")
    group = RuntimeGroup(group_id=f"killed-{task_queue}")
    group_id = group.group_id or ""
    processes = Processes(temporal_server, group_id, quota)
    with Crowd() as crowd, processes.running():
        finishing = [
            asyncio.create_task((await begin(crowd, temporal_client, group)).wait())
            for _ in range(RUNS)
        ]
        for _ in range(KILLS):
            await asyncio.sleep(chosen.uniform(0.2, 1.2))
            await asyncio.to_thread(processes.kill_one, chosen)
        statuses = await asyncio.gather(*finishing)
        assert statuses == [Completed({"body": "fine"})] * RUNS
        used = await until_free(temporal_client, group_id)
    await group.aclose()
    assert (used.running, used.waiting) == ((), 0)
    assert crowd.most <= PLACES
    assert used.most_running == PLACES
    runs = [
        run.id
        async for run in temporal_client.list_workflows(
            f'TaskQueue = "xworkflow-{group_id}" AND WorkflowType = "GraphWorkflow"'
        )
    ]
    assert len(runs) == RUNS
    assert await most_at_once(temporal_client, runs) <= PLACES


async def until_free(client: Client, group_id: str) -> GroupUsage:
    """What the group uses once all places are back, which takes less than 30 s."""
    ledger = client.get_workflow_handle(governor_id(group_id))
    until = time.monotonic() + 30
    while True:
        used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
        if not used.running or time.monotonic() > until:
            return used
        await asyncio.sleep(0.2)


@pytest.mark.timeout(120)
async def test_what_a_process_had_in_hand_when_it_was_killed_is_found_again(
    temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    """It had given places of its lease to runs, and had not told the ledger of them."""
    group = RuntimeGroup(group_id=f"lost-{task_queue}")
    group_id = group.group_id or ""
    processes = Processes(temporal_server, group_id, UsageQuota(concurrent_runs=40))
    with MockServer((MockResponse("GET", "/never", delay_secs=100),)) as web, ExitStack() as stack:
        stack.callback(processes.end)
        processes.start()
        processes.wait_ready()
        schema = chain("stays", start("n"), http("h", f"{web.url}/never"), end())
        runs: list[str] = []
        for number in range(4):
            builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
            handle = await builder.user_inputs({"n": 1}).client(temporal_client).run()
            runs.append(handle.execution_id)
            while len(web.requests) <= number:
                await asyncio.sleep(0.005)
        ledger = temporal_client.get_workflow_handle(governor_id(group_id))
        used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
        processes.kill_one(random.Random(0))  # noqa: S311 - there is but one
        untold = set(runs) - set(used.running)
        assert untold
        assert used.leased >= len(untold)
        began = time.monotonic()
        while used.leased and time.monotonic() < began + 40:
            await asyncio.sleep(0.2)
            used = await ledger.query(USAGE_QUERY, result_type=GroupUsage)
            assert len(used.running) + used.leased >= len(runs)
        assert time.monotonic() < began + 30
        assert sorted(used.running) == sorted(runs)
        for run in runs:
            await temporal_client.get_workflow_handle(run).terminate()
    await group.aclose()
