"""How many history events each placement costs. A change here changes what users pay for."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.workflows.bench import Bench, history, kind, kinds
from tests.workflows.drawing import (
    SPIN,
    chain,
    choice,
    code,
    end,
    graph,
    http,
    retries,
    start,
    text,
)
from xworkflow.activities import region
from xworkflow.client.status import Completed
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal

EMPTY_RUN = [
    "workflow_execution_started",
    "workflow_task_scheduled",
    "workflow_task_started",
    "workflow_task_completed",
    "workflow_execution_completed",
]
AN_ACTIVITY = Counter(
    {f"activity_task_{part}": 1 for part in ("scheduled", "started", "completed")}
)
A_TASK = Counter({f"workflow_task_{part}": 1 for part in ("scheduled", "started", "completed")})
A_TIMER = Counter({"timer_started": 1, "timer_fired": 1})


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/second", response_status=503, expect=1),
        MockResponse("GET", "/second", response_body="at last"),
    )


@pytest.fixture(autouse=True)
def patient_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is counted is what a region holds, not what a busy machine does in 200 ms."""
    monkeypatch.setattr(region, "SLICE_SECS", 1.0)


async def _kinds(bench: Bench, schema: WorkflowSchema) -> Counter[str]:
    """The kinds of a run's history, without those that an empty run has too."""
    handle = await bench.start(schema, {"n": 1})
    assert isinstance(await handle.wait(), Completed)
    return kinds(await history(handle, bench.client)) - Counter(EMPTY_RUN)


async def _warm(bench: Bench) -> None:
    """Start a sandbox process: a cold one takes most of the 200 ms that a region goes on for."""
    schema = chain("warm", start("n"), code("c"), end())
    await (await bench.start(schema, {"n": 1})).wait()


async def test_an_empty_run_has_five_events_and_inline_nodes_add_none(bench: Bench) -> None:
    inline = [text(f"t{i}", "{{ v }}", of="start.n") for i in range(20)]
    for schema in (chain("empty", start("n"), end()), chain("inline", start("n"), *inline, end())):
        handle = await bench.start(schema, {"n": 1})
        await handle.wait()
        assert [kind(e) for e in await history(handle, bench.client)] == EMPTY_RUN


async def test_branches_add_no_event(bench: Bench) -> None:
    nodes = [start("n"), choice("c", "start.n", "1"), text("y", "yes"), text("z", "no"), end()]
    drawn = ("start > c", "c:yes > y", "c:false > z", "y > end", "z > end")
    assert await _kinds(bench, graph("branches", nodes, *drawn)) == Counter()


async def test_a_chain_of_ten_code_nodes_is_one_marker(bench: Bench) -> None:
    nodes = [code("c0"), *(code(f"c{i}", f"c{i - 1}.n") for i in range(1, 10))]
    schema = chain("code", start("n"), *nodes, end(n="c9.n"))
    await _warm(bench)
    handle = await bench.start(schema, {"n": 1})
    assert await handle.wait() == Completed({"n": 11})
    recorded = [kind(e) for e in await history(handle, bench.client)]
    assert recorded == [*EMPTY_RUN[:-1], "marker_recorded", EMPTY_RUN[-1]]


async def test_code_beside_code_is_one_marker(bench: Bench) -> None:
    nodes = [start("n"), *(code(f"c{i}") for i in range(5)), text("t", "joined"), end()]
    drawn = [line for i in range(5) for line in (f"start > c{i}", f"c{i} > t")]
    schema = graph("fan", nodes, *drawn, "t > end")
    assert await _kinds(bench, schema) == Counter(marker_recorded=1)


async def test_an_http_node_is_three_events_and_a_workflow_task(
    bench: Bench, web: MockServer
) -> None:
    schema = chain("http", start("n"), http("h", f"{web.url}/ok"), end())
    assert await _kinds(bench, schema) == AN_ACTIVITY + A_TASK


async def test_http_nodes_side_by_side_share_what_workflow_tasks_they_can(
    bench: Bench, web: MockServer
) -> None:
    nodes = [start("n"), *(http(f"h{i}", f"{web.url}/ok") for i in range(6)), end()]
    drawn = [line for i in range(6) for line in (f"start > h{i}", f"h{i} > end")]
    counted = await _kinds(bench, graph("fan", nodes, *drawn))
    assert counted["activity_task_scheduled"] == counted["activity_task_completed"] == 6
    assert counted["workflow_task_completed"] <= 6
    assert set(counted) == set(AN_ACTIVITY + A_TASK)


async def test_another_attempt_is_a_timer_and_an_activity(bench: Bench, web: MockServer) -> None:
    again = http("h", f"{web.url}/second", fail_on_error_status=True, retry=retries(1, 20))
    expected = AN_ACTIVITY + AN_ACTIVITY + A_TIMER + A_TASK + A_TASK + A_TASK
    assert await _kinds(bench, chain("again", start("n"), again, end())) == expected


async def test_another_attempt_without_a_wait_has_no_timer(bench: Bench, web: MockServer) -> None:
    again = http("h", f"{web.url}/second", fail_on_error_status=True, retry=retries(1, 0))
    expected = AN_ACTIVITY + AN_ACTIVITY + A_TASK + A_TASK
    assert await _kinds(bench, chain("again", start("n"), again, end())) == expected


async def test_regions_and_activities_follow_one_another(bench: Bench, web: MockServer) -> None:
    schema = chain(
        "mixed", start("n"), code("a"), http("h", f"{web.url}/ok"), code("b", "a.n"), end(n="b.n")
    )
    expected = Counter(marker_recorded=2) + AN_ACTIVITY + A_TASK
    assert await _kinds(bench, schema) == expected


@pytest.mark.parametrize(
    "nodes", [(), (text("t", "hi"),), (code("c"), code("d", "c.n"))], ids=["none", "inline", "code"]
)
async def test_admission_to_a_named_group_is_the_one_marker_of_the_first_region(
    idle_bench: Bench, nodes: tuple[()]
) -> None:
    bench = Bench(idle_bench.client, idle_bench.queue, RuntimeGroup(group_id="tenant"))
    async with bench.worker(sandboxed=True):
        await _warm(bench)
        schema = chain("governed", start("n"), *nodes, end())
        assert await _kinds(bench, schema) == Counter(marker_recorded=1)
    await bench.group.aclose()


async def test_a_group_may_show_every_node_that_works_as_an_activity(
    idle_bench: Bench, web: MockServer
) -> None:
    group = RuntimeGroup.builder().node_placement("activity").build()
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker(sandboxed=True):
        nodes = [start("n"), code("c"), text("t", "hi"), http("h", f"{web.url}/ok"), end()]
        counted = await _kinds(bench, chain("shown", *nodes))
    assert counted["activity_task_scheduled"] == 3
    assert not counted["marker_recorded"]
    await group.aclose()


async def test_what_a_region_cannot_finish_in_its_slice_is_one_activity(bench: Bench) -> None:
    """A script of more than 0.8 s: a marker for the region that gave it up, then an activity."""
    schema = chain("long", start("n"), code("c", script=SPIN), end(n="c.n"))
    expected = Counter(marker_recorded=1) + AN_ACTIVITY + A_TASK
    assert await _kinds(bench, schema) == expected
