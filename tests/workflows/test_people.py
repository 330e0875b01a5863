"""Questions to people on Temporal: answers, refusals, and workers that come and go meanwhile."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest

from tests.workflows.bench import Bench, read
from tests.workflows.drawing import chain, code, end, graph, http, node, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Paused, Running, Stopped, WaitingForInput
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.errors import InputError
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


def ask(id_: str = "ask", **parts: Any) -> NodeSpec:
    field = {"variable": "name", "field_type": "text", "required": True}
    return node(id_, "human-input", prompt_text="Who?", form_fields=[field], **parts)


ASKING = chain("asking", start(), ask(), end(name="ask.name"))


async def stopped_at(handle: WorkflowHandle) -> WaitingForInput:
    status = await handle.wait_or_paused()
    assert isinstance(status, WaitingForInput)
    return status


async def test_an_answer_carries_the_run_on(bench: Bench) -> None:
    handle = await bench.start(ASKING)
    (question,) = (await stopped_at(handle)).waiting
    assert (question.node_id, question.prompt_text) == ("ask", "Who?")
    receipt = await handle.answer(question, form_data={"name": "Ada"})
    assert receipt.token == question.token
    assert await handle.wait() == Completed({"name": "Ada"})


async def test_a_worker_that_knows_nothing_of_the_run_takes_the_first_answer(
    idle_bench: Bench,
) -> None:
    """The question and the answer reach it in one activation: nothing lies between them."""
    handle = await idle_bench.start(ASKING)
    async with idle_bench.worker():
        await stopped_at(handle)
    async with idle_bench.worker():
        await handle.answer("ask", form_data={"name": "Ada"})
        assert await handle.wait() == Completed({"name": "Ada"})


async def test_a_worker_that_knows_nothing_of_the_run_refuses_what_does_not_fit(
    idle_bench: Bench,
) -> None:
    handle = await idle_bench.start(ASKING)
    async with idle_bench.worker():
        await stopped_at(handle)
    async with idle_bench.worker():
        with pytest.raises(InputError) as refused:
            await handle.answer("ask", form_data={})
        assert refused.value.problems == ("required field is missing: name",)
        await handle.answer("ask", form_data={"name": "Ada"})
        assert await handle.wait() == Completed({"name": "Ada"})


async def test_the_first_answer_wins_and_the_second_hears_of_it(bench: Bench) -> None:
    handle = await bench.start(chain("two", start(), ask(), ask("again"), end()))
    (question,) = (await stopped_at(handle)).waiting
    await handle.answer(question, form_data={"name": "Ada"})
    with pytest.raises(InputError, match="nobody waits for this answer") as refused:
        await handle.answer(question, form_data={"name": "Bob"})
    assert "AnswerRefused" not in str(refused.value)


async def test_the_status_needs_no_worker(idle_bench: Bench) -> None:
    handle = await idle_bench.start(ASKING)
    assert await handle.status() == Running()
    async with idle_bench.worker():
        asked = await stopped_at(handle)
    assert await handle.status() == asked


async def test_a_wait_for_a_person_is_told_while_other_branches_go_on(bench: Bench) -> None:
    with MockServer((MockResponse("GET", "/", delay_secs=60),)) as server:
        slow = http("slow", f"{server.url}/")
        nodes = [start(), ask(), slow, end()]
        handle = await bench.start(
            graph("both", nodes, "start > ask", "start > slow", "ask > end", "slow > end")
        )
        await stopped_at(handle)
        assert "slow" in (await handle.state()).nodes
    # the server is closed, and the request over: the run waits for the person alone
    await handle.answer("ask", form_data={"name": "Ada"})
    assert isinstance(await handle.wait_or_paused(), Completed)


async def test_a_pause_ends_the_wait_and_a_past_one_does_not(bench: Bench) -> None:
    handle = await bench.start(ASKING)
    await stopped_at(handle)
    await handle.pause()
    assert await handle.wait_or_paused() == Paused()
    await handle.resume()
    await handle.answer("ask", form_data={"name": "Ada"})
    assert await handle.wait_or_paused() == Completed({"name": "Ada"})


async def test_commands_to_a_run_that_is_over_are_refused_by_name(bench: Bench) -> None:
    handle = await bench.start(ASKING)
    await stopped_at(handle)
    await handle.cancel()
    assert isinstance(await handle.wait_or_paused(), Stopped)
    for command in (handle.pause(), handle.update_variables({"start.n": 1})):
        with pytest.raises(InputError, match=f"run '{handle.execution_id}' is over"):
            await command
    with pytest.raises(InputError, match="there is no run 'nobody'"):
        await WorkflowHandle(bench.client, "nobody").pause()


def looping(*body: NodeSpec) -> WorkflowSchema:
    """An iteration over the input ``list``, two items at once, of these nodes in a row."""
    drawn = [n.model_dump(mode="json", include={"id", "type", "title", "data"}) for n in body]
    sub_graph = {
        "nodes": drawn,
        "edges": [{"source": a.id, "target": b.id} for a, b in pairwise(body)],
    }
    each = node(
        "each",
        "iteration",
        input_selector=["start", "list"],
        output_variable="results",
        parallel=True,
        parallelism=2,
        sub_graph=sub_graph,
    )
    return chain("looping", start("list"), each, end(results="each.results"))


async def test_questions_inside_of_an_iteration_stop_the_run_and_are_answered_one_by_one(
    bench: Bench,
) -> None:
    handle = await bench.start(looping(start(), ask(), end(name="ask.name")), {"list": [1, 2]})
    first = await stopped_at(handle)
    while len(first.waiting) < 2:
        first = WaitingForInput(tuple(await handle.waiting()))
    for name, question in zip(("Ada", "Bob"), first.waiting, strict=True):
        await handle.answer(question, form_data={"name": name})
    ended = await handle.wait_or_paused()
    assert isinstance(ended, Completed)
    paths = [
        event.data["path"] for event in await read(handle) if event.type == "human_input_received"
    ]
    assert sorted(paths) == [[["each", 0]], [["each", 1]]]


async def test_code_before_and_after_a_question_is_in_regions_of_its_own(bench: Bench) -> None:
    schema = chain("mixed", start("n"), code("a"), ask(), code("b", "a.n"), end(n="b.n"))
    handle = await bench.start(schema, {"n": 1})
    await stopped_at(handle)
    await handle.answer("ask", form_data={"name": "x"})
    assert await handle.wait() == Completed({"n": 3})
