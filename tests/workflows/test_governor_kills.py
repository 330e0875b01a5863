"""A quota of ten runs over four worker processes that are killed at random: never eleven.

The seed of the moments is printed, and set with ``XWORKFLOW_KILL_SEED``.
"""

from __future__ import annotations

import asyncio
import random
import time

import pytest
from temporalio.client import Client

from tests.workflows.awaited import requested
from tests.workflows.bench import Bench
from tests.workflows.crowd import Crowd, begin
from tests.workflows.drawing import chain, end, http, start
from tests.workflows.governed import until_free, usage
from tests.workflows.governed_worker import command
from tests.workflows.killed_workers import Workers, seeded
from tests.workflows.overlap import most_at_once
from xworkflow.activities import place_lease
from xworkflow.client.status import Completed
from xworkflow.domain import ledger
from xworkflow.domain.governing import UsageQuota
from xworkflow.domain.wire import task_queue as group_queue
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

PLACES, WORKERS = 10, 4


@pytest.mark.timeout(240)
async def test_workers_are_killed_and_never_more_runs_than_the_quota_go_on(
    temporal_server: str, temporal_client: Client, task_queue: str, governor_url: str | None
) -> None:
    runs, kills = (200, 8) if governor_url is None else (60, 4)
    _, chosen = seeded()
    quota = UsageQuota(concurrent_runs=PLACES, when_full="wait")
    group = RuntimeGroup(
        group_id=f"killed-{task_queue}", usage_quota=quota, governor_url=governor_url
    )
    bench = Bench(temporal_client, group_queue(group.group_id), group)
    workers = Workers(command(temporal_server, group), WORKERS)
    with Crowd(PLACES) as crowd, workers.running():
        finishing = [
            asyncio.create_task((await begin(crowd, temporal_client, group)).wait())
            for _ in range(runs)
        ]
        for _ in range(kills):
            await asyncio.sleep(chosen.uniform(0.2, 1.2))
            await asyncio.to_thread(workers.kill, chosen)
        statuses = await asyncio.gather(*finishing)
        assert statuses == [Completed({"body": "fine"})] * runs
        used = await until_free(bench, 30)
    await group.aclose()
    assert (used.running, used.waiting) == ((), 0)
    assert crowd.most <= PLACES
    assert used.most_running == PLACES
    query = f'TaskQueue = "{bench.queue}" AND WorkflowType = "GraphWorkflow"'
    listed = [run.id async for run in temporal_client.list_workflows(query)]
    assert len(listed) == runs
    assert await most_at_once(temporal_client, listed) <= PLACES


@pytest.mark.timeout(120)
async def test_what_a_process_had_in_hand_when_it_was_killed_is_found_again(
    temporal_server: str, temporal_client: Client, task_queue: str, web: MockServer
) -> None:
    """It had given places of its lease to runs, and had not told the ledger of them.

    That is found out within half a minute; here all intervals are a quarter of what they are.
    """
    assert ledger.PLACES_SILENCE_MS / 1000 == 2 * place_lease.VALID_SECS < 30
    group = RuntimeGroup(group_id=f"lost-{task_queue}", usage_quota=UsageQuota(concurrent_runs=40))
    bench = Bench(temporal_client, group_queue(group.group_id), group)
    workers = Workers(command(temporal_server, group, haste=4), 1)
    with workers.running():
        schema = chain("stays", start("n"), http("h", f"{web.url}/slow"), end())
        runs: list[str] = []
        for number in range(4):
            runs.append((await bench.start(schema, {"n": 1})).execution_id)
            await requested(web, number + 1)
        used = await usage(bench)
        workers.kill(random.Random(0))  # noqa: S311 - there is but one
        untold = set(runs) - set(used.running)
        assert untold
        assert used.leased >= len(untold)
        began = time.monotonic()
        while used.leased and time.monotonic() < began + 20:
            await asyncio.sleep(0.2)
            used = await usage(bench)
            assert len(used.running) + used.leased >= len(runs)
        assert time.monotonic() < began + 15
        assert sorted(used.running) == sorted(runs)
        for run in runs:
            await temporal_client.get_workflow_handle(run).terminate()
    await group.aclose()
