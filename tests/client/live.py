"""Runs that this process serves itself, and an executor that looks around in its context."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from tests.workflows.drawing import chain, end, node, start
from xworkflow.client.builder import WorkflowRunnerBuilder
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus
from xworkflow.context import WorkflowContext
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.runtime_group import RuntimeGroup

Look = Callable[[WorkflowContext, VariablePool], Awaitable[JsonValue]]

PROBED = chain("probed", start("n"), node("probe", "probe"), end(seen="probe.seen"))


async def see_nothing(_context: WorkflowContext, _pool: VariablePool) -> JsonValue:
    return None


class Probe:
    """Keeps the context of each run. A run passes when ``parties`` of them are in it at once, so
    that these runs are known to have lived at the same time."""

    def __init__(self, look: Look = see_nothing, *, parties: int = 1) -> None:
        self.contexts: dict[str, WorkflowContext] = {}
        self.configs: list[Mapping[str, JsonValue]] = []
        self._look = look
        self._all_in = asyncio.Barrier(parties)
        self._arrived = asyncio.Condition()

    async def arrival_of(self, handle: WorkflowHandle) -> None:
        """Wait until a run stands in the probe."""
        async with asyncio.timeout(30), self._arrived:
            await self._arrived.wait_for(lambda: handle.execution_id in self.contexts)

    async def execute(
        self,
        node_id: str,
        config: Mapping[str, JsonValue],
        variable_pool: VariablePool,
        context: WorkflowContext,
    ) -> NodeRunResult:
        del node_id
        async with self._arrived:
            self.contexts[context.execution_id] = context
            self.configs.append(config)
            self._arrived.notify_all()
        seen = await self._look(context, variable_pool)
        async with asyncio.timeout(30):
            await self._all_in.wait()
        return NodeRunResult(outputs={"seen": seen})


def group_with(probe: Any, **parts: Any) -> RuntimeGroup:
    """A live group with an executor for the type ``probe``."""
    registry = NodeExecutorRegistry()
    registry.register("probe", probe)
    return RuntimeGroup(node_executor_registry=registry, **parts)


def runner(context: WorkflowContext | RuntimeGroup, n: JsonValue = 1) -> WorkflowRunnerBuilder:
    """A builder of a probed run, in a context or in a fresh one of a group."""
    if isinstance(context, RuntimeGroup):
        context = WorkflowContext.new(context)
    return WorkflowRunner.builder(PROBED).context(context).user_inputs({"n": n})


async def at_once(*builders: WorkflowRunnerBuilder) -> list[ExecutionStatus]:
    """How runs end that are started together."""
    handles = await asyncio.gather(*(builder.run() for builder in builders))
    return await ended(*handles)


async def ended(*handles: WorkflowHandle) -> list[ExecutionStatus]:
    async with asyncio.timeout(60):
        return list(await asyncio.gather(*(handle.wait() for handle in handles)))


def seen(status: ExecutionStatus) -> Any:
    """What the probe of a run saw."""
    assert isinstance(status, Completed), status
    return status.outputs["seen"]
