"""Iterations and waiting people against hand-written workflows that do the same, alternating.

    python benchmarks/containers.py [--items N] [--waiting N] [--rounds N] [--address HOST:PORT]

The iteration has a code body and goes ten side by side. By hand: a parent with one child workflow
for each item, and a parent with one activity for each item, on the same sandbox pool. The waiting
runs ask a person; by hand a workflow waits for a signal. Each kind of waiting runs has a worker
process's memory to itself: the growth of this process while they start and wait.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Worker

from xworkflow.activities.execute_node import NodeActivities
from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.starting import TASK_TIMEOUT
from xworkflow.client.status import Completed
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.embedded.server import start_server
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow, SubGraphWorkflow

QUEUE = "benchmark"
SCRIPT = "function main({ n }) { return { n: n + 1 } }"
PARALLELISM = 10

Run = Callable[[], Awaitable[None]]


@workflow.defn
class OneItem:
    """A child workflow that does one item."""

    @workflow.run
    async def run(self, item: int) -> int:
        return await workflow.execute_activity(
            "script", item, start_to_close_timeout=timedelta(seconds=60)
        )


@workflow.defn
class ChildPerItem:
    """A child workflow for each item, ten at a time."""

    @workflow.run
    async def run(self, items: list[int]) -> list[int]:
        places = asyncio.Semaphore(PARALLELISM)

        async def one(item: int) -> int:
            async with places:
                name = f"{workflow.info().workflow_id}/{item}"
                return await workflow.execute_child_workflow("OneItem", item, id=name)

        return list(await asyncio.gather(*(one(item) for item in items)))


@workflow.defn
class ActivityPerItem:
    """An activity for each item, ten at a time."""

    @workflow.run
    async def run(self, items: list[int]) -> list[int]:
        places = asyncio.Semaphore(PARALLELISM)

        async def one(item: int) -> int:
            async with places:
                return await workflow.execute_activity(
                    "script", item, start_to_close_timeout=timedelta(seconds=60)
                )

        return list(await asyncio.gather(*(one(item) for item in items)))


@workflow.defn
class WaitsForASignal:
    """The least that waits for somebody."""

    def __init__(self) -> None:
        self._answer: str | None = None

    @workflow.run
    async def run(self, question: str) -> str:
        await workflow.wait_condition(lambda: self._answer is not None)
        return f"{question} {self._answer}"

    @workflow.signal
    def answer(self, text: str) -> None:
        self._answer = text


class Script:
    def __init__(self, group: RuntimeGroup) -> None:
        self._group = group

    @activity.defn
    async def script(self, item: int) -> int:
        async with self._group.sandbox_pool.js_vm() as vm:
            result = await vm.execute(SCRIPT, {"n": item}, SandboxLimits())
        return result.value["n"]


def iteration() -> WorkflowSchema:
    variable = {"variable": "n", "value_selector": ["__scope__", "item"]}
    output = {"variable": "n", "value_selector": ["code", "n"]}
    body: dict[str, Any] = {
        "nodes": [
            {"id": "first", "type": "start", "data": {"type": "start", "variables": []}},
            {
                "id": "code",
                "type": "code",
                "data": {"code": SCRIPT, "language": "javascript", "variables": [variable]},
            },
            {"id": "last", "type": "end", "data": {"outputs": [output]}},
        ],
        "edges": [
            {"id": "a", "source": "first", "target": "code"},
            {"id": "b", "source": "code", "target": "last"},
        ],
    }
    data: dict[str, Any] = {
        "input_selector": ["start", "items"],
        "output_variable": "results",
        "parallel": True,
        "parallelism": PARALLELISM,
        "max_iterations": 1_000_000,
        "sub_graph": body,
    }
    return _chain(
        NodeSpec(id="start", type="start", data={"variables": [{"variable": "items"}]}),
        NodeSpec(id="each", type="iteration", title="each", data=data),
        NodeSpec(
            id="end",
            type="end",
            data={"outputs": [{"variable": "r", "value_selector": ["each", "results"]}]},
        ),
    )


def question() -> WorkflowSchema:
    form = {"resume_mode": "form", "form_fields": [{"variable": "text", "field_type": "text"}]}
    return _chain(
        NodeSpec(id="start", type="start", data={"variables": []}),
        NodeSpec(id="ask", type="human-input", title="ask", data=form),
        NodeSpec(
            id="end",
            type="end",
            data={"outputs": [{"variable": "a", "value_selector": ["ask", "text"]}]},
        ),
    )


def _chain(*nodes: NodeSpec) -> WorkflowSchema:
    edges = tuple(
        EdgeSpec(id=f"e{i}", source=a.id, target=b.id) for i, (a, b) in enumerate(pairwise(nodes))
    )
    return WorkflowSchema(name="benchmark", nodes=nodes, edges=edges)


async def timed(run: Run) -> float:
    began = time.perf_counter()
    await run()
    return time.perf_counter() - began


async def iterations(client: Client, count: int, rounds: int) -> None:
    schema, items = iteration(), list(range(count))

    async def ours() -> None:
        builder = WorkflowRunner.builder(schema).user_inputs({"items": items})
        handle = await builder.client(client, task_queue=QUEUE).run()
        expected = [{"n": item + 1} for item in items]
        check(await handle.wait() == Completed({"r": expected}))

    def by_hand(name: str) -> Run:
        async def run() -> None:
            found = await client.execute_workflow(
                name, items, id=str(uuid.uuid4()), task_queue=QUEUE, task_timeout=TASK_TIMEOUT
            )
            check(found == [item + 1 for item in items])

        return run

    children, activities = by_hand("ChildPerItem"), by_hand("ActivityPerItem")
    await ours()
    print(f"iteration of {count} items with a code body, {PARALLELISM} side by side")
    for title, other, aim in (
        ("one child for each item", children, "aim: 10 times slower at least"),
        ("one activity for each item", activities, "aim: slower"),
    ):
        pairs = [(await timed(ours), await timed(other)) for _ in range(rounds)]
        mine = statistics.median(a for a, _ in pairs)
        theirs = statistics.median(b for _, b in pairs)
        ratio = statistics.median(b / a for a, b in pairs)
        print(f"  {title:<28} {mine:6.2f} s   {theirs:6.2f} s by hand, {ratio:.1f} times ({aim})")


def resident_mb() -> float:
    """Memory of this process, after what nobody needs was let go."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


class Asking:
    """Runs of the engine that ask a person."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._schema = question()

    async def start(self, count: int) -> list[Any]:
        async def one() -> Any:
            builder = WorkflowRunner.builder(self._schema).client(self._client, task_queue=QUEUE)
            return await builder.run()

        handles = await asyncio.gather(*(one() for _ in range(count)))
        for handle in handles:  # a query is answered once the run has come to its question
            check(bool(await handle.waiting()))
        return handles

    async def release(self, handle: Any) -> None:
        await handle.answer("ask", form_data={"text": "yes"})
        check(await handle.wait() == Completed({"a": "yes"}))


class Signalled:
    """Hand-written workflows that wait for a signal."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def start(self, count: int) -> list[Any]:
        async def one() -> Any:
            return await self._client.start_workflow(
                "WaitsForASignal",
                "?",
                id=str(uuid.uuid4()),
                task_queue=QUEUE,
                task_timeout=TASK_TIMEOUT,
                request_eager_start=True,
            )

        handles = await asyncio.gather(*(one() for _ in range(count)))
        for handle in handles:
            await handle.query("__stack_trace")
        return handles

    async def release(self, handle: Any) -> None:
        await handle.signal("answer", "yes")
        check(await handle.result() == "? yes")


async def waiting(client: Client, count: int, rounds: int) -> None:
    print(f"{count} runs that wait for a person")
    for _ in range(rounds):
        for name, kind in (("by hand", Signalled(client)), ("engine", Asking(client))):
            before, began = resident_mb(), time.perf_counter()
            handles = await kind.start(count)
            started, grown = time.perf_counter() - began, resident_mb() - before
            began = time.perf_counter()
            await asyncio.gather(*(kind.release(handle) for handle in handles))
            released = time.perf_counter() - began
            print(
                f"  {name:<8} start {started:6.2f} s   release {released:6.2f} s   {grown:6.1f} MB"
            )


def check(is_right: bool) -> None:
    if not is_right:
        raise RuntimeError("a run gave something else")


async def main(options: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        address = options.address
        if address is None:
            address = (await stack.enter_async_context(start_server())).address
        client = await connect(address)
        group = RuntimeGroup.default()
        stack.push_async_callback(group.aclose)
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=QUEUE,
                workflows=[
                    GraphWorkflow,
                    SubGraphWorkflow,
                    OneItem,
                    ChildPerItem,
                    ActivityPerItem,
                    WaitsForASignal,
                ],
                activities=[*NodeActivities(group).all(), Script(group).script],
                workflow_runner=workflow_runner(sandboxed=False),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            )
        )
        await iterations(client, options.items, options.rounds)
        await waiting(client, options.waiting, options.rounds)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=1000)
    parser.add_argument("--waiting", type=int, default=500)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--address")
    asyncio.run(main(parser.parse_args()))
