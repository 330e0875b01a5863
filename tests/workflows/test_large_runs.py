"""Runs larger than one history or one payload would hold, and how they share their time."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator

import pytest

from tests.workflows.bench import Bench, history, kinds
from tests.workflows.drawing import (
    begin,
    body,
    chain,
    code,
    end,
    finish,
    http,
    iteration,
    loop,
    node,
    start,
)
from tests.workflows.recording import recording, watched_bench
from xworkflow.client.status import Completed
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = [pytest.mark.temporal, pytest.mark.slow, pytest.mark.timeout(300)]

__all__ = ["recording", "watched_bench"]  # fixtures


class Uneven(MockServer):
    """The first item takes ten seconds, each other a tenth of one."""

    def answer(self, request: ReceivedRequest) -> MockResponse:
        secs = 10.0 if request.path == "/0" else 0.1
        return MockResponse("GET", request.path, response_body=request.path[1:], delay_secs=secs)


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


def told(text: str) -> None:
    sys.stdout.write(f"{text}\n")


async def test_ten_thousand_items_finish_in_order_and_the_parent_stays_small(
    idle_bench: Bench,
) -> None:
    inner = body(begin("s"), code("c", "item"), finish("e", n="c.n"))
    drawn = iteration("it", "start.list", inner, parallel=True, max_iterations=10_000)
    schema = chain("many", start("list"), drawn, end(out="it.out"))
    async with idle_bench.worker():
        began = time.monotonic()
        handle = await idle_bench.start(schema, {"list": list(range(10_000))})
        status = await handle.wait()
        took = time.monotonic() - began
    assert status == Completed({"out": [{"n": n + 1} for n in range(10_000)]})
    events = kinds(await history(handle, idle_bench.client))
    told(f"10,000 items: {took:.1f} s, {events.total()} events of the parent")
    assert events.total() < 2_000


async def test_slow_items_by_the_hundred_keep_the_parent_small(
    idle_bench: Bench, echo: Echo
) -> None:
    inner = body(begin("s"), http("h", f"{echo.url}/{{{{#item#}}}}"), finish("e", n="h.body"))
    drawn = iteration("it", "start.list", inner, parallel=True, max_iterations=10_000)
    schema = chain("many", start("list"), drawn, end(out="it.out"))
    async with idle_bench.worker():
        began = time.monotonic()
        handle = await idle_bench.start(schema, {"list": list(range(500))})
        status = await handle.wait()
        took = time.monotonic() - began
    assert status == Completed({"out": [{"n": str(n)} for n in range(500)]})
    events = kinds(await history(handle, idle_bench.client))
    told(f"500 requests: {took:.1f} s, {events.total()} events of the parent")
    assert events.total() < 2_000


async def test_a_free_place_always_takes_the_next_item(bench: Bench) -> None:
    """A hundred items, two at a time, the first of ten seconds: eleven seconds, not fifteen."""
    with Uneven() as server:
        inner = body(
            begin("s"),
            http("h", f"{server.url}/{{{{#index#}}}}", timeout=30),
            finish("e", n="h.body"),
        )
        drawn = iteration("it", "start.list", inner, parallel=True, parallelism=2)
        schema = chain("uneven", start("list"), drawn, end(out="it.out"))
        began = time.monotonic()
        handle = await bench.start(schema, {"list": [0] * 100})
        status = await handle.wait()
        took = time.monotonic() - began
    assert status == Completed({"out": [{"n": str(n)} for n in range(100)]})
    told(f"100 items, two at a time, the first of 10 s: {took:.1f} s")
    assert took < 14


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


async def test_thousands_of_rounds_of_nothing_but_inline_nodes_do_not_stall_the_worker(
    bench: Bench,
) -> None:
    """A round is over at once; ten thousand of them are more than one workflow task may take."""
    inner = body(
        begin("s"), node("t", "template-transform", template="x", variables=[]),
        finish("e", t="t.output"),
    )  # fmt: skip
    drawn = loop("lo", 1, inner, max_iterations=20_000)
    schema = chain("rounds", start(), drawn, end())
    began = time.monotonic()
    handle = await bench.start(schema)
    status = await handle.wait()
    told(f"20,000 rounds: {time.monotonic() - began:.1f} s, {status}")
    assert "Max iterations 20000 exceeded" in str(status)
