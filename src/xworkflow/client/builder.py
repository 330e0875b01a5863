"""``WorkflowRunnerBuilder``: collects what a run is started with, and starts it on Temporal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Self

from temporalio.client import Client

from xworkflow.client.companion import accompany
from xworkflow.client.connection import configured_address, connect
from xworkflow.client.forking import ForkOrder, plan_fork
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.run_input import Choices, make_run_input, secret_values
from xworkflow.client.starting import start_run
from xworkflow.context import SubGraphRunner, WorkflowContext
from xworkflow.domain.debugging import DebugConfig
from xworkflow.domain.diagnostics import Report
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.quota import SecurityPolicy
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.secret_references import store_key
from xworkflow.domain.values import JsonValue, normalise
from xworkflow.domain.wire import (
    DEFAULT_GROUP,
    MockNode,
    RunInput,
    task_queue,
)
from xworkflow.engine.validation import validated
from xworkflow.errors import InputError, MisuseError, ValidationFailed
from xworkflow.nodes.start import check_inputs, start_variables
from xworkflow.ports import AuditLogger, CredentialProvider, MemoryProvider, ResourceGovernor

if TYPE_CHECKING:
    from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup


class WorkflowRunnerBuilder:
    """Collects what a run is started with. Setters replace, they do not merge.

    Setters of the group's parts change the group of this run alone (copy-on-write): the group that
    was given, and other runs in it, never see the change.
    """

    def __init__(self, schema: WorkflowSchema) -> None:
        self._schema = schema
        self._context: WorkflowContext | None = None
        self._choices = Choices()
        self._client: Client | None = None
        self._task_queue: str | None = None
        self._collect_events = True
        self._own_parts: set[str] = set()

    # ---- the run

    def user_inputs(self, inputs: Mapping[str, JsonValue]) -> Self:
        return self._set_variables("user_inputs", inputs)

    def system_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set_variables("system", values)

    def environment_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set_variables("environment", values)

    def conversation_vars(self, values: Mapping[str, JsonValue]) -> Self:
        return self._set_variables("conversation", values)

    def config(self, config: EngineConfig) -> Self:
        self._choices.config = config
        return self

    def mock_nodes(self, mocks: Mapping[str, MockNode]) -> Self:
        """Give nodes, by id, their outputs or error instead of letting them work."""
        self._choices.mocks = dict(mocks)
        return self

    def debug(self, config: DebugConfig) -> Self:
        """Let the run stop at breakpoints; ``WorkflowHandle.debug_command`` lets it go on."""
        self._choices.debug = config
        return self

    def options(self, **options: Any) -> Self:  # noqa: ANN401 - fields of RunOptions
        """Fields of ``RunOptions``."""
        self._choices.options = options
        return self

    def collect_events(self, collect: bool) -> Self:
        """With False nobody computes the run's events: ``handle.events()`` has none."""
        self._collect_events = collect
        return self

    def client(self, client: Client, *, task_queue: str | None = None) -> Self:
        """Use a client of one's own; then workers are somebody else's affair."""
        self._client = client
        self._task_queue = task_queue
        return self

    # ---- the context, and its group

    def context(self, context: WorkflowContext) -> Self:
        """The run's context, with its group. A live group is served by a worker in this process.

        Replaces what the setters below have set.
        """
        self._context = context
        self._own_parts.clear()
        return self

    def runtime_group(self, group: RuntimeGroup) -> Self:
        """A fresh context on a group; call it first, as it replaces the context."""
        return self.context(WorkflowContext.new(group))

    def sub_graph_runner(self, runner: SubGraphRunner) -> Self:
        self._context = self._given_context().with_sub_graph_runner(runner)
        return self

    def resource_group(self, tenant: ResourceGroup) -> Self:
        """Run as a tenant: with its id, name, level and quota."""
        context = self._given_context()
        self._context = replace(context, runtime_group=context.runtime_group.of_tenant(tenant))
        return self

    def security_policy(self, policy: SecurityPolicy) -> Self:
        return self._set_part(security_policy=policy)

    def resource_governor(self, governor: ResourceGovernor) -> Self:
        return self._set_part(resource_governor=governor)

    def credential_provider(self, provider: CredentialProvider) -> Self:
        return self._set_part(credential_provider=provider)

    def audit_logger(self, logger: AuditLogger) -> Self:
        return self._set_part(audit_logger=logger)

    def memory_provider(self, provider: MemoryProvider) -> Self:
        return self._set_part(memory_provider=provider)

    def llm_providers(self, providers: LlmProviderRegistry) -> Self:
        """Providers over those of the group, of which they replace any with the same id."""
        of_group = self._given_context().llm_provider_registry()
        return self._set_part(llm_provider_registry=of_group.layered(providers))

    # ---- the start

    def validate(self) -> Report:
        """All diagnostics of the workflow."""
        context = self._given_context()
        policy = context.security_policy()
        return validated(
            self._schema,
            mocked=frozenset(self._choices.mocks),
            foreign=frozenset(context.node_executor_registry().foreign_types()),
            limits=policy.dsl_validation if policy is not None else None,
        )

    def check(self) -> None:
        """Raises ValidationFailed or InputError for what must not be started."""
        report = self.validate()
        if not report.is_valid:
            self._audit_refusal(report)
            raise ValidationFailed(report)
        given = self._choices.variables.get("user_inputs", {})
        problems = check_inputs(start_variables(self._schema), given, self._schema.dialect)
        if problems:
            raise InputError(problems)

    async def run(self) -> WorkflowHandle:
        """Start the run, or find the one with the same execution id. Does not wait for its end.

        Raises ValidationFailed, InputError, MisuseError, InfrastructureError; then nothing was
        started.
        """
        self.check()
        context = self._given_context()
        client, queue = await self._place(context)
        self._keep_secrets(context)
        handle = await self._start(client, queue, context, self.run_input(context))
        accompany(handle, context)
        return handle

    async def fork(
        self,
        origin: WorkflowHandle,
        *,
        from_node: str | None = None,
        set: Mapping[str, JsonValue] | None = None,  # noqa: A002 - the word of the command
        force: bool = False,
    ) -> WorkflowHandle:
        """Start a run of this workflow, in this context, that reuses the results of another run.

        As ``WorkflowHandle.fork``, for groups of this process and for other limits, mocks and
        surroundings than the other run had. Its variables are the other run's, and ``set``.
        """
        if self._choices.variables:
            named = ", ".join(sorted(self._choices.variables))
            raise MisuseError(
                f"a fork has the variables of its run ({named} was given): write those that are to "
                "differ with set={'node.variable': …}"
            )
        report = self.validate()
        if not report.is_valid:
            self._audit_refusal(report)
            raise ValidationFailed(report)
        context = self._given_context()
        client, queue = await self._place(context)
        past = await origin.origin()
        secrets = frozenset(secret_values(self._schema, self._choices))
        order = ForkOrder(
            from_node,
            set or {},
            self._schema,
            force=force,
            secrets=secrets,
            execution_id=context.execution_id,
        )
        plan = plan_fork(past, order, self.run_input(context))
        self._keep_secrets(context)
        handle = await self._start(client, queue, context, plan.run)
        accompany(handle, context)
        return handle

    def _keep_secrets(self, context: WorkflowContext) -> None:
        """Secrets go to the group; the run gets references."""
        secrets = secret_values(self._schema, self._choices)
        if secrets:
            group = context.runtime_group
            group.secret_store.keep(store_key(group.group_id, self._schema.hash), secrets)

    def _audit_refusal(self, report: Report) -> None:
        context = self._given_context()
        logger = context.audit_logger()
        if logger is not None:
            errors = [f"{found.code} {found.node_id or ''}".strip() for found in report.errors]
            logger.log_event(
                {
                    "timestamp": context.time_provider.now_timestamp(),
                    "group_id": context.runtime_group.group_id or DEFAULT_GROUP,
                    "workflow_id": context.execution_id,
                    "app": self._schema.name,
                    "event_type": "DslValidationFailed",
                    "severity": "Warning",
                    "outcome": "refused",
                    "details": {"errors": errors},
                }
            )

    def run_input(self, context: WorkflowContext) -> RunInput:
        """What the workflow is started with; also what any other Temporal client may send."""
        return make_run_input(self._schema, context, self._choices)

    async def _start(
        self, client: Client, queue: str, context: WorkflowContext, run: RunInput
    ) -> WorkflowHandle:
        started = await start_run(client, run, context.execution_id, queue)
        return WorkflowHandle(
            client, context.execution_id, started=started, collect_events=self._collect_events
        )

    async def _place(self, context: WorkflowContext) -> tuple[Client, str]:
        """The client, and the task queue on which a worker serves the group."""
        if self._client is not None:
            self._refuse_live_parts(context)
            return self._client, self._task_queue or task_queue(context.runtime_group.group_id)
        from xworkflow.embedded.session import serve

        return await serve(context.runtime_group, connect, configured_address())

    def _refuse_live_parts(self, context: WorkflowContext) -> None:
        """What lives in this process alone never reaches the worker of somebody else."""
        parts = sorted(self._own_parts)
        if context.has_live_parts:
            parts.append("a sub-graph runner, or a time or id provider that is no fake")
        if parts:
            raise MisuseError(
                f"this run has objects of this process ({', '.join(parts)}), which do not travel "
                "to the worker behind client(…): leave out client(…), so that a worker in this "
                "process serves the run, or give them to the RuntimeGroup of that worker"
            )

    def _given_context(self) -> WorkflowContext:
        """The context that was given; without one, a fresh one for each run."""
        return self._context or WorkflowContext.default()

    def _set_part(self, **parts: Any) -> Self:  # noqa: ANN401 - parts of a RuntimeGroup
        context = self._given_context()
        self._context = replace(context, runtime_group=context.runtime_group.replaced(**parts))
        self._own_parts.update(parts)
        return self

    def _set_variables(self, namespace: str, values: Mapping[str, JsonValue]) -> Self:
        try:
            self._choices.variables[namespace] = normalise(values)
        except TypeError as error:
            raise InputError((f"{namespace}: {error}",)) from None
        return self
