"""One attempt of one node, outside the workflow: the only place where ``execute`` is called."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from pydantic import ValidationError

from xworkflow.activities.delta_writer import DeltaWriter
from xworkflow.activities.metering import metered
from xworkflow.context import WorkflowContext, live_context
from xworkflow.domain.deltas import StreamKey
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import HANDLER_SUFFIX, NodeReport, NodeTask, activity_id
from xworkflow.errors import MisuseError, NodeError, NodeFailure
from xworkflow.nodes.base import CrossedValues, InlineNode, Node, WorkNode
from xworkflow.nodes.crossed_pool import CrossedPool
from xworkflow.nodes.executors import BuiltInExecutor
from xworkflow.ports import DeltaSink, IdGenerator, Ports, TimeProvider
from xworkflow.providers import (
    FakeIdGenerator,
    FakeTimeProvider,
    RealIdGenerator,
    RealTimeProvider,
)
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.telemetry.logs import about
from xworkflow.telemetry.spans import attempt_span

_log = logging.getLogger("xworkflow.node")


async def attempt(group: RuntimeGroup, task: NodeTask, activity_try: int = 1) -> NodeReport:
    """Run one attempt, and report how it ended. Failures are data; only cancellation is raised.

    ``activity_try`` counts Temporal's retries of it: a stream begins again with each.
    """
    with about(task.execution_id, task.node_id), attempt_span(task) as tell:
        report = await metered(group, task, lambda: _attempt(group, task, activity_try))
        tell(report)
        _log_end(task, report)
    return report


async def _attempt(group: RuntimeGroup, task: NodeTask, activity_try: int) -> NodeReport:
    limit = asyncio.timeout(task.timeout_secs)
    try:
        async with limit:
            result = await _execute(group, task, activity_try)
    except TimeoutError:
        if not limit.expired():
            raise
        text = f"Node execution timed out after {_seconds(task.timeout_secs)}s"
        return _failed(NodeFailure.timeout(text))
    except NodeError as error:
        return _failed(error.failure)
    except MisuseError as error:
        return _failed(NodeFailure.of_kind("config_error", str(error)))
    except Exception as error:  # noqa: BLE001 - a fault of ours or of a plugin: it fails its node, nothing else
        _log.exception("node %s of run %s", task.node_id, task.execution_id)
        return _failed(NodeFailure(code="internal_error", text=f"Internal error: {error!r}"))
    return NodeReport(at=_now(), result=result)


async def _execute(group: RuntimeGroup, task: NodeTask, activity_try: int) -> NodeRunResult:
    executor = group.node_executor_registry.get(task.node_type)
    if not isinstance(executor, BuiltInExecutor):
        context = _context(group, task)
        return await executor.execute(task.node_id, task.data, _pool(task), context)
    node_type = executor.node_type
    try:
        data = node_type.data_model.model_validate(task.data)
    except ValidationError as error:
        raise NodeError.of_kind("config_error", str(error.errors()[0]["msg"])) from None
    node = Node(task.node_id, task.node_type, task.title, data, task.dialect)
    values = CrossedValues({v.selector: v.value for v in task.values})
    if isinstance(node_type, WorkNode):
        async with _deltas(group, task, activity_try, streams=node_type.streams(node)) as sink:
            return await node_type.execute(node, values, _ports(group, task, sink))
    assert isinstance(node_type, InlineNode)  # noqa: S101 - a type is one of both
    return node_type.run(node, values)


@asynccontextmanager
async def _deltas(
    group: RuntimeGroup, task: NodeTask, activity_try: int, *, streams: bool
) -> AsyncGenerator[DeltaSink | None]:
    """Where the pieces of an answer go while they come; None where nobody could read them."""
    wanted = task.stream or task.dialect == "native"
    if group.stream_store is None or not streams or not wanted:
        yield None
        return
    key = StreamKey(task.execution_id, task.node_execution_id, task.attempt, activity_try)
    async with DeltaWriter(group.stream_store, key) as sink:
        yield sink


def _ports(group: RuntimeGroup, task: NodeTask, deltas: DeltaSink | None = None) -> Ports:
    return group.ports(
        _time(task),
        stream=task.stream,
        deltas=deltas,
        idempotency_key=task.idempotency_key,
        strict_template=task.strict_template,
    )


def _time(task: NodeTask) -> TimeProvider:
    if task.fixed_timestamp is None:
        return RealTimeProvider()
    return FakeTimeProvider(task.fixed_timestamp)


def _ids(task: NodeTask) -> IdGenerator:
    """Fake ids of an executor's own: the run's count is in the workflow."""
    if task.fake_id_prefix is None:
        return RealIdGenerator()
    return FakeIdGenerator(f"{task.fake_id_prefix}-{activity_id(task.node_id, task.attempt)}")


def _context(group: RuntimeGroup, task: NodeTask) -> WorkflowContext:
    """The run's context as an executor sees it: the live group, and what is the run's own."""
    context = WorkflowContext(
        runtime_group=group,
        execution_id=task.execution_id,
        workflow_id=task.execution_id,
        start_time=task.start_time,
        time_provider=_time(task),
        id_generator=_ids(task),
        strict_template=task.strict_template,
        idempotency_key=task.idempotency_key,
    )
    live = live_context(task.execution_id.removesuffix(f"/{HANDLER_SUFFIX}"))
    return context if live is None else context.with_live_parts_of(live)


def _pool(task: NodeTask) -> VariablePool:
    """A snapshot for an executor that reads all; for others what their configuration names."""
    if task.pool is not None:
        return VariablePool(task.pool)
    return CrossedPool({crossed.selector: crossed.value for crossed in task.values})


def _log_end(task: NodeTask, report: NodeReport) -> None:
    if report.failure is None:
        _log.info("%s succeeded", task.node_type)
    else:
        _log.info("%s failed: %s", task.node_type, report.failure.text)


def _failed(failure: NodeFailure) -> NodeReport:
    return NodeReport(at=_now(), failure=failure)


def _now() -> int:
    return int(time.time() * 1000)


def _seconds(value: float | None) -> JsonValue:
    return int(value) if value is not None and value == int(value) else value
