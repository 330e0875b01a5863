"""Starting runs: what is refused before it starts, and that a repeated start is the same run."""

from __future__ import annotations

import uuid

import pytest
from temporalio.service import RPCError

from tests.workflows.bench import Bench, history, kinds, read
from tests.workflows.drawing import chain, end, node, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.status import Completed, Running
from xworkflow.errors import InputError, ValidationFailed

pytestmark = pytest.mark.temporal

PLAIN = chain("plain", start("n"), end(n="start.n"))


async def test_a_repeated_start_is_the_same_open_run(idle_bench: Bench) -> None:
    name = str(uuid.uuid4())
    first = await idle_bench.start(PLAIN, {"n": 1}, execution_id=name)
    again = await idle_bench.start(PLAIN, {"n": 2}, execution_id=name)
    assert await again.status() == Running()
    assert again.first_run_id == first.first_run_id
    async with idle_bench.worker(sandboxed=True):
        assert await again.wait() == await first.wait() == Completed({"n": 1})
    counted = kinds(await history(first, idle_bench.client))
    assert counted["workflow_execution_started"] == 1


async def test_a_repeated_start_of_a_finished_run_gives_its_result(bench: Bench) -> None:
    name = str(uuid.uuid4())
    first = await bench.start(PLAIN, {"n": 1}, execution_id=name)
    await first.wait()
    again = await bench.start(PLAIN, {"n": 2}, execution_id=name)
    assert await again.wait() == Completed({"n": 1})
    assert await read(again) == await read(first)


async def test_what_does_not_pass_validation_is_not_started(idle_bench: Bench) -> None:
    name = str(uuid.uuid4())
    with pytest.raises(ValidationFailed):
        await idle_bench.start(
            chain("x", start(), node("odd", "no-such-type"), end()), execution_id=name
        )
    with pytest.raises(RPCError):
        await idle_bench.client.get_workflow_handle(name).describe()


async def test_inputs_that_the_start_node_refuses_are_not_started(idle_bench: Bench) -> None:
    asks = node("start", "start", variables=[{"variable": "n", "required": True, "type": "number"}])
    with pytest.raises(InputError):
        await idle_bench.start(chain("x", asks, end()), {})


async def test_a_run_that_is_not_there_is_said_in_one_sentence(idle_bench: Bench) -> None:
    nobody = WorkflowHandle(idle_bench.client, "no-such-run")
    for asked in (nobody.wait(), nobody.status(), nobody.state(), read(nobody)):
        with pytest.raises(InputError, match="there is no run 'no-such-run'"):
            await asked
    await nobody.cancel()


async def test_queries_need_a_worker_and_events_do_not(idle_bench: Bench) -> None:
    handle = await idle_bench.start(PLAIN, {"n": 1})
    async with idle_bench.worker(sandboxed=True):
        await handle.wait()
    assert (await read(handle))[-1].type == "graph_run_succeeded"
    assert await handle.status() == Completed({"n": 1})
