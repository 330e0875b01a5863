"""What ends a wait, with Temporal's own semantics, on a server whose clock jumps: answers in time,
decisions that nobody takes, gathers that lack too many, and the next history."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.workflows.awaited import asked
from tests.workflows.bench import Bench, history, kind, read, timers
from tests.workflows.drawing import (
    approval,
    begin,
    body,
    chain,
    code,
    end,
    finish,
    form,
    gather,
    graph,
    http,
    loop,
    node,
    otherwise,
    start,
    text,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, ExecutionStatus, Failed
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.testing.mock_server import MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.asyncio(loop_scope="session")]

DAY = 86_400
NO_LIMIT = EngineConfig(max_execution_time_secs=None)


async def ended(bench: Bench, schema: WorkflowSchema, **inputs: Any) -> ExecutionStatus:
    return await (await run(bench, schema, **inputs)).wait()


async def run(bench: Bench, schema: WorkflowSchema, **inputs: Any) -> WorkflowHandle:
    return await bench.start(schema, inputs)


def asks(asking: NodeSpec, *, approve: bool = False) -> WorkflowSchema:
    if not approve:
        return chain("asks", start(), asking, end(name="ask.name", said="ask.__decision"))
    return graph(
        "approves",
        [start(), asking, text("yes", "yes"), text("no", "no"),
         end(yes="yes.output", no="no.output", said="ask.__decision")],
        "start > ask", "ask:approve > yes", "ask:reject > no", "yes > end", "no > end",
    )  # fmt: skip


async def test_nobody_answers_and_the_defaults_are_taken(skipping: Bench) -> None:
    asking = form("ask", "name", timeout_secs=7 * DAY, **otherwise(name="nobody"))
    handle = await run(skipping, asks(asking))
    assert await handle.wait() == Completed({"name": "nobody", "said": None})
    (wait,) = timers(await history(handle, skipping.client))
    assert round(wait / timedelta(days=1)) == 7
    kinds = [e.type for e in await read(handle)]
    first = kinds.index("human_input_requested")
    assert kinds[first : first + 5] == [
        "human_input_requested", "workflow_paused", "human_input_timeout",
        "human_input_received", "workflow_resumed",
    ]  # fmt: skip


@pytest.mark.parametrize(("action", "way"), [("auto_approve", "yes"), ("auto_reject", "no")])
async def test_nobody_decides_and_it_is_decided(skipping: Bench, action: str, way: str) -> None:
    asking = approval("ask", timeout_secs=DAY, timeout_action=action)
    status = await ended(skipping, asks(asking, approve=True))
    said = action.removeprefix("auto_")
    assert status == Completed({"yes": None, "no": None, "said": said, way: way})


async def test_an_answer_in_time_makes_the_timer_nobodys(skipping: Bench) -> None:
    asking = form("ask", "name", timeout_secs=7 * DAY)
    schema = chain("in time", start(), asking, form("next", "x", timeout_secs=30 * DAY,
                   **otherwise(x=1)),
                   end(name="ask.name", x="next.x"))  # fmt: skip
    handle = await run(skipping, schema)
    await asked(handle)
    await handle.answer("ask", form_data={"name": "Ada"})
    assert await handle.wait() == Completed({"name": "Ada", "x": 1})
    assert not any(
        e.type == "human_input_timeout" and e.data["node_id"] == "ask" for e in await read(handle)
    )


@pytest.mark.parametrize("strategy", ["proceed_with_available", "fail"])
async def test_a_gather_waits_no_longer_than_it_may(
    skipping: Bench, web: MockServer, strategy: str
) -> None:
    schema = graph(
        "gathers",
        [start(), http("ok", f"{web.url}/ok"), form("ask", "name"),
         gather("g", {"type": "all"}, "ok.body", "ask.name", timeout_secs=2 * DAY,
                timeout_strategy=strategy),
         end(results="g.results")],
        "start > ok", "start > ask", "ok > g", "ask > g", "g > end",
    )  # fmt: skip
    handle = await run(skipping, schema)
    status = await handle.wait()
    if strategy == "fail":
        text_ = f"Node execution error: node=g, error=Gather node 'g' timed out after {2 * DAY}s"
        assert status == Failed(text_, "NodeExecutionError", "g")
    else:
        assert status == Completed({"results": ["fine"]})
    (wait,) = timers(await history(handle, skipping.client))
    assert round(wait / timedelta(days=1)) == 2


async def test_a_gather_that_lacks_too_many_never_runs(skipping: Bench, web: MockServer) -> None:
    schema = graph(
        "lacks",
        [start(), http("ok", f"{web.url}/ok"), form("ask", "name"),
         gather("g", {"type": "n_of_m", "n": 2}, "ok.body", timeout_secs=DAY),
         end(results="g.results"), node("other", "end", outputs=[])],
        "start > ok", "start > ask", "ok > g", "ask > g", "g > end", "ok > other",
    )  # fmt: skip
    assert await ended(skipping, schema) == Completed({})


async def test_a_loop_whose_rounds_wait_for_days_does_not_use_up_the_runs_time(
    skipping: Bench, web: MockServer
) -> None:
    """Three rounds of a day each, and another branch that waits a week; the limit is a minute."""
    asking = form("ask", "name", timeout_secs=DAY, **otherwise(name="nobody"))
    inner = body(begin("s"), asking, code("c", "loop.n"), finish("e", n="c.n"))
    week = form("week", "name", timeout_secs=7 * DAY, **otherwise(name="late"))
    schema = graph(
        "days", [start(), loop("lo", 3, inner), http("h", f"{web.url}/ok"), week,
                 http("last", f"{web.url}/ok"), end(out="lo.out", h="last.body")],
        "start > lo", "lo > h", "start > week", "week > last", "h > end", "last > end",
    )  # fmt: skip
    handle = await skipping.start(schema, config=EngineConfig(max_execution_time_secs=60))
    assert await handle.wait() == Completed({"out": {"n": 3}, "h": "fine"})


async def test_waits_go_on_in_the_next_history(skipping: Bench, web: MockServer) -> None:
    """A form, a gather and a container's limit over a run that continues as new meanwhile."""
    asking = form("ask", "name", timeout_secs=5 * DAY, **otherwise(name="nobody"))
    calls = [http(f"h{i}", f"{web.url}/ok") for i in range(6)]
    schema = graph(
        "continued",
        [start(), asking, *calls,
         gather("g", {"type": "all"}, "ask.name", "h0.body", timeout_secs=2 * DAY),
         end(r="g.results")],
        "start > ask", "start > h0", *(f"h{i} > h{i + 1}" for i in range(5)), "h0 > g", "ask > g",
        "g > end", "h5 > end",
    )  # fmt: skip
    handle = await skipping.start(schema, continue_as_new_after_events=20)
    assert await handle.wait() == Completed({"r": ["fine"]})
    first = await skipping.client.get_workflow_handle(
        handle.execution_id, run_id=handle.first_run_id
    ).fetch_history()
    assert kind(list(first.events)[-1]) == "workflow_execution_continued_as_new"
