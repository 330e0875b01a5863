"""Memory of runs in a worker (spec/runtime.md 8.3): nothing of one is left when it is over."""

from __future__ import annotations

import asyncio
import gc
import sys
import time
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio

from tests.workflows.drawing import SPIN_FOR_EVER, chain, code, end, node, start, text
from xworkflow.activities.attempt import attempt
from xworkflow.context import WorkflowContext
from xworkflow.domain.commands import FinishRun, StartNode
from xworkflow.domain.facts import RunStarted
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.domain.state import RunState, initial_state
from xworkflow.domain.wire import ExecutorInfo
from xworkflow.engine.compile import Compiled, CompileOptions, compile_schema
from xworkflow.engine.driver import Driver, Effect, fact_of
from xworkflow.errors import NodeError
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.runtime_group.group import RuntimeGroup

WARM_UPS, RUNS = 5, 50
BYTES_LEFT_OF_A_RUN = 2048
SCHEMA = chain(
    "c",
    start("n"),
    text("t", "<{{ v }}>", of="start.n"),
    node("seen", "watched"),
    code("x"),
    end(out="x.n", text="t.output"),
)


class Watched:
    """An executor that remembers the contexts that it saw, without keeping them alive."""

    def __init__(self) -> None:
        self.contexts: list[weakref.ref[WorkflowContext]] = []

    async def execute(
        self, node_id: str, config: Mapping[str, Any], variable_pool: VariablePool, context: Any
    ) -> NodeRunResult:
        del node_id, variable_pool
        self.contexts.append(weakref.ref(context))
        if config.get("fails"):
            raise NodeError.of_kind("execution_error", "boom")
        return NodeRunResult(outputs={"ok": True})


class Run:
    """One run with the nodes' real work, as an activity does it."""

    def __init__(
        self, group: RuntimeGroup, schema: WorkflowSchema, inputs: Mapping[str, Any]
    ) -> None:
        options = CompileOptions(executors={"watched": ExecutorInfo()})
        self.compiled = compile_schema(schema, NodeRegistry.builtin(), options)
        pool = VariablePool({"start": dict(inputs)})
        state = initial_state(self.compiled.plan, pool=pool, config=EngineConfig(), id_base="run")
        self.driver = Driver(self.compiled, state)
        self._group = group

    async def result(self, *, over_time: bool = False) -> RunResult:
        """Carry it to its end; ``over_time``: as if it had begun in 1970."""
        began = 0 if over_time else int(time.time() * 1000)
        todo: list[Effect] = self.driver.feed(RunStarted(began))
        for effect in todo:  # grows on the way
            if isinstance(effect, FinishRun):
                return effect.result
            if isinstance(effect, StartNode):
                task = self.driver.task(effect, "run")
                report = await attempt(self._group, task)
                todo += self.driver.feed(fact_of(effect.node, effect.attempt, report))
        raise AssertionError("the run stands still and has not ended")


def group_of(watched: Watched) -> RuntimeGroup:
    registry = NodeExecutorRegistry()
    registry.register("watched", watched)
    return RuntimeGroup.builder().node_executor_registry(registry).build()


@pytest_asyncio.fixture
async def group() -> AsyncIterator[RuntimeGroup]:
    group = group_of(Watched())
    yield group
    await group.aclose()


async def carried(group: RuntimeGroup, n: int) -> None:
    result = await Run(group, SCHEMA, {"n": n}).result()
    assert result.outputs == {"out": n + 1, "text": f"<{n}>"}


def alive(*kinds: type) -> int:
    """How many objects of these kinds there are, as far as the collector knows them.

    Asks no object for its class: a proxy of the workflow sandbox does not stand that.
    """
    gc.collect()
    return sum(issubclass(type(each), kinds) for each in gc.get_objects())


async def test_50_runs_after_5_warm_ups_grow_the_heap_by_less_than_half(
    group: RuntimeGroup,
) -> None:
    """By next to nothing, in fact: what is traced is only what these runs left."""
    tracemalloc.start()
    try:
        for n in range(WARM_UPS):
            await carried(group, n)
        kept = alive(Compiled, Driver, RunState, VariablePool, WorkflowContext)
        blocks, before = sys.getallocatedblocks(), tracemalloc.get_traced_memory()[0]
        for n in range(RUNS):
            await carried(group, n)
        assert alive(Compiled, Driver, RunState, VariablePool, WorkflowContext) == kept
        after = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert sys.getallocatedblocks() < 1.5 * blocks
    assert after - before < RUNS * BYTES_LEFT_OF_A_RUN


async def test_3_rounds_of_5_concurrent_runs_leave_no_more_than_one_round(
    group: RuntimeGroup,
) -> None:
    kept: list[int] = []
    for round_ in range(3):
        await asyncio.gather(*(carried(group, 10 * round_ + n) for n in range(5)))
        kept.append(alive(Compiled, Driver, RunState, VariablePool, WorkflowContext))
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize(
    ("last", "over_time", "error"),
    [
        pytest.param(code("x"), False, None, id="success"),
        pytest.param(node("x", "watched", fails=True), False, "boom", id="error"),
        pytest.param(
            code("x", script=SPIN_FOR_EVER, timeout=0.2), False, "Execution timeout", id="timeout"
        ),
        pytest.param(code("x"), True, "Execution timeout", id="timeout of the run"),
    ],
)
async def test_all_that_a_run_had_is_freed_however_it_ended(
    last: NodeSpec, over_time: bool, error: str | None
) -> None:
    watched = Watched()
    group = group_of(watched)
    run = Run(group, chain("c", start("n"), node("seen", "watched"), last, end()), {"n": 1})
    result = await run.result(over_time=over_time)
    await group.aclose()
    assert (
        (result.error is None) if error is None else (result.error and error in result.error.text)
    )
    assert len(watched.contexts) >= 1
    of_run = [weakref.ref(run.compiled), weakref.ref(run.driver), *watched.contexts]
    of_group = [weakref.ref(each) for each in (group.node_executor_registry, group.sandbox_pool)]
    pools = alive(VariablePool)
    del run, result
    assert alive(VariablePool) < pools
    assert [each() for each in of_run] == [None] * len(of_run)
    assert all(each() is not None for each in of_group)
    del group
    gc.collect()
    assert [each() for each in of_group] == [None, None]
