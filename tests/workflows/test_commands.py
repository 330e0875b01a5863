"""Pause, abort, safe stop and new variables, in a run and in its sub-graphs (spec/graph.md 5.7)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.workflows.awaited import node_started, requested
from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    SPIN_FOR_EVER,
    begin,
    body,
    chain,
    code,
    end,
    finish,
    form,
    graph,
    handler,
    http,
    iteration,
    retries,
    start,
    text,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, FailedWithRecovery, SafeStopped, Stopped
from xworkflow.domain.policy import EngineConfig
from xworkflow.errors import InputError
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = pytest.mark.temporal


SOON_SECS = 2.0


class Gate(MockServer):
    """Answers ``/wait`` once it is opened; notes how many requests wait there at most."""

    def __init__(self) -> None:
        super().__init__(
            (MockResponse("GET", "/ok", response_body="fine"),
             MockResponse("GET", "/flaky", response_status=500),
             MockResponse("GET", "/flaky", response_body="well"),
             MockResponse("GET", "/hang", delay_secs=60))
        )  # fmt: skip
        self.opened = False
        self.inside = 0
        self.most = 0

    def answer(self, request: ReceivedRequest) -> MockResponse:
        if request.path != "/wait":
            return super().answer(request)
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.requests.append(request)
        while not self.opened:
            self.wait(0.01)
        self.inside -= 1
        return MockResponse("GET", request.path, response_body="through")

    async def entered(self, count: int = 1) -> None:
        while self.inside < count:
            await asyncio.sleep(0.02)


@pytest.fixture
def gate() -> Iterator[Gate]:
    with Gate() as server:
        yield server
        server.opened = True


@pytest.fixture
def bench(watched_bench: Bench) -> Bench:
    return watched_bench


async def until_status(handle: WorkflowHandle, wanted: str) -> None:
    while (await handle.state()).status != wanted:
        await asyncio.sleep(0.02)


async def started(handle: WorkflowHandle) -> list[str]:
    return [e.data["node_id"] for e in await read(handle) if e.type == "node_run_started"]


def calls(url: str) -> dict[str, object]:
    return body(
        begin("s"), http("first", f"{url}/wait"), http("second", f"{url}/ok"),
        finish("e", out="second.body"),
    )  # fmt: skip


async def test_a_paused_run_ends_what_runs_and_starts_nothing_until_it_goes_on(
    bench: Bench, gate: Gate
) -> None:
    schema = chain("pauses", start("n"), http("h", f"{gate.url}/wait"), code("c"), end(n="c.n"))
    handle = await bench.start(schema, {"n": 1})
    await gate.entered()
    await handle.pause()
    await until_status(handle, "paused")
    gate.opened = True
    async for event in handle.events():
        if event.type == "node_run_succeeded" and event.data["node_id"] == "h":
            break
    assert await started(handle) == ["start", "h"]
    await handle.resume()
    assert await handle.wait() == Completed({"n": 2})
    kinds = [e.type for e in await read(handle)]
    assert kinds.index("workflow_paused") < kinds.index("workflow_resumed")


async def test_a_pause_reaches_sub_graphs(bench: Bench, gate: Gate) -> None:
    schema = chain("pauses", start("list"), iteration("it", "start.list", calls(gate.url)), end())
    handle = await bench.start(schema, {"list": ["a", "b"]})
    await gate.entered()
    await handle.pause()
    await until_status(WorkflowHandle(bench.client, f"{handle.execution_id}/it:0"), "paused")
    gate.opened = True
    async for event in handle.events():
        if event.type == "node_run_succeeded" and event.data["node_id"] == "first":
            break
    assert (await started(handle))[-1] == "first"
    await handle.resume()
    assert await handle.wait() == Completed({})
    assert (await started(handle)).count("second") == 2


async def test_a_pause_reaches_the_sub_graphs_of_a_second_attempt(bench: Bench, gate: Gate) -> None:
    """Those of the first one have the same items, and end late: they were stopped."""
    inner = body(
        begin("s"), http("first", f"{gate.url}{{{{#item#}}}}", fail_on_error_status=True),
        http("second", f"{gate.url}/ok"), finish("e", out="second.body"),
    )  # fmt: skip
    again = iteration("it", "start.list", inner, parallel=True)
    again = again.model_copy(update={"retry_config": retries(1, 0, retry_on_retryable_only=False)})
    schema = chain("again", start("list"), again, end(out="it.out"))
    handle = await bench.start(schema, {"list": ["/wait", "/flaky"]})
    await gate.entered(2)
    await closed(bench, f"{handle.execution_id}/it:0")
    while (await started(handle)).count("second") < 1:
        await asyncio.sleep(0.02)
    await handle.pause()
    second = WorkflowHandle(bench.client, f"{handle.execution_id}/it#2:0")
    await until_status(second, "paused")
    gate.opened = True
    async for event in handle.events():
        where = (event.data.get("node_id"), event.data.get("iteration_index"))
        if event.type == "node_run_succeeded" and where == ("first", 0):
            break
    assert (await started(handle)).count("second") == 1
    await handle.resume()
    assert await handle.wait() == Completed({"out": [{"out": "fine"}, {"out": "fine"}]})


async def test_an_abort_with_a_reason_runs_the_handler(bench: Bench, gate: Gate) -> None:
    why = handler(
        "recover", start(), text("t", "{{ v }}", of="sys.error_message"), end(t="t.output")
    )
    schema = chain("aborts", start(), http("h", f"{gate.url}/hang"), end(), handler=why)
    handle = await bench.start(schema)
    await requested(gate)
    await handle.abort("too dear")
    message = "Workflow aborted: too dear"
    assert await handle.wait() == FailedWithRecovery(message, {"t": message})


@pytest.mark.parametrize("how", ["cancel", "abort"])
@pytest.mark.parametrize("what", ["request", "script"])
async def test_a_stop_reaches_what_runs_inside_of_sub_graphs(
    bench: Bench, gate: Gate, how: str, what: str
) -> None:
    work = http("h", f"{gate.url}/hang") if what == "request" else code("h", script=SPIN_FOR_EVER)
    inner = body(begin("s2"), work, finish("e2"))
    outer = body(begin("s"), iteration("deep", "item", inner, parallel=True), finish("e"))
    schema = chain("stops", start("lists"), iteration("it", "start.lists", outer), end())
    handle = await bench.start(schema, {"lists": [[1, 2]]})
    await node_started(handle, "h")
    if what == "request":
        await requested(gate, 2)
    asked = time.monotonic()
    await (handle.cancel() if how == "cancel" else handle.abort("enough"))
    assert isinstance(await handle.wait(), Stopped)
    await closed(bench, f"{handle.execution_id}/it:0/0/deep:0")
    assert time.monotonic() - asked < SOON_SECS


async def closed(bench: Bench, workflow_id: str) -> None:
    while (await bench.client.get_workflow_handle(workflow_id).describe()).close_time is None:
        await asyncio.sleep(0.02)


async def test_a_safe_stop_lets_end_what_runs(bench: Bench, gate: Gate) -> None:
    schema = graph(
        "stops safely",
        [start("n"), http("h", f"{gate.url}/wait"), code("c"), form("ask", "x"), end(n="c.n")],
        "start > h", "h > c", "start > ask", "c > end", "ask > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"n": 1})
    await gate.entered()
    await handle.safe_stop()
    await until_status(handle, "safe_stopping")
    gate.opened = True
    assert await handle.wait() == SafeStopped({}, ("ask",))
    events = await read(handle)
    assert await started(handle) == ["start", "ask", "h"]
    assert [e.type for e in events[-2:]] == ["node_run_succeeded", "workflow_safe_stopped"]


async def test_a_safe_stop_goes_through_sub_graphs(bench: Bench, gate: Gate) -> None:
    schema = chain(
        "stops safely", start("list"),
        iteration("it", "start.list", calls(gate.url), parallel=True), end(out="it.out"),
    )  # fmt: skip
    handle = await bench.start(schema, {"list": [1, 2]})
    await gate.entered(2)
    await handle.safe_stop()
    for chunk in ("it:0", "it:1"):
        child = WorkflowHandle(bench.client, f"{handle.execution_id}/{chunk}")
        await until_status(child, "safe_stopping")
    gate.opened = True
    assert await handle.wait() == SafeStopped({}, ("it",))
    assert "second" not in await started(handle)


async def test_new_values_reach_nodes_and_items_that_start_later(bench: Bench, gate: Gate) -> None:
    inner = body(begin("s"), code("c", "start.n"), finish("e", n="c.n"))
    schema = chain(
        "updated", start("n", "list"), http("h", f"{gate.url}/wait"),
        iteration("it", "start.list", inner), text("t", "{{ v }}", of="start.n"),
        end(out="it.out", t="t.output"),
    )  # fmt: skip
    handle = await bench.start(schema, {"n": 1, "list": [1]})
    await gate.entered()
    with pytest.raises(InputError):
        await handle.update_variables({"": 1})
    await handle.update_variables({"start.n": 41, "start:list": [1, 2]})
    assert (await handle.variables("start"))["n"] == 41
    gate.opened = True
    assert await handle.wait() == Completed({"out": [{"n": 42}, {"n": 42}], "t": "41"})
    told = next(e for e in await read(handle) if e.type == "debug_variable_snapshot")
    assert told.data == {"data": {"updated": ["start.n", "start.list"]}}


@pytest.mark.parametrize(("most", "wanted"), [(1, 1), (2, 2), (0, 4)])
async def test_never_more_nodes_run_than_the_run_allows(
    bench: Bench, gate: Gate, most: int, wanted: int
) -> None:
    names = [f"h{i}" for i in range(4)]
    schema = graph(
        "crowd",
        [start(), *(http(name, f"{gate.url}/wait") for name in names), end()],
        *(f"start > {name}" for name in names), *(f"{name} > end" for name in names),
    )  # fmt: skip
    config = EngineConfig(max_concurrency=most)
    handle = await bench.start(schema, config=config)
    await gate.entered(wanted)
    assert len([n for n in await started(handle) if n != "start"]) == wanted
    gate.opened = True
    assert await handle.wait() == Completed({})
    assert gate.most == wanted


async def test_values_that_no_message_holds_are_refused_and_the_run_goes_on(
    bench: Bench, gate: Gate
) -> None:
    schema = chain("large", start("n"), http("h", f"{gate.url}/wait"), end(n="start.n"))
    handle = await bench.start(schema, {"n": 1})
    await gate.entered(1)
    with pytest.raises(InputError, match="has 3000014 bytes, and an update has 1900000 at most"):
        await handle.update_variables({"start.n": "x" * 3_000_000})
    gate.opened = True
    assert await handle.wait() == Completed({"n": 1})


async def test_commands_for_a_run_that_has_ended_are_refused(bench: Bench) -> None:
    handle = await bench.start(chain("short", start(), end()))
    await handle.wait()
    for command in (handle.pause(), handle.resume(), handle.safe_stop(), handle.abort("x"),
                    handle.update_variables({"a.b": 1})):  # fmt: skip
        with pytest.raises(InputError, match="is over"):
            await command
