"""The debugger on Temporal: pauses outlive workers, cut regions, and hold every kind of node."""

from __future__ import annotations

from contextlib import aclosing
from typing import Any

import pytest

from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import chain, choice, code, end, graph, http, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Paused, Running, Stopped
from xworkflow.domain.debugging import DebugAction, DebugCommand, DebugConfig
from xworkflow.domain.wire import DebugReport
from xworkflow.errors import InputError
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal

CODES = chain("codes", start("n"), code("a"), code("b", "a.n"), code("c", "b.n"), end(n="c.n"))
STEPPING = DebugConfig(break_on_start=True)


def breaking(*nodes: str) -> DebugConfig:
    return DebugConfig(breakpoints=nodes)


async def pause(handle: WorkflowHandle) -> DebugReport:
    """Where the run stands, once it does."""
    assert await handle.wait_or_paused() == Paused()
    return await handle.debug()


async def say(handle: WorkflowHandle, action: DebugAction, **parts: Any) -> DebugReport:
    return await handle.debug_command(DebugCommand(action=action, **parts))


async def stops(handle: WorkflowHandle) -> list[tuple[str, str]]:
    """The pauses so far, as a reader of the history sees them."""
    return [
        (event.data["phase"], event.data["node_id"])
        for event in await read(handle)
        if event.type == "debug_paused"
    ]


async def test_a_pause_outlives_the_worker(idle_bench: Bench) -> None:
    async with idle_bench.worker():
        handle = await idle_bench.start(CODES, {"n": 1}, debug=breaking("b", "c"))
        stood = await pause(handle)
    assert (stood.node_id, stood.phase, stood.reason) == ("b", "before", "breakpoint")
    assert await handle.status() == Paused()
    async with idle_bench.worker():
        assert await handle.debug() == stood
        await say(handle, "continue")
        assert (await pause(handle)).node_id == "c"
    async with idle_bench.worker():
        await say(handle, "continue")
        assert await handle.wait() == Completed({"n": 4})
    assert await stops(handle) == [("before", "b"), ("before", "c")]


async def test_each_step_of_a_run_is_taken_by_another_worker(idle_bench: Bench) -> None:
    handle = await idle_bench.start(
        chain("two", start("n"), code("a"), end(n="a.n")), {"n": 1}, debug=STEPPING
    )
    seen: list[tuple[str | None, str | None]] = []
    while True:
        async with idle_bench.worker():
            if not isinstance(await handle.wait_or_paused(), Paused):
                break
            report = await handle.debug()
            seen.append((report.phase, report.node_id))
            await say(handle, "step")
    assert seen == [(phase, n) for n in ("start", "a", "end") for phase in ("before", "after")]
    assert await handle.wait() == Completed({"n": 2})


async def test_a_worker_that_knows_nothing_of_the_run_refuses_no_step(idle_bench: Bench) -> None:
    """A pause before the first node leaves nothing in the history; the step comes right after."""
    async with idle_bench.worker():
        handle = await idle_bench.start(CODES, {"n": 1}, debug=STEPPING)
        await pause(handle)
    async with idle_bench.worker():
        await say(handle, "continue")
        assert await handle.wait() == Completed({"n": 4})


async def test_a_breakpoint_cuts_a_region(bench: Bench) -> None:
    whole = await bench.start(CODES, {"n": 1})
    await whole.wait()
    assert kinds(await history(whole, bench.client))["marker_recorded"] == 1
    cut = await bench.start(CODES, {"n": 1}, debug=breaking("b"))
    await pause(cut)
    assert (await cut.variables("a"))["n"] == 2
    assert await cut.variables("b") == {}
    await say(cut, "continue")
    assert await cut.wait() == Completed({"n": 4})
    assert kinds(await history(cut, bench.client))["marker_recorded"] > 1


async def test_the_paused_node_sees_changed_variables(bench: Bench) -> None:
    for node, expected in (("which", 1.5), ("b", 2.5)):
        nodes = [
            start("n"), choice("which", "start.n", "1"),
            code("a", script="function main() { return { n: 0 } }"),
            code("b", script="function main({ n }) { return { n: n + 1.5 } }"),
            end(n="b.n"),
        ]  # fmt: skip
        drawn = ("start > which", "which:yes > a", "which:false > b", "a > end", "b > end")
        schema = graph("changed", nodes, *drawn)
        handle = await bench.start(schema, {"n": 2}, debug=breaking(node))
        await pause(handle)
        await handle.update_variables({"start.n": expected - 1.5})
        assert (await handle.debug()).node_id == node
        await say(handle, "continue")
        assert await handle.wait() == Completed({"n": expected})


async def test_the_debuggers_own_update_of_variables_goes_on(bench: Bench) -> None:
    handle = await bench.start(CODES, {"n": 1}, debug=breaking("a"))
    await pause(handle)
    await say(handle, "update_variables", variables={"start.n": 10})
    assert await handle.wait() == Completed({"n": 13})


async def test_a_node_at_a_breakpoint_runs_alone_between_parallel_activities(
    bench: Bench, web: MockServer
) -> None:
    nodes = [start(), *(http(name, f"{web.url}/ok") for name in "abc"), end()]
    drawn = [line for n in "abc" for line in (f"start > {n}", f"{n} > end")]
    handle = await bench.start(graph("three", nodes, *drawn), debug=breaking("b"))
    assert (await pause(handle)).node_id == "b"
    running = {n for n, state in (await handle.state()).nodes.items() if state == "running"}
    assert running == set()
    await say(handle, "continue")
    assert isinstance(await handle.wait(), Completed)
    told = [(e.type, e.data["node_id"]) for e in await read(handle) if "node_id" in e.data]
    between = told[
        told.index(("node_run_started", "b")) : told.index(("node_run_succeeded", "b")) + 1
    ]
    assert {node for _, node in between} == {"b"}


async def test_breakpoints_come_and_go_while_a_run_goes_on(bench: Bench) -> None:
    with MockServer((MockResponse("GET", "/", delay_secs=60),)) as server:
        schema = chain("late", start("n"), http("slow", server.url), code("a"), end(n="a.n"))
        handle = await bench.start(schema, {"n": 1})
        async with aclosing(handle.read()) as batches:
            async for _, new in batches:
                if any(event.data.get("node_id") == "slow" for event in new):
                    break
        assert await handle.status() == Running()
        report = await say(handle, "add_breakpoint", node_id="a")
        assert (report.breakpoints, report.paused) == (("a",), False)
    # the server is closed, so the request is over
    assert (await pause(handle)).node_id == "a"
    await say(handle, "clear_breakpoints")
    await say(handle, "step")
    assert await handle.wait_or_paused() == Paused()
    await say(handle, "continue")
    assert await handle.wait() == Completed({"n": 2})


async def test_a_run_is_aborted_at_a_pause(bench: Bench) -> None:
    handle = await bench.start(CODES, {"n": 1}, debug=STEPPING)
    await pause(handle)
    await say(handle, "abort", reason="wrong file")
    assert await handle.wait() == Stopped("Workflow aborted: wrong file")


async def test_a_run_that_stands_at_a_pause_is_cancelled(bench: Bench) -> None:
    handle = await bench.start(CODES, {"n": 1}, debug=STEPPING)
    await pause(handle)
    await handle.cancel()
    assert isinstance(await handle.wait(), Stopped)


async def test_commands_that_make_no_sense_are_refused_and_change_nothing(bench: Bench) -> None:
    with MockServer((MockResponse("GET", "/", delay_secs=60),)) as server:
        handle = await bench.start(chain("slow", start(), http("slow", server.url), end()))
        for action in ("step", "step_over", "continue", "abort", "update_variables"):
            with pytest.raises(InputError, match=f"'{action}' needs a run that stands at a pause"):
                await say(handle, action)
        with pytest.raises(InputError, match="'add_breakpoint' needs a node_id"):
            await say(handle, "add_breakpoint")
        with pytest.raises(InputError, match="the run has no node 'nix' of its own"):
            await say(handle, "add_breakpoint", node_id="nix")
    assert await handle.wait() == Completed({})
    with pytest.raises(InputError, match="is over"):
        await say(handle, "step")


async def test_a_run_continues_as_new_at_a_pause(bench: Bench) -> None:
    nodes = [start("n"), *(code(f"c{i}", f"c{i - 1}.n" if i else "start.n") for i in range(4))]
    schema = chain("long", *nodes, end(n="c3.n"))
    handle = await bench.start(schema, {"n": 0}, debug=STEPPING, continue_as_new_after_events=15)
    for _ in range(12):
        await pause(handle)
        await say(handle, "step")
    assert await handle.wait() == Completed({"n": 4})
    assert len(await stops(handle)) == 12
