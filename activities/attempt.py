"""One attempt of one node, outside the workflow: the only place where ``execute`` is called."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace

from pydantic import ValidationError

from xworkflow.activities.attempt_audit import AttemptAudit
from xworkflow.activities.delta_writer import DeltaWriter
from xworkflow.activities.fitting import fitting
from xworkflow.activities.masked_deltas import MaskedDeltas
from xworkflow.activities.metering import metered
from xworkflow.activities.secrets import AttemptSecrets, HttpWithSecrets
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
from xworkflow.runtime_group.masking import Masker
from xworkflow.telemetry.logs import about
from xworkflow.telemetry.spans import attempt_span

_log = logging.getLogger("xworkflow.node")


async def attempt(group: RuntimeGroup, task: NodeTask, activity_try: int = 1) -> NodeReport:
    """Run one attempt, and report how it ended. Failures are data; only cancellation is raised.

    ``activity_try`` counts Temporal's retries of it: a stream begins again with each.

    What leaves here holds no secret: not the report, nor logs, spans and the audit log.
    """
    with about(task.execution_id, task.node_id), attempt_span(task) as tell:
        made = _Attempt(group, task, activity_try)
        report = await metered(group, task, made.report)
        made.audit_budgets(report)
        tell(report)
        _log_end(task, report)
    return report


class _Attempt:
    def __init__(self, group: RuntimeGroup, task: NodeTask, activity_try: int) -> None:
        self._group = group
        self._task = task
        self._activity_try = activity_try
        self._masker = Masker()
        self._audit = AttemptAudit(group, task, self._masker)
        self._secrets = AttemptSecrets(group, self._masker, self._audit)

    def audit_budgets(self, report: NodeReport) -> None:
        """A call that its group's budgets refuse is never made, so nobody else tells of it."""
        if report.failure is not None:
            self._audit.over_quota(report.failure)

    async def report(self) -> NodeReport:
        try:
            result = await self._within_time()
        except NodeError as error:
            self._audit.failed(error)
            return self._failed(error.failure)
        except MisuseError as error:
            return self._failed(NodeFailure.of_kind("config_error", str(error)))
        except Exception as error:  # noqa: BLE001 - a fault of ours or of a plugin: it fails its node, nothing else
            task = self._task
            trace = self._masker.text(traceback.format_exc())
            _log.error("node %s of run %s\n%s", task.node_id, task.execution_id, trace)
            text = f"Internal error: {error!r}"
            return self._failed(NodeFailure(code="internal_error", text=text))
        report = NodeReport(at=_now(), result=self._masker.model(result))
        return self._fitting(report, result)

    def _fitting(self, report: NodeReport, result: NodeRunResult) -> NodeReport:
        sent = fitting(self._task.node_id, report)
        if sent.failure is None:
            self._audit.succeeded(result)
        else:
            self._audit.failed(NodeError(sent.failure))
        return sent

    async def _within_time(self) -> NodeRunResult:
        """The node's result, within the shorter of its own time limit and its group's."""
        task, limits = self._task, self._group.limits
        seconds = limits.seconds(task.node_type, task.timeout_secs)
        limit = asyncio.timeout(seconds)
        try:
            async with limit:
                result = await self._execute()
        except TimeoutError:
            if not limit.expired():
                raise
            rule = "" if seconds == task.timeout_secs else " (rule max_execution_time)"
            text = f"Node execution timed out after {_seconds(seconds)}s{rule}"
            raise NodeError(NodeFailure.timeout(text)) from None
        limits.check_outputs(task.node_id, task.node_type, result.outputs)
        return result

    async def _execute(self) -> NodeRunResult:
        group = self._group
        executor = group.node_executor_registry.get(self._task.node_type)
        foreign = not isinstance(executor, BuiltInExecutor)
        task = await self._secrets.filled(self._task, foreign=foreign)
        if not isinstance(executor, BuiltInExecutor):
            context = _context(group, task)
            return await executor.execute(task.node_id, task.data, _pool(task), context)
        node_type = executor.node_type
        try:
            data = node_type.data_model.model_validate(task.data)
        except ValidationError as error:
            raise NodeError.of_kind("config_error", str(error.errors()[0]["msg"])) from None
        node = Node(task.node_id, task.node_type, task.title, data, task.dialect)
        values = group.limits.guarded(CrossedValues({v.selector: v.value for v in task.values}))
        if isinstance(node_type, WorkNode):
            async with self._deltas(streams=node_type.streams(node)) as sink:
                return await node_type.execute(node, values, self._ports(task, sink))
        assert isinstance(node_type, InlineNode)  # noqa: S101 - a type is one of both
        return node_type.run(node, values)

    @asynccontextmanager
    async def _deltas(self, *, streams: bool) -> AsyncGenerator[DeltaSink | None]:
        """Where the pieces of an answer go while they come; None where nobody could read them."""
        store, task = self._group.stream_store, self._task
        if store is None or not streams or not (task.stream or task.dialect == "native"):
            yield None
            return
        run, tries = task.execution_id, self._activity_try
        key = StreamKey(run, task.node_execution_id, task.attempt, tries)
        async with DeltaWriter(store, key) as sink:
            masked = MaskedDeltas(sink, self._masker)
            try:
                yield masked
            finally:
                masked.close()

    def _ports(self, task: NodeTask, deltas: DeltaSink | None) -> Ports:
        ports = self._group.ports(
            _time(task),
            stream=task.stream,
            deltas=deltas,
            idempotency_key=task.idempotency_key,
            strict_template=task.strict_template,
            node_type=task.node_type,
        )
        return replace(
            ports,
            http=HttpWithSecrets(ports.http, self._masker),
            credential_provider=self._secrets.watching(ports.credential_provider),
            audit_logger=self._audit.port,
        )

    def _failed(self, failure: NodeFailure) -> NodeReport:
        report = NodeReport(at=_now(), failure=self._masker.model(failure))
        return fitting(self._task.node_id, report)


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


def _now() -> int:
    return int(time.time() * 1000)


def _seconds(value: float | None) -> JsonValue:
    return int(value) if value is not None and value == int(value) else value
