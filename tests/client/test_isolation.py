"""What is each run's own in one group (the seed's 5.4; spec/runtime.md 1.3), and its fakes.

The runs of every test here live at the same time: they meet in the probe.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any, cast

import pytest

from tests.client.live import PROBED, Probe, at_once, ended, group_with, runner, seen
from tests.workflows.drawing import chain, code, end, http, node, start, text
from xworkflow.client.dispatcher import WorkflowDispatcher
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, Failed
from xworkflow.context import EVENT_QUEUE_SIZE, WorkflowContext
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.values import JsonValue
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider, RealTimeProvider
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("live")]

Events = asyncio.Queue[GraphEngineEvent]


class ReadingProbe(Probe):
    reads_all = True


def queue() -> Events:
    return asyncio.Queue(EVENT_QUEUE_SIZE)


async def drained(events: Events) -> list[GraphEngineEvent]:
    """What arrives in a queue, up to the event that ends its run."""
    found: list[GraphEngineEvent] = []
    async with asyncio.timeout(30):
        while not found or found[-1].type not in ("graph_run_succeeded", "graph_run_failed"):
            found.append(await events.get())
    return found


async def test_every_run_has_its_own_execution_id_and_executors_see_it() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    contexts = [WorkflowContext.new(group) for _ in range(2)]
    await at_once(*map(runner, contexts))
    assert set(probe.contexts) == {context.execution_id for context in contexts}
    assert len(probe.contexts) == 2


async def test_every_run_has_its_own_workflow_id() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    await at_once(runner(group), runner(group))
    assert {context.workflow_id for context in probe.contexts.values()} == set(probe.contexts)


async def test_every_run_has_its_own_start_time() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    one, other = (
        WorkflowContext.new(group).with_time_provider(FakeTimeProvider(at)) for at in (1_000, 2_000)
    )
    await at_once(runner(one), runner(other))
    times = {name: context.start_time for name, context in probe.contexts.items()}
    assert times == {one.execution_id: 1_000, other.execution_id: 2_000}


async def test_all_nodes_of_a_run_see_one_start_time_and_it_is_the_runs() -> None:
    nodes = [start("n"), node("first", "probe"), node("second", "probe"), end()]
    starts: list[int] = []

    async def look(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        starts.append(context.start_time)
        if len(starts) == 1:  # the second node runs in another second than the first
            clock = context.time_provider
            while clock.now_timestamp() == context.start_time:
                await asyncio.sleep(0.02)
        return None

    probe = Probe(look)
    before = RealTimeProvider().now_timestamp()
    context = WorkflowContext.new(group_with(probe))
    builder = WorkflowRunner.builder(chain("twice", *nodes)).context(context)
    assert isinstance((await at_once(builder.user_inputs({"n": 1})))[0], Completed)
    assert starts[0] == starts[1]
    assert before <= starts[0]


async def test_every_run_has_its_own_event_queue() -> None:
    group = group_with(Probe(parties=2))
    contexts = [WorkflowContext.new(group).with_event_tx(queue()) for _ in range(2)]
    handles = [await runner(context).run() for context in contexts]
    logs = [await drained(cast("Events", context.event_tx)) for context in contexts]
    for handle, log in zip(handles, logs, strict=True):
        assert log == [event async for event in handle.events()]
    ids = [{event.data["id"] for event in log if "id" in event.data} for log in logs]
    assert all(ids)
    assert not ids[0] & ids[1]


async def test_a_full_event_queue_holds_up_its_own_reader_and_never_the_run() -> None:
    group = group_with(Probe())
    context = WorkflowContext.new(group).with_event_tx(asyncio.Queue(1))
    (status,) = await at_once(runner(context))
    assert isinstance(status, Completed)
    assert len(await drained(cast("Events", context.event_tx))) > 1


async def test_a_run_that_collects_no_events_has_none() -> None:
    group = group_with(Probe())
    silent = await runner(group).collect_events(collect=False).run()
    told = await runner(group).run()
    assert not silent.events_active()
    assert told.events_active()
    await ended(silent, told)
    assert [event async for event in silent.events()] == []
    assert [event async for event in told.events()][-1].type == "graph_run_succeeded"
    assert not told.events_active()


async def test_one_run_may_fail_while_the_other_completes() -> None:
    async def fail_for_two(_context: WorkflowContext, pool: VariablePool) -> JsonValue:
        return 1 // (2 - cast("int", pool.get(("start", "n"))))

    group = group_with(ReadingProbe(fail_for_two))
    failed, completed = await at_once(runner(group, 2), runner(group, 1))
    assert isinstance(failed, Failed)
    assert isinstance(completed, Completed)


async def test_every_run_has_its_own_variables() -> None:
    async def read(_context: WorkflowContext, pool: VariablePool) -> JsonValue:
        return pool.to_json()["start"]["n"]

    group = group_with(ReadingProbe(read, parties=2))
    statuses = await at_once(runner(group, "one"), runner(group, "two"))
    assert [seen(status) for status in statuses] == ["one", "two"]


async def test_every_run_is_strict_about_templates_or_not() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    lenient, strict = WorkflowContext.new(group), WorkflowContext.new(group)
    strict.strict_template = True
    with MockServer((MockResponse("GET", "/ok?q=", response_body="fine"),)) as server:
        asking = http("h", f"{server.url}/ok?q={{{{#sys.nope#}}}}")
        schema = chain("t", start("n"), node("probe", "probe"), asking, end(t="h.body"))
        builders = [
            WorkflowRunner.builder(schema).context(context).user_inputs({"n": 1})
            for context in (lenient, strict)
        ]
        passed, failed = await at_once(*builders)
    assert isinstance(passed, Completed)
    assert passed.outputs == {"t": "fine"}
    assert isinstance(failed, Failed)
    assert "nope" in failed.message
    flags = {name: context.strict_template for name, context in probe.contexts.items()}
    assert flags == {lenient.execution_id: False, strict.execution_id: True}


class Doubling:
    """A sub-graph runner of one run."""

    def __init__(self, factor: int) -> None:
        self.factor = factor

    async def run_sub_graph(
        self,
        definition: SubGraph,
        parent_pool: VariablePool,
        scope_vars: Mapping[str, JsonValue],
        context: WorkflowContext,
    ) -> dict[str, JsonValue]:
        del definition, parent_pool, context
        return {"n": cast("int", scope_vars["n"]) * self.factor}


async def run_sub_graph(context: WorkflowContext, pool: VariablePool) -> JsonValue:
    assert context.sub_graph_runner is not None
    body = SubGraph(nodes=(), edges=())
    outputs = await context.sub_graph_runner.run_sub_graph(body, pool, {"n": 21}, context)
    return outputs["n"]


async def test_every_run_has_its_own_sub_graph_runner() -> None:
    group = group_with(Probe(run_sub_graph, parties=2))
    contexts = [WorkflowContext.new(group).with_sub_graph_runner(Doubling(f)) for f in (1, 2)]
    assert [seen(s) for s in await at_once(*map(runner, contexts))] == [21, 42]


async def test_a_run_without_a_sub_graph_runner_has_none() -> None:
    probe = Probe()
    await at_once(runner(group_with(probe)))
    (context,) = probe.contexts.values()
    assert context.sub_graph_runner is None


class Ticking:
    """A live clock, and live ids: no fakes, so executors alone see them."""

    def __init__(self, now: int) -> None:
        self.now = now

    def now_timestamp(self) -> int:
        return self.now

    def now_millis(self) -> int:
        return self.now * 1000

    def elapsed_secs(self, since: int) -> int:
        return max(0, self.now - since)

    def next_id(self) -> str:
        return f"live-{self.now}"


async def test_live_providers_are_lent_to_the_executors_of_their_run_alone() -> None:
    async def look(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        return [context.time_provider.now_timestamp(), context.id_generator.next_id()]

    group = group_with(Probe(look, parties=2))
    contexts = [
        WorkflowContext.new(group).with_time_provider(Ticking(n)).with_id_generator(Ticking(n))
        for n in (5, 6)
    ]
    statuses = await at_once(*map(runner, contexts))
    assert [seen(status) for status in statuses] == [[5, "live-5"], [6, "live-6"]]


# ---- the dispatcher


async def test_a_dispatcher_gives_every_run_a_context_of_its_own_in_one_group() -> None:
    probe = Probe(parties=3)
    group = group_with(probe)
    context = WorkflowContext.new(group).with_id_generator(FakeIdGenerator("d"))
    dispatcher = WorkflowDispatcher(PROBED, context)
    handles = [await dispatcher.dispatch({"n": n}) for n in range(3)]
    assert all(isinstance(status, Completed) for status in await ended(*handles))
    ids = [handle.execution_id for handle in handles]
    assert ids[0] == context.execution_id
    assert len(set(ids)) == 3
    assert {found.runtime_group for found in probe.contexts.values()} == {group}
    for handle in handles:
        assert await ids_of(handle) == chained_ids("d", 3)


# ---- fakes of time and ids


async def ids_of(handle: Any) -> list[str]:
    """The ids that a run made, in order: of each round, and of the node that it started."""
    started = [e.data async for e in handle.events() if e.type == "node_run_started"]
    return [id_ for data in started for id_ in (data["parallel_group_id"], data["id"])]


def chained_ids(prefix: str, nodes: int) -> list[str]:
    """The ids of a chain: the first is the workflow's own (spec/graph.md 5.8)."""
    return [f"{prefix}-{number}" for number in range(1, 2 * nodes + 1)]


async def test_a_fixed_time_is_the_time_of_every_event() -> None:
    context = WorkflowContext.new(group_with(Probe())).with_time_provider(
        FakeTimeProvider(1_700_000_000)
    )
    handle = await runner(context).run()
    events = [event async for event in handle.events()]
    assert {event.at for event in events} == {1_700_000_000_000}


async def test_prefixed_ids_are_counted_in_the_order_in_which_nodes_start() -> None:
    context = WorkflowContext.new(group_with(Probe())).with_id_generator(FakeIdGenerator("test"))
    handle = await runner(context).run()
    assert await ids_of(handle) == chained_ids("test", 3)


async def test_executors_see_the_fakes_too() -> None:
    async def look(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        clock, ids = context.time_provider, context.id_generator
        return [clock.now_millis(), clock.elapsed_secs(990), ids.next_id(), ids.next_id()]

    context = (
        WorkflowContext.new(group_with(Probe(look)))
        .with_time_provider(FakeTimeProvider(1_000))
        .with_id_generator(FakeIdGenerator("test"))
    )
    (status,) = await at_once(runner(context))
    assert seen(status) == [1_000_000, 10, "test-probe-0", "test-probe-1"]


async def test_without_fakes_times_are_now_and_ids_are_uuids() -> None:
    before = RealTimeProvider().now_millis()
    handle = await runner(group_with(Probe())).run()
    events = [event async for event in handle.events()]
    after = RealTimeProvider().now_millis()
    # the server's clock is rounded, and another one than ours
    assert all(before - 1_000 <= event.at <= after + 1_000 for event in events)
    ids = await ids_of(handle)
    assert len(set(ids)) == 6
    assert all(re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", each) for each in ids)


def every_placement(url: str) -> Any:
    """Nodes inside the workflow, in local regions and in activities."""
    nodes = [
        start("n"),
        text("t", "{{ v }}", of="start.n"),
        code("c"),
        http("h", url),
        node("probe", "probe", of_selector=["c", "n"]),
        code("c2", "c.n"),
        end(n="c2.n", seen="probe.seen"),
    ]
    return chain("all", *nodes)


async def test_twelve_runs_at_once_with_fakes_of_their_own_never_mix() -> None:
    async def look(context: WorkflowContext, pool: VariablePool) -> JsonValue:
        await asyncio.sleep(0)
        made = context.id_generator.next_id()
        return [pool.get(("c", "n")), context.time_provider.now_timestamp(), made]

    count = 12
    group = group_with(Probe(look, parties=count))
    with MockServer((MockResponse("GET", "/ok", response_body="fine"),)) as server:
        schema = every_placement(f"{server.url}/ok")
        contexts = [
            WorkflowContext.new(group)
            .with_time_provider(FakeTimeProvider(1_000 + n))
            .with_id_generator(FakeIdGenerator(f"run{n}"))
            for n in range(count)
        ]
        builders = [
            WorkflowRunner.builder(schema).context(context).user_inputs({"n": n})
            for n, context in enumerate(contexts)
        ]
        handles = await asyncio.gather(*(builder.run() for builder in builders))
        statuses = await ended(*handles)
    for n, (handle, status) in enumerate(zip(handles, statuses, strict=True)):
        assert isinstance(status, Completed)
        assert status.outputs == {"n": n + 2, "seen": [n + 1, 1_000 + n, f"run{n}-probe-0"]}
        events = [event async for event in handle.events()]
        assert {event.at for event in events} == {(1_000 + n) * 1_000}
        assert await ids_of(handle) == chained_ids(f"run{n}", 7)


async def test_a_fake_clock_that_was_not_given_to_a_run_is_not_its_clock() -> None:
    """Fakes belong to a context, never to the group or the process."""
    group = group_with(Probe(parties=2))
    faked = WorkflowContext.new(group).with_time_provider(FakeTimeProvider(5))
    one = await runner(faked).run()
    other = await runner(group).run()
    await ended(one, other)
    assert {event.at async for event in one.events()} == {5_000}
    assert min([event.at async for event in other.events()]) > 1_000_000_000_000
