"""Shapes of runs with sub-graphs, and of runs that somebody commands while they go on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from tests.workflows.awaited import node_started
from tests.workflows.drawing import (
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
    iteration,
    listed,
    loop,
    node,
    start,
    text,
)
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.schema import EdgeSpec, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.errors import InputError

ITEMS = [1, 2, 3, 4, 5, 6, 7]
SET = {"variable_selector": ["conversation", "last"], "input_type": "variable"}


def scripts() -> dict[str, Any]:
    return body(begin("in"), code("c", "__scope__.item"), finish("out", n="c.n"))


def requests(url: str) -> dict[str, Any]:
    return body(begin("in"), http("call", f"{url}/ok"), finish("out", b="call.body"))


def counting(url: str) -> dict[str, Any]:
    return body(begin("in"), code("c", "loop.n"), http("call", f"{url}/ok"), finish("out", n="c.n"))


def nested(url: str) -> dict[str, Any]:
    inner = loop("rounds", 2, counting(url))
    return body(begin("each"), inner, finish("done", n="rounds.out"))


def writes_outside() -> WorkflowSchema:
    """A Dify iteration whose body writes a conversation variable."""
    write = node(
        "set", "assigner", items=[{**SET, "operation": "over-write", "value": ["it", "item"]}]
    )
    inner = SubGraph(
        nodes=(node("mark", "iteration-start"), code("c", "it.item"), write),
        edges=(
            EdgeSpec(id="a", source="mark", target="c"),
            EdgeSpec(id="b", source="c", target="set"),
        ),
        start="mark",
    )
    data = inner.model_dump(mode="json", exclude_defaults=True)
    each: NodeSpec = iteration("it", "start.items", data, output_selector=["c", "n"])
    drawn = chain("writes", start("items"), each, end(out="it.output", last="conversation.last"))
    return drawn.model_copy(update={"dialect": "dify"})


async def answer(handle: WorkflowHandle) -> None:
    """Answer every question as soon as it is asked, until the run is over."""
    while not await handle.is_over():
        for question in await handle.waiting():
            with suppress(InputError):  # a sub-graph may have ended before its root heard of it
                await handle.answer(question, form_data={"text": "yes"})


async def pause_and_resume(handle: WorkflowHandle) -> None:
    await handle.pause()
    while (await handle.state()).status != "paused":
        pass
    await handle.resume()


async def stop_safely(handle: WorkflowHandle) -> None:
    await node_started(handle, "call")
    await handle.safe_stop()


async def step_through(handle: WorkflowHandle) -> None:
    """One step, one new value, and on to the end."""
    said = [
        DebugCommand(action="step"),
        DebugCommand(action="update_variables", variables={"start.n": 41}),
        DebugCommand(action="continue"),
    ]
    async for event in handle.events():
        if event.type == "debug_paused" and said:
            await handle.debug_command(said.pop(0))


Act = Callable[[WorkflowHandle], Awaitable[None]]

Drawn = Callable[[str], WorkflowSchema]

DRAWN: dict[str, Drawn] = {
    "iteration_of_scripts": lambda _: chain(
        "scripts", start("items"), iteration("it", "start.items", scripts()), end(out="it.out")
    ),
    "iteration_of_requests": lambda url: chain(
        "requests",
        start("items"),
        iteration("it", "start.items", requests(url), parallel=True, parallelism=3),
        end(out="it.out"),
    ),
    "loop_of_requests": lambda url: chain(
        "rounds", start("items"), loop("rounds", 3, counting(url)), end(out="rounds.out")
    ),
    "loop_continued_as_new": lambda url: chain(
        "long", start("items"), loop("rounds", 6, counting(url)), end(out="rounds.out")
    ),
    "loop_in_an_iteration": lambda url: chain(
        "nested", start("items"), iteration("it", "start.items", nested(url)), end(out="it.out")
    ),
    "list_body": lambda _: chain(
        "list", start("items"), listed("add", "map", "start.items", scripts()), end(out="add.out")
    ),
    "conversation_write_in_an_iteration": lambda _: writes_outside(),
    "person_answers": lambda _: chain(
        "asks", start("n"), form("ask", "text", timeout_secs=86_400), end(out="ask.text")
    ),
    "people_in_an_iteration": lambda _: chain(
        "asks each",
        start("items"),
        iteration(
            "it",
            "start.items",
            body(begin("in"), form("ask", "text"), finish("out", said="ask.text")),
            parallel=True,
            parallelism=2,
        ),
        end(out="it.out"),
    ),
    "gather_of_any": lambda url: graph(
        "gathers",
        [
            start("n"),
            http("slow", f"{url}/slow"),
            http("call", f"{url}/ok"),
            gather("join", {"type": "any"}, "call.body", timeout_secs=600),
            end(out="join.first_result"),
        ],
        "start > slow",
        "start > call",
        "slow > join",
        "call > join",
        "join > end",
    ),
    "paused_and_resumed": lambda url: chain(
        "pauses", start("n"), http("call", f"{url}/late"), text("t", "x"), end(out="call.body")
    ),
    "safe_stopped": lambda url: chain(
        "stops", start("n"), http("call", f"{url}/late"), text("t", "x"), end(out="call.body")
    ),
    "debugged": lambda _: chain("debugged", start("n"), code("c"), end(out="c.n")),
}
ACTS: dict[str, Act] = {
    "person_answers": answer,
    "people_in_an_iteration": answer,
    "paused_and_resumed": pause_and_resume,
    "safe_stopped": stop_safely,
    "debugged": step_through,
}
OPTIONS: dict[str, dict[str, Any]] = {"loop_continued_as_new": {"continue_as_new_after_events": 25}}
