"""A run of a named group asks its group first, and takes the answer with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import pytest_asyncio

from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import chain, code, end, start
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.quota import ResourceQuota
from xworkflow.errors import NodeError
from xworkflow.runtime_group.group import RuntimeGroup

pytestmark = pytest.mark.temporal

SCHEMA = chain("governed", start("n"), code("a"), code("b", "a.n"), end(n="b.n"))


@dataclass
class Governor:
    """Grants, refuses, or is out of order for a while."""

    refusal: str | None = None
    broken: bool = False
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    started: list[str] = field(default_factory=list[str])

    async def check_workflow_start(self, group_id: str) -> None:
        del group_id
        self.asked.set()
        if self.broken:
            raise ConnectionError("the governor's database is away")
        if self.refusal is not None:
            raise NodeError.of_kind("execution_error", self.refusal)

    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None:
        del group_id
        self.started.append(workflow_id)

    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None:
        """Nothing is counted here."""


@pytest.fixture
def governor() -> Governor:
    return Governor()


@pytest_asyncio.fixture
async def governed(idle_bench: Bench, governor: Governor) -> AsyncIterator[Bench]:
    group = (
        RuntimeGroup.builder()
        .group_id("tenant")
        .quota(ResourceQuota(max_steps=4))
        .resource_governor(governor)
        .build()
    )
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker(sandboxed=True):
        yield bench
    await group.aclose()


async def test_a_granted_run_is_counted_once(governed: Bench, governor: Governor) -> None:
    handle = await governed.start(SCHEMA, {"n": 1})
    assert await handle.wait() == Completed({"n": 3})
    assert governor.started == [handle.execution_id]


async def test_a_refused_run_fails_with_the_reason_and_has_no_events(
    governed: Bench, governor: Governor
) -> None:
    governor.refusal = "too many runs"
    handle = await governed.start(SCHEMA, {"n": 1})
    assert await handle.wait() == Failed("Execution error: too many runs", "Refused")
    assert await read(handle) == []
    assert not governor.started


async def test_a_run_is_held_to_the_limits_of_its_group(governed: Bench) -> None:
    nodes = [code("a"), code("b", "a.n"), code("c", "b.n")]
    handle = await governed.start(chain("over", start("n"), *nodes, end()), {"n": 1})
    status = await handle.wait()
    assert isinstance(status, Failed)
    assert (status.message, status.error_type) == ("Max steps exceeded: 4", "MaxStepsExceeded")


async def test_a_governor_that_is_out_of_order_delays_runs_and_fills_no_history(
    governed: Bench, governor: Governor
) -> None:
    governor.broken = True
    handle = await governed.start(chain("inline", start("n"), end(n="start.n")), {"n": 1})
    await governor.asked.wait()
    temporal = governed.client.get_workflow_handle(handle.execution_id)
    async for event in temporal.fetch_history_events(wait_new_event=True):
        if event.HasField("workflow_task_failed_event_attributes"):
            failure = event.workflow_task_failed_event_attributes.failure
            assert "admission" in failure.message
            break
    governor.broken = False
    assert await handle.wait() == Completed({"n": 1})
    counted = kinds(await history(handle, governed.client))
    assert counted["marker_recorded"] == 1
