"""A local region by itself: its slice, what it gives up, and that nothing is left running."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio

from tests.workflows.drawing import chain, code, end, graph, http, retries, start
from xworkflow.activities import region
from xworkflow.activities.region import GIVE_UP_SECS, SLICE_SECS, WIDTH, Region, without_plan
from xworkflow.domain.commands import StartNode
from xworkflow.domain.facts import Fact, RunStarted
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.domain.state import dump_state, initial_state
from xworkflow.domain.wire import (
    Admission,
    NodeReport,
    NodeStart,
    NodeTask,
    Policy,
    RegionReport,
    RegionTask,
)
from xworkflow.engine.cache import plans
from xworkflow.engine.compile import CompileOptions
from xworkflow.engine.driver import Driver, fact_of
from xworkflow.errors import NodeFailure
from xworkflow.runtime_group.group import RuntimeGroup


@dataclass
class Work:
    """Stands in for the nodes' own work: how long each takes, and what it gives."""

    secs: Mapping[str, float] = field(default_factory=dict[str, float])
    failing: frozenset[str] = frozenset()
    outputs: Mapping[str, Any] = field(default_factory=lambda: {"n": 2})
    running: int = 0
    widest: int = 0
    begun: list[str] = field(default_factory=list[str])

    async def attempt(self, _group: RuntimeGroup, task: NodeTask) -> NodeReport:
        self.begun.append(task.node_id)
        self.running += 1
        self.widest = max(self.widest, self.running)
        try:
            await asyncio.sleep(self.secs.get(task.node_id, 0))
        finally:
            self.running -= 1
        if task.node_id in self.failing:
            return NodeReport(at=5, failure=NodeFailure(code="c", text="t", retryable=True))
        return NodeReport(at=5, result=NodeRunResult(outputs=dict(self.outputs)))


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    work = Work()
    monkeypatch.setattr(region, "attempt", work.attempt)
    return work


@pytest_asyncio.fixture
async def group() -> AsyncIterator[RuntimeGroup]:
    group = RuntimeGroup.default()
    yield group
    await group.aclose()


def _begun(schema: WorkflowSchema) -> tuple[Driver, RegionTask]:
    """A driver that has started the run, and the region that it asks for."""
    compiled = plans.get(schema.text, CompileOptions())
    pool = VariablePool({"start": {"n": 1}})
    state = initial_state(compiled.plan, pool=pool, config=EngineConfig(), id_base="r")
    driver = Driver(compiled, state)
    starts = [effect for effect in driver.feed(RunStarted(1)) if isinstance(effect, StartNode)]
    task = RegionTask(
        plan_key=compiled.key,
        state=dump_state(driver.region_state(starts)),
        starts=tuple(
            NodeStart(node=s.node, attempt=s.attempt, execution_id=s.execution_id) for s in starts
        ),
        execution_id="r",
    )
    return driver, task


async def _carry(group: RuntimeGroup, schema: WorkflowSchema) -> tuple[Driver, RegionReport]:
    driver, task = _begun(schema)
    return driver, await Region(group, task, driver.compiled).carry(None)


def _names(driver: Driver, report: RegionReport) -> list[str]:
    return [driver.plan.nodes[finished.node].id for finished in report.finished]


def _chain(*nodes: NodeSpec) -> WorkflowSchema:
    return chain("c", start("n"), *nodes, end())


async def test_a_region_carries_on_through_what_its_nodes_make_ready(
    group: RuntimeGroup, work: Work
) -> None:
    driver, report = await _carry(group, _chain(code("a"), code("b", "a.n"), code("c", "b.n")))
    assert _names(driver, report) == work.begun == ["a", "b", "c"]
    assert not report.unfinished


async def test_what_a_region_reports_brings_the_workflow_to_the_same_end(
    group: RuntimeGroup, work: Work
) -> None:
    driver, report = await _carry(group, _chain(code("a"), code("b", "a.n")))
    facts: list[Fact] = [fact_of(f.node, f.attempt, f.report) for f in report.finished]
    for fact in facts:
        driver.feed(fact)
    assert driver.state.phase == "finished"
    assert work.begun == ["a", "b"]


async def test_a_region_stops_before_what_is_no_local_work(group: RuntimeGroup, work: Work) -> None:
    driver, report = await _carry(group, _chain(code("a"), http("h", "http://x/"), code("b")))
    assert _names(driver, report) == work.begun == ["a"]


async def test_after_its_slice_a_region_starts_nothing_more(
    group: RuntimeGroup, work: Work
) -> None:
    work.secs = {"a": SLICE_SECS + 0.05}
    driver, report = await _carry(group, _chain(code("a"), code("b", "a.n")))
    assert _names(driver, report) == work.begun == ["a"]
    assert not report.unfinished


async def test_after_its_share_of_bytes_a_region_starts_nothing_more(
    group: RuntimeGroup, work: Work
) -> None:
    work.outputs = {"n": "x" * region.SLICE_BYTES}
    driver, report = await _carry(group, _chain(code("a"), code("b", "a.n")))
    assert _names(driver, report) == work.begun == ["a"]


async def test_what_ends_beside_a_large_result_goes_into_the_next_region(
    group: RuntimeGroup, work: Work
) -> None:
    """Eight large results in one report would be more than a message of Temporal's may hold."""
    work.outputs = {"n": "x" * region.SLICE_BYTES}
    names = [f"c{i}" for i in range(WIDTH)]
    schema = graph(
        "wide", [start("n"), *map(code, names), end()],
        *(f"start > {name}" for name in names), *(f"{name} > end" for name in names),
    )  # fmt: skip
    _, report = await _carry(group, schema)
    assert len(report.finished) == 1
    assert not report.unfinished


async def test_what_has_not_ended_in_time_is_given_up_and_named(
    group: RuntimeGroup, work: Work
) -> None:
    work.secs = {"slow": 60}
    nodes = [start("n"), code("slow"), code("quick"), end()]
    schema = graph("two", nodes, "start > slow", "start > quick", "slow > end", "quick > end")
    began = time.monotonic()
    driver, report = await _carry(group, schema)
    assert time.monotonic() - began < GIVE_UP_SECS + 1
    assert _names(driver, report) == ["quick"]
    (index,) = report.unfinished
    assert isinstance(index, int)
    assert driver.plan.nodes[index].id == "slow"
    assert work.running == 0


async def test_a_region_that_is_cancelled_leaves_nothing_running(
    group: RuntimeGroup, work: Work
) -> None:
    work.secs = {"a": 60}
    driver, task = _begun(_chain(code("a")))
    carrying = asyncio.create_task(Region(group, task, driver.compiled).carry(None))
    while not work.running:
        await asyncio.sleep(0)
    carrying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await carrying
    assert work.running == 0


async def test_a_region_runs_a_few_nodes_side_by_side(group: RuntimeGroup, work: Work) -> None:
    names = [f"c{i}" for i in range(3 * WIDTH)]
    work.secs = dict.fromkeys(names, 0.001)
    drawn = [line for name in names for line in (f"start > {name}", f"{name} > end")]
    schema = graph("wide", [start("n"), *(code(name) for name in names), end()], *drawn)
    _, report = await _carry(group, schema)
    assert len(report.finished) == 3 * WIDTH
    assert work.widest == WIDTH


async def test_another_attempt_without_a_wait_stays_in_the_region(
    group: RuntimeGroup, work: Work
) -> None:
    work.failing = frozenset({"a"})
    driver, report = await _carry(group, _chain(code("a", retry=retries(2, 0))))
    assert [finished.attempt for finished in report.finished] == [1, 2, 3]
    assert _names(driver, report) == ["a", "a", "a"]


async def test_a_wait_before_another_attempt_ends_the_region(
    group: RuntimeGroup, work: Work
) -> None:
    work.failing = frozenset({"a"})
    _, report = await _carry(group, _chain(code("a", retry=retries(2, 1_000))))
    assert [finished.attempt for finished in report.finished] == [1]


@pytest.mark.parametrize(
    ("admission", "begun"),
    [
        (Admission(), ["a"]),
        (Admission(policy=Policy(max_steps=1)), []),
        (Admission(policy=Policy(all_activities=True)), []),
        (Admission(granted=False, reason="full"), []),
    ],
    ids=["granted", "no steps", "all activities", "refused"],
)
async def test_an_admitted_run_begins_in_the_region_that_asked_for_it(
    group: RuntimeGroup, work: Work, admission: Admission, begun: list[str]
) -> None:
    compiled = plans.get(_chain(code("a")).text, CompileOptions())
    pool = VariablePool({"start": {"n": 1}})
    state = initial_state(compiled.plan, pool=pool, config=EngineConfig(), id_base="r")
    task = RegionTask(plan_key=compiled.key, state=dump_state(state), admit=True)
    report = await Region(group, task, compiled).carry(admission)
    assert report.admission == admission
    assert work.begun == begun


def test_a_process_without_the_plan_hands_everything_on() -> None:
    _, task = _begun(_chain(code("a")))
    assert without_plan(task).unfinished == tuple(start.node for start in task.starts)
