"""Many groups in one worker process, and changes of their settings while runs are under way."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, Failed
from xworkflow.configuration import ProcessParts, Settings, parse_settings
from xworkflow.context import WorkflowContext
from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.embedded.group_workers import Changes, GroupWorkers
from xworkflow.errors import ConfigurationError, MisuseError
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.sandbox import DefaultSandboxPool
from xworkflow.runtime_group.secret_stores import process_secret_store
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

OPEN = 'level = "permissive"'


def settings(text: str) -> Settings:
    return parse_settings(text)


def graph(*middle: tuple[str, dict[str, Any]], out: str) -> WorkflowSchema:
    nodes: list[dict[str, Any]] = [
        {"id": "s", "data": {"type": "start", "variables": []}},
        *({"id": name, "data": data} for name, data in middle),
        {
            "id": "e",
            "data": {"type": "end", "outputs": [{"variable": "out", "value_selector": out}]},
        },
    ]
    ids = [node["id"] for node in nodes]
    edges = [{"id": f"{a}-{b}", "source": a, "target": b} for a, b in pairwise(ids)]
    return load(json.dumps({"version": "0.1.0", "nodes": nodes, "edges": edges}), "json")


def fetching(url: str) -> WorkflowSchema:
    return graph(("h", {"type": "http-request", "method": "GET", "url": url}), out="h.body")


def coded(script: str) -> WorkflowSchema:
    return graph(("c", {"type": "code", "language": "javascript", "code": script}), out="c.out")


@pytest.fixture
async def workers(temporal_client: Client) -> AsyncIterator[GroupWorkers]:
    parts = ProcessParts(secret_store=process_secret_store())
    made = GroupWorkers(temporal_client, parts)
    yield made
    await made.aclose()


async def start(client: Client, schema: WorkflowSchema, group_id: str) -> WorkflowHandle:
    context = WorkflowContext.new(RuntimeGroup(group_id=group_id))
    return await WorkflowRunner.builder(schema).context(context).client(client).run()


async def out(client: Client, schema: WorkflowSchema, group_id: str) -> Any:
    status = await (await start(client, schema, group_id)).wait()
    assert isinstance(status, Completed), status
    return status.outputs["out"]


async def test_each_group_runs_under_its_own_policy(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    one, two = f"{task_queue}-1", f"{task_queue}-2"
    changes = await workers.apply(settings(f"groups = {{ {one} = {{ {OPEN} }}, {two} = {{}} }}"))
    assert changes == Changes(added=(one, two))
    with MockServer((MockResponse("GET", "/", response_body="inside"),)) as server:
        assert await out(temporal_client, fetching(server.url), one) == "inside"
        refused = await (await start(temporal_client, fetching(server.url), two)).wait()
    assert isinstance(refused, Failed)
    assert "Blocked" in refused.message


async def test_what_a_policy_says_of_files_holds_for_clients_that_know_nothing_of_it(
    temporal_client: Client, task_queue: str, workers: GroupWorkers, tmp_path: Path
) -> None:
    audit = tmp_path / "audit.jsonl"
    await workers.apply(
        settings(
            f"[groups.{task_queue}]\n"
            f'audit = {{ to = "file", path = "{audit}" }}\n'
            "dsl = { max_nodes = 2, max_edges = 1 }"
        )
    )
    run = await start(temporal_client, coded("function main() { return 1 }"), task_queue)
    status = await run.wait()
    assert isinstance(status, Failed)
    assert status.message.endswith(
        "Validation failed: E020 3 nodes, at most 2 allowed; E021 2 edges, at most 1 allowed"
    )
    (record,) = map(json.loads, audit.read_text().splitlines())
    assert record["details"] == {"errors": ["E020", "E021"]}
    assert (record["event_type"], record["workflow_id"]) == (
        "DslValidationFailed", run.execution_id,
    )  # fmt: skip


async def test_a_changed_policy_holds_for_what_begins_later(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    with MockServer((MockResponse("GET", "/", response_body="inside"),)) as server:
        await workers.apply(settings(f"groups.{task_queue} = {{ {OPEN} }}"))
        pool = workers.group(task_queue).sandbox_pool
        assert await out(temporal_client, fetching(server.url), task_queue) == "inside"
        changes = await workers.apply(settings(f"groups.{task_queue} = {{}}"))
        assert changes == Changes(changed=(task_queue,))
        refused = await (await start(temporal_client, fetching(server.url), task_queue)).wait()
    assert isinstance(refused, Failed)
    assert workers.group(task_queue).sandbox_pool is pool


async def test_a_call_that_is_under_way_ends_with_the_processes_it_began_with(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    slow = coded("function main() { const t = Date.now(); while (Date.now() - t < 1500) {} "
                 "return { out: 'done' } }")  # fmt: skip
    await workers.apply(settings(f"groups.{task_queue}.pools.max_js_vms = 1"))
    old = workers.group(task_queue).sandbox_pool
    assert isinstance(old, DefaultSandboxPool)
    running = await start(temporal_client, slow, task_queue)
    async with asyncio.timeout(20):
        while old.stats().javascript.created == 0:
            await asyncio.sleep(0.01)
    await workers.apply(settings(f"groups.{task_queue}.pools.max_js_vms = 2"))
    new = workers.group(task_queue).sandbox_pool
    assert new is not old
    quick = coded("function main() { return { out: 'quick' } }")
    assert await out(temporal_client, quick, task_queue) == "quick"
    status = await running.wait()
    assert isinstance(status, Completed)
    assert status.outputs["out"] == "done"
    await workers.handed_over()
    with pytest.raises(MisuseError):
        await old.acquire_js_vm()


async def test_other_slots_need_another_worker_and_lose_no_run(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    with MockServer((MockResponse("GET", "/", delay_secs=0.5),)) as server:
        await workers.apply(settings(f"groups.{task_queue} = {{ {OPEN} }}"))
        running = await start(temporal_client, fetching(server.url), task_queue)
        changes = await workers.apply(
            settings(f"groups.{task_queue} = {{ {OPEN}, slots.activities = 3 }}")
        )
        assert changes == Changes(restarted=(task_queue,))
        status = await running.wait()
    assert isinstance(status, Completed)


async def test_a_quota_may_be_changed_while_it_is_used(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    script = "function main() { return { out: 1 } }"

    def limited(runs: int) -> Settings:
        return settings(
            f"groups.{task_queue} = {{ usage.runs = {{ limit = {runs}, window_secs = 86400 }} }}"
        )

    await workers.apply(limited(1))
    assert await out(temporal_client, coded(script), task_queue) == 1
    refused = await (await start(temporal_client, coded(script), task_queue)).wait()
    assert isinstance(refused, Failed)
    assert await workers.apply(limited(3)) == Changes(changed=(task_queue,))
    assert await out(temporal_client, coded(script), task_queue) == 1


async def test_a_removed_group_leaves_its_runs_to_other_workers(
    temporal_client: Client, task_queue: str, workers: GroupWorkers
) -> None:
    with_it = settings(f"groups = {{ {task_queue} = {{}}, {task_queue}-o = {{}} }}")
    without = settings(f"groups = {{ {task_queue}-o = {{}} }}")
    await workers.apply(with_it)
    assert await workers.apply(without) == Changes(removed=(task_queue,))
    waiting = await start(
        temporal_client, coded("function main() { return { out: 1 } }"), task_queue
    )
    assert await workers.apply(with_it) == Changes(added=(task_queue,))
    assert isinstance(await waiting.wait(), Completed)


async def test_a_change_that_cannot_be_made_changes_nothing(
    task_queue: str, workers: GroupWorkers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    await workers.apply(settings(f"groups.{task_queue} = {{ {OPEN} }}"))
    before = workers.group(task_queue)
    with pytest.raises(ConfigurationError, match="TEST_KEY is not set"):
        await workers.apply(
            settings(
                f"groups = {{ {task_queue} = {{}}, {task_queue}-n = {{}} }}\n"
                '[providers.x]\napi_key = { env = "TEST_KEY" }'
            )
        )
    assert workers.group(task_queue) is before
    assert await workers.apply(settings(f"groups.{task_queue} = {{ {OPEN} }}")) == Changes()


async def test_nothing_is_left_after_the_end(temporal_client: Client, task_queue: str) -> None:
    workers = GroupWorkers(temporal_client, ProcessParts(secret_store=process_secret_store()))
    await workers.apply(settings(f"groups.{task_queue} = {{}}"))
    one = coded("function main() { return { out: 1 } }")
    assert await out(temporal_client, one, task_queue) == 1
    pool = workers.group(task_queue).sandbox_pool
    await workers.aclose()
    with pytest.raises(MisuseError):
        await pool.acquire_js_vm()
