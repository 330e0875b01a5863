"""Other governors than those of test_governor_laws.py, and what is particular to the ledger that is
a workflow."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import Client

from tests.workflows.awaited import requested
from tests.workflows.bench import Bench
from tests.workflows.governed import fetch, governed, until_free
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.governing import Budget, Kind, UsageQuota, WorkerSlots, governor_id
from xworkflow.domain.quota import ResourceQuota
from xworkflow.runtime_group.governor import DefaultResourceGovernor
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockServer

pytestmark = pytest.mark.temporal


async def test_the_in_memory_governor_counts_for_one_process(
    idle_bench: Bench, web: MockServer
) -> None:
    group_id = f"group-{idle_bench.queue}"
    quota = ResourceQuota(max_concurrent_workflows=1, http_rate_limit_per_minute=2)
    governor = DefaultResourceGovernor({group_id: quota}, clock=lambda: 0.0)
    group = RuntimeGroup(group_id=group_id, resource_governor=governor)
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker(sandboxed=True):
        for expected in (Completed, Completed, Failed):
            status = await (await bench.start(fetch(web), {"n": 1})).wait()
            assert isinstance(status, expected)
            while (await governor.get_usage(group_id))["active_workflows"]:
                await asyncio.sleep(0.01)
    await group.aclose()
    assert len(web.requests) == 2


async def test_the_ledger_goes_on_in_a_new_history(
    idle_bench: Bench, web: MockServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    from xworkflow.workflows import governor

    monkeypatch.setattr(governor, "_MAX_UPDATES", 3)
    quota = UsageQuota(concurrent_runs=2, when_full="wait", http_calls=Budget(limit=1000))
    async with governed(idle_bench, quota, sandboxed=False) as bench:
        handles = [await bench.start(fetch(web), {"n": 1}) for _ in range(10)]
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert statuses == [Completed({"body": "fine"})] * 10
        found = await until_free(bench)
        assert (found.running, found.most_running) == ((), 2)
        assert await _histories(bench.client, governor_id(bench.group.group_id or "")) > 2


async def _histories(client: Client, workflow_id: str) -> int:
    """How many histories a workflow has had, found through what continued what."""
    count, run_id = 1, None
    while True:
        temporal = client.get_workflow_handle(workflow_id, run_id=run_id)
        first = (await temporal.fetch_history()).events[0]
        run_id = first.workflow_execution_started_event_attributes.continued_execution_run_id
        if not run_id:
            return count
        count += 1


async def test_a_noisy_group_does_not_hold_up_another_one_of_the_same_process(
    temporal_client: Client, task_queue: str, web: MockServer
) -> None:
    """Each group has slots of its own."""
    few = WorkerSlots(activities=2, workflow_tasks=2, pollers=1)
    noisy = RuntimeGroup(group_id=f"noisy-{task_queue}", worker_slots=few)
    quiet = RuntimeGroup(group_id=f"quiet-{task_queue}")
    benches = [Bench(temporal_client, f"{g.group_id}", g) for g in (noisy, quiet)]
    async with benches[0].worker(), benches[1].worker():
        crowd = [await benches[0].start(fetch(web, "/slow"), {"n": 1}) for _ in range(20)]
        await requested(web, 2)
        async with asyncio.timeout(10):
            handle = await benches[1].start(fetch(web, "/ok"), {"n": 1})
            assert await handle.wait() == Completed({"body": "fine"})
        assert [request.path for request in web.requests] == ["/slow", "/slow", "/ok"]
        for run in crowd:
            await temporal_client.get_workflow_handle(run.execution_id).terminate()
    for bench in benches:
        await bench.group.aclose()


async def test_kinds_of_budgets_are_fields_of_the_quota() -> None:
    assert {kind.value for kind in Kind} <= set(UsageQuota.model_fields)
