"""Iteration, loop and list operators on Temporal: what spec/graph.md 7 says, and what it lets out.

The bodies' own error strategies, retries and time limits work; the reference ignores them.
"""

from __future__ import annotations

import time
from collections import Counter
from typing import Any

import pytest

from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import (
    FAIL_BRANCH,
    begin,
    body,
    chain,
    choice,
    code,
    end,
    finish,
    first_of,
    gather,
    graph,
    http,
    iteration,
    listed,
    loop,
    node,
    retries,
    start,
    text,
)
from xworkflow.client.status import Completed, Failed
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.schema import ErrorStrategy, NodeSpec
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


THROWS_ON_TWO = "function main({ n }) { if (n === 2) throw new Error('two'); return { n: n * 10 } }"
ODD = "function main({ n }) { return { odd: n % 2 === 1 } }"


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    return (
        MockResponse("GET", "/1", response_body="one"),
        MockResponse("GET", "/2", response_status=500, response_body="busy"),
        MockResponse("GET", "/2", response_body="two"),
        MockResponse("GET", "/never", response_status=500),
        MockResponse("GET", "/soon", response_body="soon", delay_secs=0.2),
    )


@pytest.fixture
def bench(watched_bench: Bench) -> Bench:
    return watched_bench


def times_ten(**parts: Any) -> dict[str, Any]:
    return body(begin("s"), code("c", "item", script=THROWS_ON_TWO, **parts), finish("e", n="c.n"))


@pytest.mark.parametrize("parallel", [False, True])
@pytest.mark.parametrize(
    ("mode", "wanted"),
    [
        ("remove_abnormal", [{"n": 10}, {"n": 30}]),
        ("continue_on_error", [{"n": 10}, None, {"n": 30}]),
        ("terminated", None),
    ],
)
async def test_each_error_mode(bench: Bench, mode: str, wanted: Any, *, parallel: bool) -> None:
    drawn = iteration("it", "start.list", times_ten(), error_handle_mode=mode, parallel=parallel)
    handle = await bench.start(chain("modes", start("list"), drawn, end(out="it.out")),
                               {"list": [1, 2, 3]})  # fmt: skip
    status = await handle.wait()
    if wanted is not None:
        assert status == Completed({"out": wanted})
        return
    assert isinstance(status, Failed)
    assert status.node_id == "it"
    assert "Sub-graph execution failed: Node execution error: node=c" in status.message


async def test_strategies_and_retries_of_nodes_in_bodies_work(
    bench: Bench, web: MockServer
) -> None:
    inner = body(
        begin("s"),
        http("h", f"{web.url}/{{{{#item#}}}}", fail_on_error_status=True, retry=retries(1, 10)),
        http("f", f"{web.url}/never", fail_on_error_status=True, strategy=FAIL_BRANCH),
        text("good", "good"), text("bad", "bad"),
        http("d", f"{web.url}/never", fail_on_error_status=True,
             strategy=ErrorStrategy(type="default-value", default_value={"body": "instead"})),
        first_of("join", "good.output", "bad.output"),
        finish("e", h="h.body", f="join.output", d="d.body"),
        drawn=("s > h", "h > f", "f > good", "f:fail-branch > bad", "good > join", "bad > join",
               "join > d", "d > e"),
    )  # fmt: skip
    schema = chain("strategies", start("list"), iteration("it", "start.list", inner),
                   end(out="it.out"))  # fmt: skip
    handle = await bench.start(schema, {"list": [1, 2]})
    wanted = [{"h": name, "f": "bad", "d": "instead"} for name in ("one", "two")]
    assert await handle.wait() == Completed({"out": wanted}, exceptions=4)
    events = await read(handle)
    (retry,) = [e for e in events if e.type == "node_run_retry"]
    assert (retry.data["node_id"], retry.data["iteration_index"]) == ("h", 1)
    assert sum(e.type == "node_run_exception" for e in events) == 4
    assert events[-1].type == "graph_run_partial_succeeded"


async def test_time_limits_of_nodes_in_bodies_and_of_containers_hold(
    bench: Bench, web: MockServer
) -> None:
    inner = body(begin("s"), http("h", f"{web.url}/slow", timeout_secs=0.3), finish("e"))
    drawn = iteration("it", "start.list", inner, error_handle_mode="continue_on_error")
    handle = await bench.start(chain("inner", start("list"), drawn, end(out="it.out")),
                               {"list": [1]})  # fmt: skip
    assert await handle.wait() == Completed({"out": [None]})
    (failed,) = [e for e in await read(handle) if e.type == "node_run_failed"]
    assert failed.data["error"] == "Node execution timed out after 0.3s"

    inner = body(begin("s"), http("h", f"{web.url}/slow"), finish("e"))
    limited = iteration("it", "start.list", inner).model_copy(update={"timeout_secs": 0.5})
    began = time.monotonic()
    handle = await bench.start(chain("outer", start("list"), limited, end()), {"list": [1, 2]})
    status = await handle.wait()
    assert isinstance(status, Failed)
    assert status.message.endswith("error=Node execution timed out after 0.5s")
    assert time.monotonic() - began < 5


async def test_a_failure_stops_its_siblings_at_once(bench: Bench, web: MockServer) -> None:
    inner = body(
        begin("s"),
        http("h", f"{web.url}/{{{{#item#}}}}", fail_on_error_status=True),
        finish("e"),
    )
    drawn = iteration("it", "start.list", inner, parallel=True)
    began = time.monotonic()
    handle = await bench.start(chain("fails", start("list"), drawn, end()),
                               {"list": ["slow", "never", "slow", "slow"]})  # fmt: skip
    assert isinstance(await handle.wait(), Failed)
    for number in (0, 1, 2, 3):
        child = bench.client.get_workflow_handle(f"{handle.execution_id}/it:{number}")
        while (await child.describe()).close_time is None:
            assert time.monotonic() - began < 5


async def test_containers_nest_and_see_what_is_around_them(bench: Bench) -> None:
    """An inner item hides the outer one in its own body only."""
    add = "function main({ n, m }) { return { n: n + m } }"
    summed = body(
        begin("s3"),
        node("c", "code", code=add, variables=[
            {"variable": "n", "value_selector": ["loop", "n"]},
            {"variable": "m", "value_selector": ["__scope__", "item"]},
        ]),
        finish("e3", n="c.n"),
    )  # fmt: skip
    inner = body(begin("s2"), loop("lo", 10, summed), finish("e2", value="lo.out"))
    outer = body(
        begin("s1"), listed("li", "map", "item", inner), text("t", "{{ v }}", "item"),
        finish("e1", out="li.out", item="t.output"),
    )  # fmt: skip
    schema = chain("nests", start("lists"), iteration("it", "start.lists", outer),
                   end(out="it.out"))  # fmt: skip
    handle = await bench.start(schema, {"lists": [[3, 10], [7]]})
    assert await handle.wait() == Completed(
        {"out": [{"out": [{"n": 12}, {"n": 10}], "item": "[3, 10]"},
                 {"out": [{"n": 14}], "item": "[7]"}]}
    )  # fmt: skip
    paths = [e.data["path"] for e in await read(handle) if e.type == "loop_started"]
    assert paths == [
        [["it", 0], ["li", 0]], [["it", 0], ["li", 1]], [["it", 1], ["li", 0]],
    ]  # fmt: skip


@pytest.mark.parametrize("parallel", [False, True])
async def test_filter_keeps_the_order(bench: Bench, *, parallel: bool) -> None:
    inner = body(begin("s"), code("c", "item", script=ODD), finish("e", keep="c.odd"))
    schema = chain("filter", start("list"),
                   listed("li", "filter", "start.list", inner, parallel=parallel),
                   end(out="li.out"))  # fmt: skip
    handle = await bench.start(schema, {"list": list(range(40))})
    assert await handle.wait() == Completed({"out": list(range(1, 40, 2))})


async def test_reduce_goes_one_after_another(bench: Bench) -> None:
    add = "function main({ n, m }) { return { value: n + m } }"
    inner = body(
        begin("s"),
        node("c", "code", code=add, variables=[
            {"variable": "n", "value_selector": ["__scope__", "accumulator"]},
            {"variable": "m", "value_selector": ["__scope__", "item"]},
        ]),
        finish("e", value="c.value"),
    )  # fmt: skip
    schema = chain("sum", start("list"),
                   listed("li", "reduce", "start.list", inner, initial_value=0),
                   end(out="li.out"))  # fmt: skip
    handle = await bench.start(schema, {"list": list(range(101))})
    assert await handle.wait() == Completed({"out": 5050})


async def test_events_of_an_iteration_come_in_their_order(bench: Bench) -> None:
    schema = chain("events", start("list"), iteration("it", "start.list", times_ten()),
                   end(out="it.out"))  # fmt: skip
    handle = await bench.start(schema, {"list": [1, 3]})
    await handle.wait()
    told = [name_of(event) for event in await read(handle)]
    item = ["started s", "succeeded s", "started c", "succeeded c", "started e", "succeeded e"]
    assert told == [
        "graph_run_started", "started start", "succeeded start", "started it",
        "iteration_started", "iteration_next", *item, "iteration_next", *item,
        "iteration_succeeded", "succeeded it", "started end", "succeeded end",
        "graph_run_succeeded",
    ]  # fmt: skip


def name_of(event: GraphEngineEvent) -> str:
    if event.type.startswith("node_run_"):
        return f"{event.type.removeprefix('node_run_')} {event.data['node_id']}"
    return event.type


@pytest.mark.parametrize(
    ("drawn", "text_"),
    [
        (iteration("it", "start.text", times_ten()), "Input must be an array"),
        (listed("it", "map", "start.text", times_ten()), "not an array"),
        (iteration("it", "start.list", times_ten(), max_iterations=1), "exceeds max iterations 1"),
        (loop("it", 100, body(begin("s"), code("c", "loop.n"), finish("e", n="c.n")),
              max_iterations=3), "Max iterations 3 exceeded"),
    ],
    ids=["iteration over a text", "map over a text", "too many items", "too many rounds"],
)  # fmt: skip
async def test_bad_input_fails_the_node_and_nothing_else(
    bench: Bench, drawn: NodeSpec, text_: str
) -> None:
    tolerant = drawn.model_copy(update={"error_strategy": FAIL_BRANCH})
    schema = graph(
        "bad", [start("text", "list"), tolerant, text("why", "{{ v }}", "it.error_message"),
                end(why="why.output")],
        "start > it", "it:fail-branch > why", "it > end", "why > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"text": "no list", "list": [1, 3]})
    status = await handle.wait()
    assert isinstance(status, Completed)
    assert text_ in status.outputs["why"]
    assert status.exceptions == 1


async def test_a_condition_on_a_variable_that_is_not_there_ends_the_loop(bench: Bench) -> None:
    inner = body(begin("s"), code("c", "loop.n"), finish("e", n="c.n"))
    condition = {"variable_selector": ["loop", "x"], "comparison_operator": "less_than", "value": 3}
    drawn = node("lo", "loop", condition=condition, sub_graph=inner, output_variable="out")
    handle = await bench.start(
        chain("missing", start(), drawn, end(out="lo.out", n="lo._iterations"))
    )
    assert await handle.wait() == Completed({"out": {}, "n": 0})


async def test_a_quick_body_costs_few_events_and_keeps_its_order(bench: Bench) -> None:
    schema = chain("many", start("list"),
                   iteration("it", "start.list", times_ten(), parallel=True),
                   end(out="it.out"))  # fmt: skip
    items = [n for n in range(302) if n != 2]
    handle = await bench.start(schema, {"list": items})
    assert await handle.wait() == Completed({"out": [{"n": n * 10} for n in items]})
    parent = kinds(await history(handle, bench.client))
    assert parent["start_child_workflow_execution_initiated"] < 20
    assert sum(parent.values()) < 200


# ---- gathers


def gathering(web: MockServer, join: dict[str, Any], **parts: Any) -> Any:
    return graph(
        "gathers",
        [
            start(), http("ok", f"{web.url}/ok"), http("soon", f"{web.url}/soon"),
            http("slow", f"{web.url}/slow"),
            gather("g", join, "ok.body", "soon.body", "slow.body", **parts),
            end(results="g.results", count="g.completed_count", first="g.first_result"),
        ],
        "start > ok", "start > soon", "start > slow", "ok > g", "soon > g", "slow > g", "g > end",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("join", "wanted"),
    [
        ({"type": "any"}, ["fine"]),
        ({"type": "n_of_m", "n": 2}, ["fine", "soon"]),
    ],
    ids=["any", "two"],
)
async def test_a_gather_goes_on_when_enough_have_arrived_and_stops_the_rest(
    bench: Bench, web: MockServer, join: dict[str, Any], wanted: list[str]
) -> None:
    began = time.monotonic()
    handle = await bench.start(gathering(web, join))
    status = await handle.wait()
    assert status == Completed({"results": wanted, "count": len(wanted), "first": "fine"})
    assert time.monotonic() - began < 10
    ended = Counter(e.type for e in await read(handle) if e.data.get("node_id") == "slow")
    assert ended == {"node_run_started": 1}


async def test_a_gather_that_cancels_nothing_lets_the_others_end_and_runs_once(
    bench: Bench, web: MockServer
) -> None:
    schema = graph(
        "patient",
        [start(), http("ok", f"{web.url}/ok"), http("soon", f"{web.url}/soon"),
         gather("g", {"type": "any"}, "ok.body", "soon.body", cancel_remaining=False),
         end(results="g.results", soon="soon.body")],
        "start > ok", "start > soon", "ok > g", "soon > g", "g > end",
    )  # fmt: skip
    handle = await bench.start(schema)
    assert await handle.wait() == Completed({"results": ["fine"], "soon": None})
    told = Counter(name_of(event) for event in await read(handle))
    assert told["started g"] == 1
    assert told["succeeded soon"] == 1


async def test_a_gather_of_all_counts_skipped_branches_as_resolved(
    bench: Bench, web: MockServer
) -> None:
    schema = graph(
        "skipped",
        [start("n"), choice("which", "start.n", "1"), http("ok", f"{web.url}/ok"),
         text("no", "no"), gather("g", {"type": "all"}, "ok.body", "no.output"),
         end(results="g.results")],
        "start > which", "which:yes > ok", "which:false > no", "ok > g", "no > g", "g > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"n": 1})
    assert await handle.wait() == Completed({"results": ["fine"]})


async def test_a_gather_cancels_containers_and_questions_too(bench: Bench, web: MockServer) -> None:
    inner = body(begin("s"), http("h", f"{web.url}/slow"), finish("e"))
    schema = graph(
        "cancels",
        [start("list"), http("soon", f"{web.url}/soon"),
         iteration("it", "start.list", inner, parallel=True),
         node("ask", "human-input"), gather("g", {"type": "any"}, "soon.body"),
         end(results="g.results")],
        "start > soon", "start > it", "start > ask", "soon > g", "it > g", "ask > g", "g > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"list": [1, 2]})
    assert await handle.wait() == Completed({"results": ["soon"]})
