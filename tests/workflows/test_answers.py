"""People who are asked by a run, and answer: on Temporal, in bodies too."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.workflows.awaited import asked, node_started
from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    approval,
    begin,
    body,
    chain,
    code,
    end,
    finish,
    form,
    graph,
    http,
    iteration,
    loop,
    start,
    text,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Stopped
from xworkflow.domain.wire import Waiting
from xworkflow.errors import InputError
from xworkflow.testing.mock_server import MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def bench(watched_bench: Bench) -> Bench:
    return watched_bench


async def refused(handle: WorkflowHandle, waiting: Waiting | str, **answer: Any) -> str:
    with pytest.raises(InputError) as caught:
        await handle.answer(waiting, **answer)
    return "; ".join(caught.value.problems)


ASKING = body(begin("s"), form("ask", "name"), finish("e", name="ask.name"))


async def test_an_answer_that_fits_goes_on_and_one_that_does_not_is_refused_with_reasons(
    bench: Bench,
) -> None:
    schema = chain("asks", start(), form("ask", "name", "why"), end(name="ask.name", why="ask.why"))
    handle = await bench.start(schema)
    (waiting,) = await asked(handle)
    assert (waiting.node_id, waiting.workflow_id) == ("ask", handle.execution_id)
    reasons = await refused(handle, waiting, form_data={"name": 5})
    assert "invalid type for field: name" in reasons
    assert "required field is missing: why" in reasons
    receipt = await handle.answer(waiting, form_data={"name": "Ada", "why": "so", "more": 1})
    assert receipt.node_id == "ask"
    assert await handle.wait() == Completed({"name": "Ada", "why": "so"})
    kinds = [event.type for event in await read(handle)]
    assert kinds[3:9] == [
        "node_run_started", "human_input_requested", "workflow_paused",
        "human_input_received", "workflow_resumed", "node_run_succeeded",
    ]  # fmt: skip


async def test_of_two_answers_the_first_wins_and_the_second_is_told_so(
    bench: Bench,
) -> None:
    schema = graph(
        "twice",
        [start(), form("ask", "name"), form("other", "x"), end(name="ask.name")],
        "start > ask", "start > other", "ask > end", "other > end",
    )  # fmt: skip
    handle = await bench.start(schema)
    waiting = next(w for w in await asked(handle, 2) if w.node_id == "ask")
    answers = await asyncio.gather(
        *(handle.answer(waiting, form_data={"name": name}) for name in ("Ada", "Bob", "Cy")),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, InputError) for answer in answers) == 2
    assert "nobody waits" in await refused(handle, waiting, form_data={"name": "Dee"})
    assert "nobody waits" in await refused(handle, "ask", form_data={"name": "Eve"})
    await handle.answer("other", form_data={"x": "y"})
    status = await handle.wait()
    assert isinstance(status, Completed)
    received = [e for e in await read(handle) if e.type == "human_input_received"]
    assert [e.data["form_data"]["name"] for e in received[:1]] == [status.outputs["name"]]
    assert len(received) == 2


@pytest.mark.parametrize("decision", ["approve", "reject"])
async def test_a_decision_takes_its_edge(bench: Bench, decision: str) -> None:
    schema = graph(
        "approval",
        [start(), approval("ask"), text("approve", "yes"), text("reject", "no"),
         end(yes="approve.output", no="reject.output", said="ask.__decision")],
        "start > ask", "ask:approve > approve", "ask:reject > reject",
        "approve > end", "reject > end",
    )  # fmt: skip
    handle = await bench.start(schema)
    (waiting,) = await asked(handle)
    assert "requires decision" in await refused(handle, waiting)
    assert "requires decision" in await refused(handle, waiting, decision="perhaps")
    await handle.answer(waiting, decision=decision)
    yes, no = ("yes", None) if decision == "approve" else (None, "no")
    assert await handle.wait() == Completed({"yes": yes, "no": no, "said": decision})


async def test_several_wait_at_once_while_other_branches_go_on(
    bench: Bench, web: MockServer
) -> None:
    schema = graph(
        "several",
        [start("n"), form("a", "x"), form("b", "x"), http("h", f"{web.url}/ok"),
         code("c"), end(a="a.x", b="b.x", h="h.body", c="c.n")],
        "start > a", "start > b", "start > h", "h > c", "c > end", "a > end", "b > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"n": 1})
    async for event in handle.events():
        if event.type == "node_run_succeeded" and event.data["node_id"] == "c":
            break
    assert len(await asked(handle, 2)) == 2
    state = await handle.state()
    assert state.status == "waiting_for_input"
    await handle.answer("b", form_data={"x": "second"})
    await handle.answer("a", form_data={"x": "first"})
    assert await handle.wait() == Completed({"a": "first", "b": "second", "h": "fine", "c": 2})


async def test_questions_inside_of_an_iteration_are_answered_one_by_one(
    bench: Bench, web: MockServer
) -> None:
    """Nothing is left of them once they are answered, also while the run goes on."""
    schema = chain(
        "asks each", start("list"), iteration("it", "start.list", ASKING, parallel=True),
        http("slow", f"{web.url}/slow"), end(out="it.out"),
    )  # fmt: skip
    handle = await bench.start(schema, {"list": ["a", "b", "c"]})
    waiting = await asked(handle, 3)
    assert len({w.workflow_id for w in waiting}) == 3
    assert all(w.workflow_id.startswith(f"{handle.execution_id}/it:") for w in waiting)
    for number in (2, 0, 1):
        await handle.answer(waiting[number], form_data={"name": f"n{number}"})
    await node_started(handle, "slow")
    await asked(handle, 0)
    assert "nobody waits" in await refused(handle, "ask", form_data={"name": "x"})
    outputs = (await handle.variables("it"))["out"]
    assert outputs == [{"name": "n0"}, {"name": "n1"}, {"name": "n2"}]
    await handle.cancel()
    await handle.wait()


async def test_questions_inside_of_a_loop_come_round_after_round(bench: Bench) -> None:
    counted = body(
        begin("s"), form("ask", "name"), code("c", "loop.n"), finish("e", n="c.n", name="ask.name")
    )
    schema = chain("asks again", start(), loop("lo", 3, counted), end(out="lo.out"))
    handle = await bench.start(schema)
    for name in ("a", "b", "c"):
        (waiting,) = await asked(handle)
        await handle.answer(waiting, form_data={"name": name})
        await asked_anew(handle, waiting)
    assert await handle.wait() == Completed({"out": {"n": 3, "name": "c"}})


async def asked_anew(handle: WorkflowHandle, before: Waiting) -> None:
    """Until that question is over."""
    while (await handle.state()).status != "finished":
        if all(w.token != before.token for w in await handle.waiting()):
            return
        await asyncio.sleep(0.02)


async def test_questions_two_levels_down_reach_the_run(bench: Bench) -> None:
    inner = body(begin("s2"), iteration("deep", "item", ASKING), finish("e2", names="deep.out"))
    schema = chain("deep", start("lists"), iteration("it", "start.lists", inner), end(out="it.out"))
    handle = await bench.start(schema, {"lists": [["a"], ["b", "c"]]})
    names = iter("xyz")
    for _ in range(3):
        (waiting,) = await asked(handle)
        await handle.answer(waiting, form_data={"name": next(names)})
        await asked_anew(handle, waiting)
    assert await handle.wait() == Completed(
        {"out": [{"names": [{"name": "x"}]}, {"names": [{"name": "y"}, {"name": "z"}]}]}
    )
    told = [e for e in await read(handle) if e.type == "human_input_requested"]
    assert [e.data["path"] for e in told] == [
        [["it", 0], ["deep", 0]], [["it", 1], ["deep", 0]], [["it", 1], ["deep", 1]],
    ]  # fmt: skip


async def test_a_run_that_waits_is_forgotten_and_remembered_by_another_worker(
    idle_bench: Bench,
) -> None:
    """Its questions outlive the worker, also those of sub-graphs."""
    schema = graph(
        "patient",
        [start("list"), form("ask", "name"), iteration("it", "start.list", ASKING),
         end(name="ask.name", out="it.out")],
        "start > ask", "start > it", "ask > end", "it > end",
    )  # fmt: skip
    async with idle_bench.worker(max_cached_workflows=0):
        handle = await idle_bench.start(schema, {"list": ["a"]})
        await asked(handle, 2)
    async with idle_bench.worker(max_cached_workflows=0):
        for waiting in await asked(handle, 2):
            await handle.answer(waiting, form_data={"name": waiting.node_id})
        status = await handle.wait()
    assert status == Completed({"name": "ask", "out": [{"name": "ask"}]})


async def test_a_stop_takes_all_questions_back(bench: Bench) -> None:
    schema = graph(
        "stopped",
        [start("list"), form("ask", "name"), iteration("it", "start.list", ASKING), end()],
        "start > ask", "start > it", "ask > end", "it > end",
    )  # fmt: skip
    handle = await bench.start(schema, {"list": ["a", "b"]})
    waiting = await asked(handle, 2)
    await handle.abort("enough")
    assert await handle.wait() == Stopped("Workflow aborted: enough")
    for question in waiting:
        said = await refused(handle, question, form_data={"name": "late"})
        assert "is over" in said or said.startswith("nobody waits")
