"""The engine against hand-written Temporal workflows that do the same: ratios, alternating, one
run.

    python benchmarks/engine.py [--rounds 30] [--address HOST:PORT]

Machines are noisy, so quote the medians of the ratios, not single times. ``--address`` names a
server to use; without one an embedded server is started, in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import statistics
import time
import uuid
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, cast

from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.common import RetryPolicy
from temporalio.worker import Worker

from xworkflow.activities.execute_node import NodeActivities
from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.starting import TASK_TIMEOUT
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.embedded.server import start_server
from xworkflow.ports import HttpRequest, SandboxLimits
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow

QUEUE = "benchmark"
ONCE = RetryPolicy(maximum_attempts=1)
SCRIPTS = {
    "javascript": "function main(inputs) { return { value: inputs.value } }",
    "python3": "def main(value):\n    return {'value': value}",
    # gives its inputs back
    "wasm": """(module (memory (export "memory") 1)
      (func (export "alloc") (param i32) (result i32) i32.const 1024)
      (func (export "dealloc") (param i32 i32))
      (func (export "main") (param i32 i32) (result i32)
        (i32.store (i32.const 0) (local.get 0)) (i32.store (i32.const 4) (local.get 1))
        i32.const 0))""",
}

Run = Callable[[], Awaitable[None]]


@workflow.defn
class OneLocalActivity:
    """The least that a durable run with one local activity can be."""

    @workflow.run
    async def run(self, text: str) -> str:
        return await workflow.execute_local_activity(
            "echo", text, start_to_close_timeout=timedelta(seconds=2), retry_policy=ONCE
        )


@workflow.defn
class TenRequests:
    """Ten activities in a row, each of which sends one request."""

    @workflow.run
    async def run(self, url: str) -> str:
        body = ""
        for _ in range(10):
            body = await workflow.execute_activity(
                "fetch", url, start_to_close_timeout=timedelta(seconds=60)
            )
        return body


@workflow.defn
class ManyRequests:
    """A number of activities side by side, each of which sends one request."""

    @workflow.run
    async def run(self, url: str, count: int) -> int:
        bodies = await asyncio.gather(
            *(
                workflow.execute_activity(
                    "fetch", url, start_to_close_timeout=timedelta(seconds=60)
                )
                for _ in range(count)
            )
        )
        return len(bodies)


@workflow.defn
class TenScripts:
    """One local activity that makes ten calls into the pool."""

    @workflow.run
    async def run(self, value: int, language: str) -> int:
        return await workflow.execute_local_activity(
            "scripts",
            args=(value, language),
            start_to_close_timeout=timedelta(seconds=2),
            retry_policy=ONCE,
        )


class HandWritten:
    """The activities of the hand-written workflows, on the same pools."""

    def __init__(self, group: RuntimeGroup) -> None:
        self._group = group

    @activity.defn
    async def echo(self, text: str) -> str:
        return text

    @activity.defn
    async def fetch(self, url: str) -> str:
        response = await self._group.http_client.send(HttpRequest("GET", url))
        return response.content.decode()

    @activity.defn
    async def scripts(self, value: int, language: str) -> int:
        pool = self._group.sandbox_pool
        lend = {"javascript": pool.js_vm, "python3": pool.python_vm, "wasm": pool.wasm_vm}[language]
        for _ in range(10):
            async with lend() as vm:
                result = await vm.execute(SCRIPTS[language], {"value": value}, SandboxLimits())
            value = cast("dict[str, int]", result.value)["value"]
        return value


def chain(name: str, make: Callable[[int], NodeSpec], count: int = 10) -> WorkflowSchema:
    """start → ``count`` nodes → end."""
    start = NodeSpec(id="start", type="start", data={"variables": [{"variable": "value"}]})
    middle = [make(i) for i in range(count)]
    outputs = [{"variable": "last", "value_selector": [f"n{count - 1}", "output"]}]
    nodes = (start, *middle, NodeSpec(id="end", type="end", data={"outputs": outputs}))
    edges = tuple(
        EdgeSpec(id=f"e{i}", source=a.id, target=b.id)
        for i, (a, b) in enumerate(itertools.pairwise(nodes))
    )
    return WorkflowSchema(name=name, nodes=nodes, edges=edges)


def fan(name: str, make: Callable[[int], NodeSpec], count: int) -> WorkflowSchema:
    """start → ``count`` nodes side by side → end."""
    start = NodeSpec(id="start", type="start", data={"variables": [{"variable": "value"}]})
    outputs = [{"variable": "last", "value_selector": ["n0", "body"]}]
    end = NodeSpec(id="end", type="end", data={"outputs": outputs})
    middle = [make(i) for i in range(count)]
    edges = [EdgeSpec(id=f"s{n.id}", source="start", target=n.id) for n in middle]
    edges += [EdgeSpec(id=f"e{n.id}", source=n.id, target="end") for n in middle]
    return WorkflowSchema(name=name, nodes=(start, *middle, end), edges=tuple(edges))


def before(index: int, variable: str) -> list[str]:
    return ["start", "value"] if index == 0 else [f"n{index - 1}", variable]


def template(index: int) -> NodeSpec:
    variables = [{"variable": "value", "value_selector": before(index, "output")}]
    data = {"template": "{{ value }}!", "variables": variables}
    return NodeSpec(id=f"n{index}", type="template-transform", title=f"n{index}", data=data)


def script(language: str) -> Callable[[int], NodeSpec]:
    def make(index: int) -> NodeSpec:
        variables = [{"variable": "value", "value_selector": before(index, "value")}]
        data = {"code": SCRIPTS[language], "language": language, "variables": variables}
        return NodeSpec(id=f"n{index}", type="code", title=f"n{index}", data=data)

    return make


def request(url: str) -> Callable[[int], NodeSpec]:
    def make(index: int) -> NodeSpec:
        data = {"method": "GET", "url": url}
        return NodeSpec(id=f"n{index}", type="http-request", title=f"n{index}", data=data)

    return make


def ours(client: Client, schema: WorkflowSchema, value: Any) -> Run:
    async def run() -> None:
        builder = WorkflowRunner.builder(schema).user_inputs({"value": value})
        handle = await builder.client(client, task_queue=QUEUE).run()
        await handle.wait()

    return run


def theirs(client: Client, name: str, *arguments: Any) -> Run:
    async def run() -> None:
        await client.execute_workflow(
            name, args=arguments, id=str(uuid.uuid4()), task_queue=QUEUE, task_timeout=TASK_TIMEOUT
        )

    return run


async def timed(run: Run) -> float:
    began = time.perf_counter()
    await run()
    return (time.perf_counter() - began) * 1000


async def compare(title: str, aim: float, mine: Run, hand: Run, rounds: int) -> None:
    """Alternate both, and print medians and the median of the ratios pair by pair."""
    for _ in range(3):
        await mine()
        await hand()
    pairs = [(await timed(mine), await timed(hand)) for _ in range(rounds)]
    left = statistics.median(a for a, _ in pairs)
    right = statistics.median(b for _, b in pairs)
    ratio = statistics.median(a / b for a, b in pairs)
    print(f"{title:<46} {left:7.1f} ms {right:7.1f} ms   ratio {ratio:.2f} (aim ≤ {aim})")


async def throughput(title: str, run: Run, in_flight: int, total: int) -> None:
    """Runs per second with a number of runs in flight."""
    left = iter(range(total))

    async def lane() -> None:
        for _ in left:
            await run()

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(in_flight)))
    print(f"{title:<46} {total / (time.perf_counter() - began):7.1f} runs/s")


async def history(client: Client, title: str, schema: WorkflowSchema, value: Any) -> None:
    """Events and bytes of history per node of a chain of ten."""
    builder = WorkflowRunner.builder(schema).user_inputs({"value": value})
    handle = await builder.client(client, task_queue=QUEUE).run()
    await handle.wait()
    fetched = await client.get_workflow_handle(handle.execution_id).fetch_history()
    events, size = len(fetched.events), sum(event.ByteSize() for event in fetched.events[1:])
    print(f"{title:<46} {events:4d} events, {(events - 5) / 10:.1f} and {size / 10:.0f} B a node")


async def main(rounds: int, address: str | None) -> None:
    async with AsyncExitStack() as stack:
        if address is None:
            address = (await stack.enter_async_context(start_server())).address
        client = await connect(address)
        group = RuntimeGroup.default()
        stack.push_async_callback(group.aclose)
        hand = HandWritten(group)
        mocks = (MockResponse("GET", "/", response_body="ok"),)
        server = stack.enter_context(MockServer(mocks))
        await stack.enter_async_context(
            Worker(
                client,
                task_queue=QUEUE,
                workflows=[GraphWorkflow, OneLocalActivity, TenRequests, ManyRequests, TenScripts],
                activities=[*NodeActivities(group).all(), hand.echo, hand.fetch, hand.scripts],
                workflow_runner=workflow_runner(sandboxed=False),
                max_heartbeat_throttle_interval=timedelta(seconds=1),
            )
        )
        await measure(client, server.url + "/", rounds)


async def measure(client: Client, url: str, rounds: int) -> None:
    templates = ours(client, chain("templates", template), "x")
    requests = ours(client, chain("requests", request(url)), "x")
    print(f"{'':<46} {'engine':>10} {'by hand':>10}")
    one = theirs(client, "OneLocalActivity", "x")
    await compare("10 templates / one local activity", 1.2, templates, one, rounds)
    for language in SCRIPTS:
        codes = ours(client, chain("codes", script(language)), 1)
        hand = theirs(client, "TenScripts", 1, language)
        await compare(
            f"10 codes, {language} / one activity with 10 calls", 1.3, codes, hand, rounds
        )
    await compare("10 requests / the same 10 activities", 1.1, requests,
                  theirs(client, "TenRequests", url), rounds)  # fmt: skip
    for count in (10, 50):
        await compare(
            f"{count} parallel requests / the same activities",
            1.1,
            ours(client, fan("fan", request(url), count), "x"),
            theirs(client, "ManyRequests", url, count),
            rounds,
        )
    await throughput("10 templates, 50 in flight (aim ≥ 100)", templates, 50, 1000)
    await throughput("one local activity by hand, 50 in flight", one, 50, 1000)
    await history(client, "history of 10 templates", chain("templates", template), "x")
    await history(client, "history of 10 codes", chain("codes", script("javascript")), 1)
    await history(client, "history of 10 requests", chain("requests", request(url)), "x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--address")
    options = parser.parse_args()
    asyncio.run(main(options.rounds, options.address))
