"""A reader of the history sees exactly what the workflow emitted: ids, order and times."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from temporalio.service import RPCError

from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    FAIL_BRANCH,
    SPIN,
    chain,
    choice,
    code,
    end,
    first_of,
    graph,
    handler,
    http,
    node,
    retries,
    start,
    text,
)
from tests.workflows.recording import Recording
from xworkflow.client.status import Failed, Stopped
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.schema import ConversationVariable, ErrorStrategy, WorkflowSchema
from xworkflow.domain.wire import MockNode
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def web() -> Iterator[str]:
    """``/ok`` answers, ``/broken`` never does well, ``/third`` does at the third call."""
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/broken", response_status=500),
        MockResponse("GET", "/third", response_status=503, expect=2),
        MockResponse("GET", "/third", response_body="at last"),
        MockResponse("GET", "/slow", delay_secs=30),
    )
    with MockServer(responses) as server:
        yield server.url


@dataclass
class Shape:
    """A graph over a web server, and how it is started."""

    draw: Callable[[str], WorkflowSchema]
    inputs: dict[str, Any] = field(default_factory=lambda: {"n": 1})
    options: dict[str, Any] = field(default_factory=dict[str, Any])
    mocks: dict[str, MockNode] = field(default_factory=dict[str, MockNode])


def _broken(web: str, id_: str = "h", **parts: Any) -> Any:
    return http(id_, f"{web}/broken", fail_on_error_status=True, **parts)


def _parallel(web: str) -> WorkflowSchema:
    fetches = [http(f"h{i}", f"{web}/ok") for i in range(5)]
    joined = text("join", "{{ v }}", of="h0.body")
    drawn = [f"start > {f.id}" for f in fetches] + [f"{f.id} > join" for f in fetches]
    nodes = [start("n"), *fetches, joined, end(o="join.output")]
    return graph("parallel", nodes, *drawn, "join > end")


def _mixed(web: str) -> WorkflowSchema:
    """Regions, activities and timers side by side, joined twice."""
    nodes = [
        start("n"),
        code("c1"),
        http("h1", f"{web}/third", fail_on_error_status=True, retry=retries(3, 40)),
        code("c2", "c1.n"),
        http("h2", f"{web}/ok"),
        first_of("any", "h1.body", "h2.body"),
        code("c3", "c2.n"),
        end(o="c3.n", b="any.output"),
    ]
    return graph(
        "mixed", nodes,
        "start > c1", "start > h1", "start > h2", "c1 > c2",
        "h1 > any", "h2 > any", "any > c3", "c2 > c3", "c3 > end",
    )  # fmt: skip


def _branches(_web: str) -> WorkflowSchema:
    nodes = [
        start("q"),
        choice("which", "start.q", "left"),
        code("l", "start.q", script="function main({ n }) { return { n } }"),
        text("r", "right"),
        first_of("join", "l.n", "r.output"),
        end(o="join.output"),
    ]
    return graph(
        "branches", nodes,
        "start > which", "which:yes > l", "which:false > r", "l > join", "r > join", "join > end",
    )  # fmt: skip


def _fail_branch(web: str) -> WorkflowSchema:
    nodes = [
        start("n"),
        _broken(web, strategy=FAIL_BRANCH),
        code("c"),
        text("sorry", "sorry: {{ v }}", of="h.error_type"),
        end(o="sorry.output"),
    ]
    drawn = ("start > h", "h:success-branch > c", "h:fail-branch > sorry", "sorry > end")
    return graph("fail branch", nodes, *drawn, "c > end")


def _counter(web: str) -> WorkflowSchema:
    """Writes a conversation variable between regions."""
    add = node(
        "add", "assigner", assigned_variable_selector=["conversation", "seen"],
        input_variable_selector=["c1", "n"], write_mode="append",
    )  # fmt: skip
    nodes = [start("n"), code("c1"), add, code("c2", "c1.n"), http("h", f"{web}/ok"), end(o="c2.n")]
    drawn = chain("assigner", *nodes)
    return drawn.model_copy(
        update={
            "conversation_variables": (
                ConversationVariable(name="seen", type="array", default=[0]),
            )
        }
    )


def _handled(mode: str, *body: Any) -> Callable[[str], WorkflowSchema]:
    def draw(web: str) -> WorkflowSchema:
        nodes = body or (start(), code("hc", "sys.n", script="function main() { return { a: 1 } }"))
        return chain(
            "handled", start("n"), code("c"), _broken(web), end(),
            handler=handler(mode, *nodes, end(saved="sys.error_node_id")),
        )  # fmt: skip

    return draw


FAILING_HANDLER = (start(), code("hc", "sys.n", script="function main() { throw Error('no') }"))

SHAPES = {
    "inline": Shape(
        lambda _: chain("inline", start("n"), text("t", "{{ v }}", of="start.n"), end(o="t.output"))
    ),
    "code": Shape(
        lambda _: chain("code", start("n"), code("a"), code("b", "a.n"), end(o="b.n"))
    ),
    "left branch": Shape(_branches, {"q": "left"}),
    "right branch": Shape(_branches, {"q": "right"}),
    "parallel http": Shape(_parallel),
    "one at a time": Shape(_parallel, options={"config": EngineConfig(parallel_enabled=False)}),
    "retry timers, regions and http": Shape(_mixed),
    "retry without a wait": Shape(
        lambda web: chain(
            "now", start("n"),
            http("h", f"{web}/third", fail_on_error_status=True, retry=retries(2, 0)), end(),
        )
    ),
    "retried code": Shape(
        lambda _: chain(
            "retried", start("n"),
            code("c", script="function main() { throw Error('x') }",
                 retry=retries(2, 30, retry_on_retryable_only=False)), end(),
        )
    ),
    "failed node": Shape(lambda web: chain("failed", start("n"), code("c"), _broken(web), end())),
    "failed beside running ones": Shape(
        lambda web: graph(
            "failed", [start("n"), _broken(web), http("s", f"{web}/slow"), end()],
            "start > h", "start > s", "h > end", "s > end",
        )
    ),
    "fail branch": Shape(_fail_branch),
    "default value": Shape(
        lambda web: chain(
            "default", start("n"),
            _broken(web, strategy=ErrorStrategy(type="default-value", default_value={"body": "d"})),
            end(o="h.body"),
        )
    ),
    "recovering handler": Shape(_handled("recover")),
    "notified handler": Shape(_handled("notify")),
    "failing handler": Shape(_handled("recover", *FAILING_HANDLER)),
    "too many steps": Shape(
        lambda web: chain("steps", start("n"), http("h", f"{web}/ok"), code("c"), end()),
        options={"config": EngineConfig(max_steps=2)},
    ),
    "assigner": Shape(_counter),
    "handed over": Shape(
        lambda web: chain("over", start("n"), code("c", script=SPIN), http("h", f"{web}/ok"), end())
    ),
    "mocked": Shape(
        lambda web: chain("mocked", start("n"), _broken(web), end(o="h.body")),
        mocks={"h": MockNode(outputs={"body": "from the test"})},
    ),
    "fixed time and ids": Shape(
        _mixed, options={"fixed_timestamp": 1_700_000_000, "fake_id_prefix": "id"}
    ),
    "continued as new": Shape(
        lambda web: chain(
            "long", start("n"), *(http(f"h{i}", f"{web}/ok") for i in range(12)), code("c"), end()
        ),
        options={"continue_as_new_after_events": 30},
    ),
    "continued with waits": Shape(_mixed, options={"continue_as_new_after_events": 8}),
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("cached", [1000, 0], ids=["cached", "replayed each time"])
async def test_a_reader_sees_what_the_workflow_emitted(
    idle_bench: Bench, recording: Recording, web: str, name: str, cached: int
) -> None:
    shape = SHAPES[name]
    async with idle_bench.worker(max_cached_workflows=cached):
        handle = await idle_bench.start(
            shape.draw(web), shape.inputs, mocks=shape.mocks, **shape.options
        )
        followed = await read(handle, follow=True)
    afterwards = await read(handle)  # the worker has gone
    emitted = recording.of(handle.execution_id)
    assert [event.seq for event in emitted] == list(range(len(emitted)))
    assert followed == emitted
    assert afterwards == emitted


@pytest.fixture
def governed(idle_bench: Bench) -> Bench:
    """A bench of a named group, whose runs ask for admission."""
    group = RuntimeGroup.builder().group_id("tenant").quota(ResourceQuota(max_steps=3)).build()
    return Bench(idle_bench.client, idle_bench.queue, group)


@pytest.mark.parametrize("cached", [1000, 0], ids=["cached", "replayed each time"])
@pytest.mark.parametrize("admitted", [True, False], ids=["admitted", "over its limit"])
async def test_a_run_of_a_named_group_reads_as_it_was(
    governed: Bench, recording: Recording, cached: int, admitted: bool
) -> None:
    nodes = [code("c")] if admitted else [code("c"), code("d", "c.n"), code("e", "d.n")]
    schema = chain("governed", start("n"), *nodes, end(o="c.n"))
    async with governed.worker(max_cached_workflows=cached):
        handle = await governed.start(schema, {"n": 1})
        followed = await read(handle, follow=True)
    assert followed == recording.of(handle.execution_id)
    assert await read(handle) == followed
    assert followed[-1].type == ("graph_run_succeeded" if admitted else "graph_run_failed")
    await governed.group.aclose()


@pytest.mark.parametrize("cached", [1000, 0], ids=["cached", "replayed each time"])
@pytest.mark.parametrize("mode", [None, "recover", "notify"])
async def test_a_stopped_run_reads_as_it_was(
    idle_bench: Bench, recording: Recording, web: str, cached: int, mode: str | None
) -> None:
    body = handler(mode, start(), code("hc", "sys.n"), end(a="hc.n")) if mode else None
    schema = chain("stopped", start("n"), http("h", f"{web}/slow"), end(), handler=body)
    async with idle_bench.worker(max_cached_workflows=cached):
        handle = await idle_bench.start(schema, {"n": 1})
        events = handle.events()
        followed = [await anext(events) for _ in range(4)]
        assert followed[-1].data["node_id"] == "h"
        await handle.cancel()
        followed += [event async for event in events]
    assert followed == recording.of(handle.execution_id)
    assert await read(handle) == followed
    assert "graph_run_aborted" in [event.type for event in followed]


@pytest.mark.parametrize("group_id", [None, "tenant"])
async def test_a_run_that_was_stopped_before_a_worker_came_reads_as_it_was(
    idle_bench: Bench, recording: Recording, web: str, group_id: str | None
) -> None:
    bench = Bench(idle_bench.client, idle_bench.queue, RuntimeGroup(group_id=group_id))
    handle = await bench.start(chain("early", start("n"), http("h", f"{web}/slow"), end()))
    await handle.cancel()
    assert await read(handle) == []
    async with bench.worker():
        assert await handle.wait() == Stopped("cancelled")
    assert await read(handle) == recording.of(handle.execution_id)
    assert (await read(handle))[-1].type == "graph_run_aborted"
    await bench.group.aclose()


@pytest.mark.parametrize("ending", ["cancel", "terminate"])
async def test_an_error_handler_that_somebody_ended_reads_as_it_was(
    idle_bench: Bench, recording: Recording, web: str, ending: str
) -> None:
    body = handler("recover", start(), http("slow", f"{web}/slow"), end())
    schema = chain("ended", start("n"), _broken(web), end(), handler=body)
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"n": 1})
        events = handle.events()
        followed = [await anext(events)]
        while followed[-1].type != "error_handler_started":
            followed.append(await anext(events))
        child = idle_bench.client.get_workflow_handle(f"{handle.execution_id}/error-handler")
        while not await _exists(child):
            await asyncio.sleep(0.01)
        await getattr(child, ending)()
        followed += [event async for event in events]
    assert followed == recording.of(handle.execution_id)
    assert followed[-1].type == "error_handler_failed"
    assert followed[-1].data["error"].startswith("Sub-graph execution failed: it was")


async def test_an_error_handler_that_was_stopped_before_it_began_reads_as_it_was(
    idle_bench: Bench, recording: Recording, web: str
) -> None:
    """One workflow task brings the failure and the stop."""
    body = handler("recover", start(), http("slow", f"{web}/slow"), end())
    schema = chain("ended", start("n"), http("h", web), end(), handler=body)
    handle = await idle_bench.start(schema, {"n": 1}, mocks={"h": MockNode(error="no")})
    await handle.cancel()
    async with idle_bench.worker():
        assert isinstance(await handle.wait(), Failed)
    read_again = await read(handle)
    assert read_again == recording.of(handle.execution_id)
    assert read_again[-1].data == {"error": "Sub-graph execution failed: it was cancelled"}


async def test_nodes_whose_names_look_like_attempts_are_told_apart(
    idle_bench: Bench, recording: Recording, web: str
) -> None:
    """``a`` at its second attempt and ``a#2`` run at the same time."""
    again = http("a", f"{web}/third", fail_on_error_status=True, retry=retries(3, 0))
    twin = http("a#2", f"{web}/third", fail_on_error_status=True, retry=retries(3, 0))
    schema = graph(
        "twins", [start("n"), again, twin, end(o="a.body")],
        "start > a", "start > a#2", "a > end", "a#2 > end",
    )  # fmt: skip
    async with idle_bench.worker():
        handle = await idle_bench.start(schema, {"n": 1})
        followed = await read(handle, follow=True)
    assert followed == recording.of(handle.execution_id)
    assert followed[-1].type == "graph_run_succeeded"


async def test_a_reader_may_begin_after_any_event(idle_bench: Bench, web: str) -> None:
    async with idle_bench.worker():
        handle = await idle_bench.start(_mixed(web), {"n": 1})
        whole = await read(handle, follow=True)
    for seen in range(len(whole) + 1):
        cursor = whole[seen - 1].cursor if seen else ""
        tail = [event async for event in handle.events(after=cursor, follow=False)]
        assert tail == whole[seen:]


async def _exists(child: Any) -> bool:
    try:
        await child.describe()
    except RPCError:
        return False
    return True
