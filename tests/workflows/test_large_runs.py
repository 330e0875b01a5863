"""Runs larger than one task, one message or one history would hold (benchmarks/large.py has the
figures of larger ones)."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
from temporalio.client import Client, WorkflowHistory

from tests.texts import noise
from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import (
    begin,
    body,
    chain,
    code,
    end,
    finish,
    graph,
    http,
    iteration,
    loop,
    node,
    retries,
    start,
    text,
)
from tests.workflows.replaying import replay
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.schema import ErrorStrategy
from xworkflow.engine.sub_graphs import NODES_AT_ONCE, NODES_IN_A_HISTORY
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = [pytest.mark.temporal, pytest.mark.slow, pytest.mark.timeout(300)]


class Uneven(MockServer):
    """Answers the first item when it has heard of all the others."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self._others = count - 1
        self._heard = threading.Semaphore(0)

    def answer(self, request: ReceivedRequest) -> MockResponse:
        if request.path != "/0":
            self._heard.release()
        else:
            for _ in range(self._others):
                self._heard.acquire(timeout=30)
        return MockResponse("GET", request.path, response_body=request.path[1:])


class Echo(MockServer):
    def answer(self, request: ReceivedRequest) -> MockResponse:
        return MockResponse("GET", request.path, response_body=request.path[1:])


@pytest.fixture
def bench(watched_bench: Bench) -> Bench:
    return watched_bench


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


async def test_thousands_of_items_finish_in_order_and_the_parent_stays_small(
    idle_bench: Bench,
) -> None:
    inner = body(begin("s"), code("c", "item"), finish("e", n="c.n"))
    drawn = iteration("it", "start.list", inner, parallel=True, max_iterations=2_000)
    schema = chain("many", start("list"), drawn, end(out="it.out"))
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"list": list(range(2_000))})
        status = await handle.wait()
    assert status == Completed({"out": [{"n": n + 1} for n in range(2_000)]})
    assert kinds(await history(handle, idle_bench.client)).total() < 1_000


async def test_slow_items_by_the_hundred_keep_the_parent_small(
    idle_bench: Bench, echo: Echo
) -> None:
    inner = body(begin("s"), http("h", f"{echo.url}/{{{{#item#}}}}"), finish("e", n="h.body"))
    drawn = iteration("it", "start.list", inner, parallel=True)
    schema = chain("many", start("list"), drawn, end(out="it.out"))
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"list": list(range(200))})
        status = await handle.wait()
    assert status == Completed({"out": [{"n": str(n)} for n in range(200)]})
    assert kinds(await history(handle, idle_bench.client)).total() < 1_000


async def test_a_free_place_always_takes_the_next_item(bench: Bench) -> None:
    """Two at a time: all other items go through one place while the first holds the other."""
    with Uneven(30) as server:
        inner = body(
            begin("s"),
            http("h", f"{server.url}/{{{{#index#}}}}", timeout=60),
            finish("e", n="h.body"),
        )
        drawn = iteration("it", "start.list", inner, parallel=True, parallelism=2)
        schema = chain("uneven", start("list"), drawn, end(out="it.out"))
        handle = await bench.start(schema, {"list": [0] * 30})
        status = await handle.wait()
    assert status == Completed({"out": [{"n": str(n)} for n in range(30)]})


async def test_results_larger_than_one_message_arrive(idle_bench: Bench) -> None:
    """Twenty times 300 KB: chunks end early, and so do regions."""
    script = (
        "function main({ n }) { let s = '';"
        " while (s.length < 300000) s += Math.random().toString(36); return { n: s } }"
    )
    inner = body(begin("s"), code("c", "item", script=script), finish("e", n="c.n"))
    schema = chain("large", start("list"), iteration("it", "start.list", inner, parallel=True),
                   node("len", "list-operator", operation="length", input_selector=["it", "out"],
                        output_variable="out"), end(out="len.out"))  # fmt: skip
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"list": list(range(20))})
        assert await handle.wait() == Completed({"out": 20})


async def test_a_result_that_no_message_holds_fails_its_node_and_keeps_the_run_going(
    idle_bench: Bench,
) -> None:
    """5 MB are not sent at all: without an answer the run would wait, and ask again, for ever."""
    deep = "function main() { let o = 1; for (let i = 0; i < 198; i++) o = { o }; return { o } }"
    answer = MockResponse("GET", "/large", response_body="x" * 5_000_000)
    with MockServer((answer,)) as server:
        fetched = chain("fetched", start(), http("h", f"{server.url}/large"), end(o="h.body"))
        scripted = chain("scripted", start(), code("c", script=deep), end(o="c.o"))
        async with idle_bench.worker():
            large = await (await idle_bench.start(fetched)).wait()
            nested = await (await idle_bench.start(scripted)).wait()
    assert "Output too large for node h (max 1769472 bytes, got 5000" in str(large)
    assert "the result is nested too deeply" in str(nested)


LARGE = "function main() { return { a: 'x'.repeat(900000) } }"


async def test_what_nodes_give_together_may_be_larger_than_a_message(bench: Bench) -> None:
    """Six markers of 900 KB in one workflow task would be refused, and made again, for ever."""
    codes = [code(f"c{n}", script=LARGE) for n in range(6)]
    length = node("len", "list-operator", operation="length", input_selector=["start", "list"],
                  output_variable="out")  # fmt: skip
    schema = chain("together", start("n", "list"), *codes, length, end(out="len.out"))
    handle = await bench.start(schema, {"n": 1, "list": [1, 2]})
    assert await handle.wait() == Completed({"out": 2})


async def test_a_run_that_would_have_to_say_too_much_at_once_fails(bench: Bench) -> None:
    codes = [code(f"c{n}", script=LARGE) for n in range(5)]
    outputs = {f"o{n}": f"c{n}.a" for n in range(5)}
    told = await (await bench.start(chain("said", start("n"), *codes, end(**outputs)))).wait()
    assert "The outputs of the run are too large (max 2096128 bytes, got 450" in str(told)
    with MockServer() as server:
        body = {"type": "raw_text", "data": "".join(f"{{{{#c{n}.a#}}}}" for n in range(5))}
        asks = node("h", "http-request", method="POST", url=server.url, body=body)
        schema = chain("sent", start("n"), *codes, asks, end(o="h.status_code"))
        told = await (await bench.start(schema)).wait()
    assert "What goes to node h is too large" in str(told)


@pytest.fixture
def noisy() -> Iterator[MockServer]:
    responses = (
        MockResponse("GET", "/noise", response_body=noise(1_400_000)),
        MockResponse("GET", "/less", response_body=noise(600_000)),
        MockResponse("POST", "/busy", response_status=500),
        MockResponse("POST", "/", response_body="fine"),
    )
    with MockServer(responses) as server:
        yield server


async def test_a_large_value_goes_into_more_sub_graphs_than_a_message_holds(
    bench: Bench, noisy: MockServer
) -> None:
    length = "function main({ n }) { return { n: n.length } }"
    inner = body(begin("s"), code("c", "h.body", script=length),
                 http("x", f"{noisy.url}/", method="POST"), finish("e", n="c.n"))  # fmt: skip
    drawn = iteration("it", "start.list", inner, parallel=True, parallelism=10)
    schema = chain("wide", start("list"), http("h", f"{noisy.url}/less"), drawn, end(o="it.out"))
    handle = await bench.start(schema, {"list": list(range(10))})
    assert await handle.wait() == Completed({"o": [{"n": 600_000}] * 10})
    events = await history(handle, bench.client)
    await replay(WorkflowHistory(handle.execution_id, events))
    seen = kinds(events)
    assert seen["start_child_workflow_execution_initiated"] == 10
    assert seen["timer_started"] == seen["timer_fired"] >= 1


async def test_a_large_value_goes_to_more_nodes_than_a_message_holds_and_retries_wait_their_time(
    bench: Bench, noisy: MockServer
) -> None:
    sent = {"type": "raw_text", "data": "{{#h.body#}}"}
    busy = http("n0", f"{noisy.url}/busy", method="POST", body=sent, retry=retries(1, 30),
                fail_on_error_status=True, strategy=ErrorStrategy(type="default-value",
                default_value={"body": "instead"}))  # fmt: skip
    nodes = [http(f"n{n}", f"{noisy.url}/", method="POST", body=sent) for n in (1, 2, 3)]
    names = [f"n{n}" for n in range(4)]
    schema = graph(
        "fan", [start("n"), http("h", f"{noisy.url}/noise"), busy, *nodes,
                end(**{name: f"{name}.body" for name in names})],
        "start > h", *(f"h > {name}" for name in names), *(f"{name} > end" for name in names),
    )  # fmt: skip
    handle = await bench.start(schema, {"n": 1})
    expected = {"n0": "instead", "n1": "fine", "n2": "fine", "n3": "fine"}
    assert await handle.wait() == Completed(expected, exceptions=1)
    (retry,) = [e for e in await read(handle) if e.type == "node_run_retry"]
    assert retry.data["node_id"] == "n0"
    await replay(WorkflowHistory(handle.execution_id, await history(handle, bench.client)))


async def test_a_run_is_stopped_while_nodes_wait_for_a_message_of_their_own(
    bench: Bench, noisy: MockServer
) -> None:
    sent = {"type": "raw_text", "data": "{{#h.body#}}"}
    nodes = [http(f"n{n}", f"{noisy.url}/", method="POST", body=sent) for n in range(3)]
    broken = code("broken", "start.n", script="function main() { throw new Error('no') }")
    schema = graph(
        "fan", [start("n"), http("h", f"{noisy.url}/noise"), *nodes, broken, end(o="n0.body")],
        "start > h", *(f"h > n{n}" for n in range(3)), *(f"n{n} > end" for n in range(3)),
        "h > broken", "broken > end",
    )  # fmt: skip
    told = await (await bench.start(schema, {"n": 1})).wait()
    assert isinstance(told, Failed)
    assert told.node_id == "broken"


async def test_a_sub_graph_that_would_take_more_than_a_message_along_fails_its_run(
    bench: Bench, noisy: MockServer
) -> None:
    inner = body(begin("s"), text("a", "{{ v }}", of="h1.status_code"),
                 code("c", "h0.body"), code("d", "h1.body"), finish("e", n="a.output"))  # fmt: skip
    pages = [http(f"h{n}", f"{noisy.url}/noise") for n in range(2)]
    schema = chain("deep", start("list"), *pages, iteration("it", "start.list", inner),
                   end(o="it.out"))  # fmt: skip
    told = await (await bench.start(schema, {"list": [1]})).wait()
    assert "What goes into the sub-graph of node it is too large (max 2096128" in str(told)


async def test_thousands_of_rounds_of_nothing_but_inline_nodes_do_not_stall_the_worker(
    bench: Bench,
) -> None:
    """A round is over at once; all of them are more than one workflow task may take, and more than
    a worker may have to replay within one."""
    inner = body(
        begin("s"), node("t", "template-transform", template="x", variables=[]),
        finish("e", t="t.output"),
    )  # fmt: skip
    drawn = loop("lo", 1, inner, max_iterations=3_000)
    handle = await bench.start(chain("rounds", start(), drawn, end()))
    assert "Max iterations 3000 exceeded" in str(await handle.wait())
    told = await breaths(bench.client, f"{handle.execution_id}/lo:0")
    assert sum(told) >= 3_000 * 3 // NODES_AT_ONCE - len(told)
    assert max(told) <= NODES_IN_A_HISTORY // NODES_AT_ONCE + 1


async def breaths(client: Client, workflow_id: str) -> list[int]:
    """How many there were in each history, the newest one first."""
    found: list[int] = []
    run_id: str | None = None
    while run_id != "":
        told = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        found.append(kinds(list(told.events))["marker_recorded"])
        began = told.events[0].workflow_execution_started_event_attributes
        run_id = began.continued_execution_run_id
    return found
