"""Runs that are larger than one history: a chain of requests, many items, many rounds.

    python benchmarks/large.py [--chain N] [--items N] [--rounds N] [--address HOST:PORT]

Prints the time, and how many events the histories of the run itself have. The server answers at
once; without an address an embedded Temporal server is started, in memory.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import time
from contextlib import AsyncExitStack
from typing import Any

from temporalio.client import Client

from xworkflow.client.connection import connect
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.embedded.server import start_server
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker

QUEUE = "benchmark"
SCRIPT = "function main({ n }) { return { n: n + 1 } }"


def node(id_: str, type_: str, **data: Any) -> NodeSpec:
    return NodeSpec(id=id_, type=type_, title=id_, data={"type": type_, "title": id_, **data})


def chained(*nodes: NodeSpec) -> tuple[EdgeSpec, ...]:
    pairs = enumerate(itertools.pairwise(nodes))
    return tuple(EdgeSpec(id=f"e{i}", source=a.id, target=b.id) for i, (a, b) in pairs)


def drawn(name: str, *nodes: NodeSpec) -> WorkflowSchema:
    return WorkflowSchema(name=name, nodes=nodes, edges=chained(*nodes))


def chain(count: int, url: str) -> WorkflowSchema:
    calls = (node(f"h{i}", "http-request", method="GET", url=f"{url}/ok") for i in range(count))
    last = [{"variable": "last", "value_selector": [f"h{count - 1}", "status_code"]}]
    return drawn("chain", node("start", "start"), *calls, node("end", "end", outputs=last))


def iteration(work: NodeSpec, output: str, *, parallel: bool) -> WorkflowSchema:
    outputs = [{"variable": "n", "value_selector": [work.id, output]}]
    inner = (node("s", "start", variables=[]), work, node("e", "end", outputs=outputs))
    body = {
        "nodes": [spec.model_dump(mode="json", exclude_defaults=True) for spec in inner],
        "edges": [e.model_dump(mode="json", exclude_defaults=True) for e in chained(*inner)],
    }
    repeated = node(
        "it", "iteration", input_selector=["start", "items"], sub_graph=body,
        output_variable="out", parallel=parallel, max_iterations=10**6,
    )  # fmt: skip
    start = node("start", "start", variables=[{"variable": "items"}])
    ends = [{"variable": "out", "value_selector": ["it", "out"]}]
    return drawn("iteration", start, repeated, node("end", "end", outputs=ends))


def loop(rounds: int) -> WorkflowSchema:
    """Rounds of nothing but inline nodes; that there are no more of them fails the run."""
    text = node("t", "template-transform", template="x", variables=[])
    inner = (node("s", "start", variables=[]), text, node("e", "end", outputs=[]))
    body = {
        "nodes": [spec.model_dump(mode="json", exclude_defaults=True) for spec in inner],
        "edges": [e.model_dump(mode="json", exclude_defaults=True) for e in chained(*inner)],
    }
    always = {"variable_selector": ["loop", "n"], "comparison_operator": "less_than", "value": 1}
    repeated = node(
        "lo", "loop", condition=always, initial_vars={"n": 0}, max_iterations=rounds,
        sub_graph=body, output_variable="out",
    )  # fmt: skip
    return drawn("loop", node("start", "start"), repeated, node("end", "end", outputs=[]))


def script() -> NodeSpec:
    bound = [{"variable": "n", "value_selector": ["__scope__", "item"]}]
    return node("c", "code", code=SCRIPT, variables=bound)


async def measure(client: Client, name: str, schema: WorkflowSchema, items: int) -> None:
    builder = WorkflowRunner.builder(schema).user_inputs({"items": list(range(items))})
    builder.config(EngineConfig(max_steps=10**6, max_execution_time_secs=None))
    began = time.perf_counter()
    handle = await builder.client(client, task_queue=QUEUE).run()
    status = await handle.wait()
    took = time.perf_counter() - began
    if isinstance(status, Completed):
        out: Any = status.outputs.get("out", [])
        if len(out) != items:
            raise SystemExit(f"{name}: {len(out)} results")
    elif "Max iterations" not in str(status):
        raise SystemExit(f"{name}: {status}")
    histories, events = await length(client, handle)
    print(f"{name}: {took:.1f} s, {events} events in {histories} histories of the run itself")


async def length(client: Client, handle: WorkflowHandle) -> tuple[int, int]:
    run_id, histories, events = handle.first_run_id, 0, 0
    while run_id:
        fetched = await client.get_workflow_handle(
            handle.execution_id, run_id=run_id
        ).fetch_history()
        histories, events = histories + 1, events + len(fetched.events)
        last = fetched.events[-1].workflow_execution_continued_as_new_event_attributes
        run_id = last.new_execution_run_id
    return histories, events


async def main(options: argparse.Namespace) -> None:
    async with AsyncExitStack() as stack:
        address = options.address
        if address is None:
            address = (await stack.enter_async_context(start_server())).address
        client = await connect(address)
        group = RuntimeGroup.default()
        stack.push_async_callback(group.aclose)
        await stack.enter_async_context(build_worker(client, group, queue=QUEUE))
        web = stack.enter_context(MockServer((MockResponse("GET", "/ok", response_body="1"),)))
        call = node("h", "http-request", method="GET", url=f"{web.url}/ok")
        count = options.items
        if count:
            for parallel in (False, True):
                how = "ten at a time" if parallel else "one by one"
                scripts = iteration(script(), "n", parallel=parallel)
                await measure(client, f"{count} scripts, {how}", scripts, count)
            calls = iteration(call, "body", parallel=True)
            await measure(client, f"{count} requests, ten at a time", calls, count)
        if options.rounds:
            await measure(client, f"{options.rounds} rounds", loop(options.rounds), 0)
        if options.chain:
            name = f"{options.chain} requests in a row"
            await measure(client, name, chain(options.chain, web.url), 0)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--chain", type=int, default=10_000)
    parser.add_argument("--items", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=20_000)
    parser.add_argument("--address")
    asyncio.run(main(parser.parse_args()))
