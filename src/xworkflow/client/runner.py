"""``WorkflowRunner``: validates a workflow, starts it on Temporal, and hands out its handle."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final, Self

from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from xworkflow.client.connection import configured_address, connect
from xworkflow.client.handle import WorkflowHandle
from xworkflow.context import WorkflowContext
from xworkflow.domain.diagnostics import Report
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue, normalise
from xworkflow.domain.wire import (
    GRAPH_WORKFLOW,
    ExecutorInfo,
    MockNode,
    Policy,
    RunInput,
    RunOptions,
    Variables,
    task_queue,
)
from xworkflow.engine.validation import validated
from xworkflow.errors import InfrastructureError, InputError, ValidationFailed
from xworkflow.nodes.start import check_inputs, start_variables
from xworkflow.providers import FakeIdGenerator, FakeTimeProvider

TASK_TIMEOUT: Final = timedelta(seconds=2)
"""A workflow task whose worker died is given to another after this; the default is 10 s."""


class WorkflowRunner:
    """Where a run begins: ``WorkflowRunner.builder(schema)…run()``."""

    @staticmethod
    def builder(schema: WorkflowSchema) -> WorkflowRunnerBuilder:
        return WorkflowRunnerBuilder(schema)


class WorkflowRunnerBuilder:
    """Collects what a run is started with. Setters replace, they do not merge."""

    def __init__(self, schema: WorkflowSchema) -> None:
        self._schema = schema
        self._context: WorkflowContext | None = None
        self._variables: dict[str, dict[str, JsonValue]] = {}
        self._config: EngineConfig | None = None
        self._mocks: dict[str, MockNode] = {}
        self._client: Client | None = None
        self._task_queue: str | None = None
        self._options: dict[str, Any] = {}

    # ---- setters

    def context(self, context: WorkflowContext) -> Self:
        """The run's context, with its group. A live group is served by a worker in this process."""
        self._context = context
        return self

    def runtime_group(self, group: Any) -> Self:  # noqa: ANN401 - a RuntimeGroup; see context.py
        """A fresh context on a group; call it first, as it replaces the context."""
        return self.context(WorkflowContext.new(group))

    def user_inputs(self, inputs: Mapping[str, JsonValue]) -> Self:
        return self._set("user_inputs", inputs)

    def system_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set("system", values)

    def environment_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set("environment", values)

    def conversation_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set("conversation", values)

    def config(self, config: EngineConfig) -> Self:
        self._config = config
        return self

    def mock_nodes(self, mocks: Mapping[str, MockNode]) -> Self:
        """Give nodes, by id, their outputs or error instead of letting them work."""
        self._mocks = dict(mocks)
        return self

    def client(self, client: Client, *, task_queue: str | None = None) -> Self:
        """Use a client of one's own; then workers are somebody else's affair."""
        self._client = client
        self._task_queue = task_queue
        return self

    def options(self, **options: Any) -> Self:  # noqa: ANN401 - fields of RunOptions
        """Fields of ``RunOptions``."""
        self._options = options
        return self

    # ---- the run

    def validate(self) -> Report:
        """All diagnostics of the workflow."""
        policy = self._context.security_policy() if self._context is not None else None
        return validated(
            self._schema,
            mocked=frozenset(self._mocks),
            foreign=frozenset(self._foreign()),
            limits=policy.dsl_validation if policy is not None else None,
        )

    def check(self) -> None:
        """Raises ValidationFailed or InputError for what must not be started."""
        report = self.validate()
        if not report.is_valid:
            raise ValidationFailed(report)
        given = self._variables.get("user_inputs", {})
        problems = check_inputs(start_variables(self._schema), given, self._schema.dialect)
        if problems:
            raise InputError(problems)

    async def run(self) -> WorkflowHandle:
        """Start the run, or find the one with the same execution id. Does not wait for its end.

        Raises ValidationFailed, InputError, InfrastructureError; then nothing was started.
        """
        self.check()
        context = self._context or WorkflowContext.default()
        client, queue = await self._place(context)
        try:
            handle = await client.start_workflow(
                GRAPH_WORKFLOW,
                self.run_input(context),
                id=context.execution_id,
                task_queue=queue,
                task_timeout=TASK_TIMEOUT,
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                static_summary=self._schema.name or None,
            )
        except WorkflowAlreadyStartedError:
            # a repeated start is the same run, also when that is over
            return WorkflowHandle(client, context.execution_id)
        except RPCError as error:
            raise InfrastructureError(f"the run cannot be started: {error.message}") from None
        return WorkflowHandle(client, context.execution_id, run_id=handle.first_execution_run_id)

    def run_input(self, context: WorkflowContext) -> RunInput:
        """What the workflow is started with; also what any other Temporal client may send."""
        group = context.runtime_group
        unnamed_limits = group.group_id is None and group.has_own_limits
        return RunInput(
            schema_text=self._schema.text,
            variables=self._complete_variables(context),
            config=self._engine_config(context),
            options=self._run_options(context),
            group_id=group.group_id,
            mock_nodes=self._mocks,
            executors=self._foreign(),
            app_name=self._schema.name,
            # a group without a name cannot be asked by the workflow, so its limits travel
            policy=Policy(
                max_steps=group.quota.max_steps,
                max_execution_time_secs=group.quota.max_execution_time_secs,
                security_level=group.security_level.value,
                all_activities=group.node_placement == "activity",
            )
            if unnamed_limits
            else self._placement_policy(context),
        )

    def _placement_policy(self, context: WorkflowContext) -> Policy | None:
        group = context.runtime_group
        if group.group_id is not None or group.node_placement == "auto":
            return None
        dialect = EngineConfig.of_dialect(self._schema.dialect)
        return Policy(
            max_steps=dialect.max_steps,
            max_execution_time_secs=dialect.max_execution_time_secs or 0,
            all_activities=True,
        )

    async def _place(self, context: WorkflowContext) -> tuple[Client, str]:
        """The client, and the task queue on which a worker serves the group."""
        if self._client is not None:
            return self._client, self._task_queue or task_queue(context.runtime_group.group_id)
        from xworkflow.embedded.session import serve

        return await serve(context.runtime_group, connect, configured_address())

    def _engine_config(self, context: WorkflowContext) -> EngineConfig:
        config = self._config or EngineConfig.of_dialect(self._schema.dialect)
        if context.strict_template and not config.strict_template:
            return config.model_copy(update={"strict_template": True})
        return config

    def _run_options(self, context: WorkflowContext) -> RunOptions:
        time, ids = context.time_provider, context.id_generator
        fakes: dict[str, Any] = {}
        if isinstance(time, FakeTimeProvider):
            fakes["fixed_timestamp"] = time.fixed_timestamp
        if isinstance(ids, FakeIdGenerator):
            fakes["fake_id_prefix"] = ids.prefix
        return RunOptions(**{**fakes, **self._options})

    def _complete_variables(self, context: WorkflowContext) -> Variables:
        variables = Variables(**self._variables)
        if self._schema.dialect == "native":
            return variables
        defaults: dict[str, JsonValue] = {
            "query": "",
            "files": [],
            "user_id": "",
            "app_id": "",
            "workflow_id": self._schema.hash[:36],
            "workflow_run_id": context.execution_id,
            "conversation_id": "",
            "dialogue_count": 0,
            "timestamp": context.start_time,
        }
        return variables.model_copy(update={"system": {**defaults, **variables.system}})

    def _foreign(self) -> dict[str, ExecutorInfo]:
        if self._context is None:
            return {}
        registry = self._context.node_executor_registry()
        return {
            name: ExecutorInfo(reads_all=getattr(registry.get(name), "reads_all", False))
            for name in registry.foreign_types()
        }

    def _set(self, namespace: str, values: Mapping[str, JsonValue]) -> Self:
        try:
            self._variables[namespace] = normalise(values)
        except TypeError as error:
            raise InputError((f"{namespace}: {error}",)) from None
        return self

