"""Record golden histories: ``make record-history [NAME=…]``.

Each becomes ``NAME.json`` (``NAME.2.json``, … for a run that continued as new) and
``NAME.events.json``, what a reader saw. A history that is there is never written again unless it is
named: it stands for what has shipped.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from temporalio.client import Client, WorkflowHistory

from tests.histories import yields
from tests.histories.shapes import SHAPES, WEB, Shape
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.debugging import DebugConfig
from xworkflow.domain.events import UNNUMBERED
from xworkflow.domain.governing import USAGE_QUERY, GroupUsage, governor_id
from xworkflow.domain.wire import SUBGRAPH_WORKFLOW
from xworkflow.embedded.server import start_server
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockServer
from xworkflow.worker import build_worker

FOLDER = Path(__file__).parent
QUEUE = "golden"
T = TypeVar("T")


async def record(names: list[str]) -> None:
    """Run the shapes on a server and a worker of our own, and write their histories."""
    async with start_server() as server:
        client = await Client.connect(
            server.address, data_converter=DATA_CONVERTER, identity="golden"
        )
        for name in names:
            if name == yields.NAME:
                await yields.record_yields(client)
            else:
                await _record(name, SHAPES[name], client)
            sys.stdout.write(f"recorded {name}\n")


async def _record(name: str, shape: Shape, client: Client) -> None:
    group = RuntimeGroup(group_id=shape.group_id, usage_quota=shape.usage_quota)
    try:
        async with build_worker(client, group, queue=QUEUE):
            with MockServer(WEB) as web:
                handle = await _run(name, shape, client, group, web.url)
        await _write(name, handle, client)
        if shape.usage_quota is not None:
            await _write_ledger(name, shape, client)
    finally:
        await group.aclose()


async def _run(
    name: str, shape: Shape, client: Client, group: RuntimeGroup, url: str
) -> WorkflowHandle:
    context = WorkflowContext.new(group)
    golden = f"golden-{name}"
    context.execution_id = golden if shape.fork_from is None else f"{golden}-origin"
    builder = WorkflowRunner.builder(shape.draw(url)).context(context)
    builder.user_inputs(shape.inputs(url)).mock_nodes(shape.mocks).options(**shape.options)
    if shape.debug:
        builder.debug(DebugConfig(break_on_start=True))
    first = await _take_the_place(shape, client, group, url) if shape.queued else None
    handle = await builder.client(client, task_queue=QUEUE).run()
    if first is not None:
        await _until(lambda: _waiting_in_ledger(shape, client))
        await first.cancel()
    if shape.answer is not None:
        (question,) = await _until(handle.waiting)
        await handle.answer(question, **shape.answer)
    if shape.act is not None:
        await shape.act(handle)
    if shape.stop_at is not None:
        async for event in handle.events():
            if event.type == "node_run_started" and event.data["node_id"] == shape.stop_at:
                await handle.cancel()
    await handle.wait()
    if shape.fork_from is not None:
        handle = await handle.fork(from_node=shape.fork_from, execution_id=golden)
        await handle.wait()
    return handle


async def _take_the_place(
    shape: Shape, client: Client, group: RuntimeGroup, url: str
) -> WorkflowHandle:
    """A run that goes on until it is cancelled."""
    schema = SHAPES["cancelled"].draw(url)
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    handle = await builder.user_inputs(shape.inputs(url)).client(client, task_queue=QUEUE).run()
    await anext(handle.events())
    return handle


async def _waiting_in_ledger(shape: Shape, client: Client) -> int:
    ledger = client.get_workflow_handle(governor_id(shape.group_id or ""))
    return (await ledger.query(USAGE_QUERY, result_type=GroupUsage)).waiting


async def _until(asked: Callable[[], Awaitable[T]]) -> T:
    """The first answer that is not empty."""
    while not (found := await asked()):
        await asyncio.sleep(0.05)
    return found


async def _write_ledger(name: str, shape: Shape, client: Client) -> None:
    """The ledger of a governed shape has a history that has to replay, too."""
    ledger = client.get_workflow_handle(governor_id(shape.group_id or ""))
    data = json.loads((await ledger.fetch_history()).to_json())
    (FOLDER / "ledgers" / f"{name}.json").write_text(json.dumps(data, indent=1) + "\n")


async def _write(name: str, handle: WorkflowHandle, client: Client) -> None:
    run_id, number = handle.first_run_id, 1
    while run_id is not None:
        fetched = await client.get_workflow_handle(
            handle.execution_id, run_id=run_id
        ).fetch_history()
        suffix = "" if number == 1 else f".{number}"
        data = json.loads(fetched.to_json())
        (FOLDER / f"{name}{suffix}.json").write_text(json.dumps(data, indent=1) + "\n")
        run_id, number = _next_run(fetched), number + 1
    # a cursor and pieces of streams are the reader's own affair
    events = [
        replace(event, cursor="").to_json()
        async for feed, new in handle.read(follow=False)
        if feed.workflow_id == handle.execution_id
        for event in new
        if event.type not in UNNUMBERED
    ]
    await _write_children(name, handle, client)
    (FOLDER / f"{name}.events.json").write_text(json.dumps(events, indent=1) + "\n")


async def _write_children(name: str, handle: WorkflowHandle, client: Client) -> None:
    """The histories of the run's sub-graphs, of any depth, in the order of their ids."""
    found: dict[tuple[str, str], WorkflowHistory] = {}
    todo: list[tuple[str, str | None]] = [(handle.execution_id, handle.first_run_id)]
    while todo:
        workflow_id, run_id = todo.pop()
        fetched = await client.get_workflow_handle(workflow_id, run_id=run_id).fetch_history()
        if workflow_id != handle.execution_id:
            found[workflow_id, run_id or ""] = fetched
        for event in fetched.events:
            child = event.child_workflow_execution_started_event_attributes
            if child.workflow_type.name == SUBGRAPH_WORKFLOW:
                todo.append((child.workflow_execution.workflow_id, child.workflow_execution.run_id))
        following = _next_run(fetched)
        if following is not None:
            todo.append((workflow_id, following))
    for number, key in enumerate(sorted(found), 1):
        workflow_id, history = key[0], found[key]
        kept = {"workflow_id": workflow_id, "history": json.loads(history.to_json())}
        path = FOLDER / "children" / f"{name}.{number}.json"
        path.write_text(json.dumps(kept, indent=1) + "\n")


def _next_run(history: WorkflowHistory) -> str | None:
    last = history.events[-1]
    continued = last.workflow_execution_continued_as_new_event_attributes
    return continued.new_execution_run_id or None


if __name__ == "__main__":
    missing = [name for name in SHAPES if not (FOLDER / f"{name}.json").exists()]
    missing += [] if yields.HISTORY.exists() else [yields.NAME]
    asyncio.run(record(sys.argv[1:] or missing))
