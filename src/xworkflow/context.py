"""``WorkflowContext``: one run, as the seed draws it. Client, workflow and activity use the same
class.

It refers to the shared ``RuntimeGroup`` and holds what is the run's own: ids, time, events. Inside
a workflow there is no live group: asking for one raises MisuseError and says where it lives.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, Self, cast

from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.quota import ResourceQuota, SecurityPolicy
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.values import JsonValue
from xworkflow.errors import MisuseError
from xworkflow.ports import (
    AuditLogger,
    CredentialProvider,
    HttpClient,
    IdGenerator,
    MemoryProvider,
    Ports,
    ResourceGovernor,
    SandboxPool,
    TemplateFunction,
    TimeProvider,
)
from xworkflow.providers import (
    FakeIdGenerator,
    FakeTimeProvider,
    RealIdGenerator,
    RealTimeProvider,
)

if TYPE_CHECKING:
    from xworkflow.nodes.executors import NodeExecutorRegistry
    from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup

EVENT_QUEUE_SIZE: Final = 256
"""The bound of an event queue that suits most runs: ``asyncio.Queue(EVENT_QUEUE_SIZE)``."""

_REAL: Final = frozenset({RealTimeProvider, RealIdGenerator})
_FAKES: Final = frozenset({FakeTimeProvider, FakeIdGenerator})


class SubGraphRunner(Protocol):
    """Runs a body for an executor of a plugin. Lives in the worker's process."""

    async def run_sub_graph(
        self,
        definition: SubGraph,
        parent_pool: VariablePool,
        scope_vars: Mapping[str, JsonValue],
        context: WorkflowContext,
    ) -> dict[str, JsonValue]: ...


class _NoGroup:
    """Stands where a workflow has no group."""

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        raise MisuseError(
            f"'{name}' lives in the worker's RuntimeGroup and is not there in workflow code: "
            "use it from a node's execute(), which runs as an activity"
        )


@dataclass(kw_only=True)
class WorkflowContext:
    """The context of one run. Not shared between runs; the group that it refers to is.

    ``start_time`` is Unix seconds. ``event_tx`` gets the run's events, in order; a full queue makes
    the reader of the events wait, never the run.

    Fakes of time and ids rule the run's own clock and ids. Any other provider, and a
    ``sub_graph_runner``, is a live object of this process: executors find it in their context, in a
    worker of this process alone, while the run's own clock and ids stay Temporal's.
    """

    runtime_group: RuntimeGroup
    execution_id: str
    start_time: int
    time_provider: TimeProvider
    id_generator: IdGenerator
    workflow_id: str | None = None
    event_tx: asyncio.Queue[GraphEngineEvent] | None = None
    sub_graph_runner: SubGraphRunner | None = None
    strict_template: bool = False
    idempotency_key: str = ""
    """Inside an executor: the same for every repetition of this attempt, so that a service which it
    calls can tell a repetition from a second call."""

    @classmethod
    def new(cls, runtime_group: RuntimeGroup) -> Self:
        """A fresh context: its own id and start time."""
        time, ids = RealTimeProvider(), RealIdGenerator()
        return cls(
            runtime_group=runtime_group,
            execution_id=ids.next_id(),
            start_time=time.now_timestamp(),
            time_provider=time,
            id_generator=ids,
        )

    @classmethod
    def default(cls) -> Self:
        """A fresh context on the process's default group, which all such contexts share."""
        from xworkflow.runtime_group.group import default_group

        return cls.new(default_group())

    def fresh(self) -> Self:
        """The context of another run of the same group and providers: its own id and start time,
        and no event queue yet."""
        return replace(
            self,
            execution_id=RealIdGenerator().next_id(),
            start_time=self.time_provider.now_timestamp(),
            workflow_id=None,
            event_tx=None,
        )

    @property
    def has_live_parts(self) -> bool:
        """Whether it holds objects of this process that cannot travel with a run as data."""
        travels = {type(self.time_provider), type(self.id_generator)} <= _REAL | _FAKES
        return self.sub_graph_runner is not None or not travels

    def with_live_parts_of(self, other: WorkflowContext) -> Self:
        """This context with the live objects of another one; its own fakes stay."""
        time, ids = other.time_provider, other.id_generator
        return replace(
            self,
            time_provider=self.time_provider if type(time) in _FAKES else time,
            id_generator=self.id_generator if type(ids) in _FAKES else ids,
            sub_graph_runner=other.sub_graph_runner,
        )

    @classmethod
    def in_workflow(
        cls, execution_id: str, start_time: int, time: TimeProvider, ids: IdGenerator
    ) -> Self:
        """The context inside Temporal's workflow sandbox: time and ids, and no group."""
        return cls(
            runtime_group=cast("RuntimeGroup", _NoGroup()),
            execution_id=execution_id,
            start_time=start_time,
            time_provider=time,
            id_generator=ids,
        )

    # ---- fluent setters: each returns another context with the same ids

    def with_event_tx(self, queue: asyncio.Queue[GraphEngineEvent]) -> Self:
        return replace(self, event_tx=queue)

    def with_sub_graph_runner(self, runner: SubGraphRunner) -> Self:
        return replace(self, sub_graph_runner=runner)

    def with_time_provider(self, time: TimeProvider) -> Self:
        return replace(self, time_provider=time)

    def with_id_generator(self, ids: IdGenerator) -> Self:
        """The execution id stays (spec/runtime.md 1.2)."""
        return replace(self, id_generator=ids)

    def with_node_executor_registry(self, registry: NodeExecutorRegistry) -> Self:
        return self._with_group(node_executor_registry=registry)

    def with_llm_provider_registry(self, registry: LlmProviderRegistry) -> Self:
        return self._with_group(llm_provider_registry=registry)

    def with_template_functions(self, functions: Mapping[str, TemplateFunction]) -> Self:
        return self._with_group(template_functions=functions)

    def _with_group(self, **changes: Any) -> Self:  # noqa: ANN401
        return replace(self, runtime_group=self.runtime_group.replaced(**changes))

    # ---- copy-on-write: other contexts never see the change; what is not changed stays shared

    def update_runtime_group(self, change: Callable[[RuntimeGroup], RuntimeGroup]) -> None:
        """Point this context at another group, made from its present one."""
        self.runtime_group = change(self.runtime_group)

    def set_resource_group(self, tenant: ResourceGroup) -> None:
        """Take a tenant's id, name, level and quota over."""
        self.update_runtime_group(lambda group: group.of_tenant(tenant))

    def set_security_policy(self, policy: SecurityPolicy) -> None:
        self.update_runtime_group(lambda group: group.replaced(security_policy=policy))

    def set_resource_governor(self, governor: ResourceGovernor) -> None:
        self.update_runtime_group(lambda group: group.replaced(resource_governor=governor))

    def set_credential_provider(self, provider: CredentialProvider) -> None:
        self.update_runtime_group(lambda group: group.replaced(credential_provider=provider))

    def set_audit_logger(self, logger: AuditLogger) -> None:
        self.update_runtime_group(lambda group: group.replaced(audit_logger=logger))

    def set_memory_provider(self, provider: MemoryProvider) -> None:
        self.update_runtime_group(lambda group: group.replaced(memory_provider=provider))

    # ---- accessors that read through to the group

    def quota(self) -> ResourceQuota:
        return self.runtime_group.quota

    def resource_group(self) -> ResourceGroup | None:
        return self.runtime_group.resource_group

    def memory_provider(self) -> MemoryProvider | None:
        return self.runtime_group.memory_provider

    def credential_provider(self) -> CredentialProvider | None:
        return self.runtime_group.credential_provider

    def node_executor_registry(self) -> NodeExecutorRegistry:
        return self.runtime_group.node_executor_registry

    def llm_provider_registry(self) -> LlmProviderRegistry:
        return self.runtime_group.llm_provider_registry

    def sandbox_pool(self) -> SandboxPool:
        return self.runtime_group.sandbox_pool

    def http_client(self) -> HttpClient:
        return self.runtime_group.http_client

    def template_functions(self) -> Mapping[str, TemplateFunction]:
        return self.runtime_group.template_functions

    def security_policy(self) -> SecurityPolicy | None:
        return self.runtime_group.security_policy

    def resource_governor(self) -> ResourceGovernor | None:
        return self.runtime_group.resource_governor

    def audit_logger(self) -> AuditLogger | None:
        return self.runtime_group.audit

    def ports(self) -> Ports:
        """What a built-in node is lent when an executor, or anybody by hand, executes it."""
        return self.runtime_group.ports(
            self.time_provider,
            idempotency_key=self.idempotency_key,
            strict_template=self.strict_template,
        )


_live: Final[dict[str, WorkflowContext]] = {}


@contextmanager
def kept_live(context: WorkflowContext) -> Generator[None]:
    """For the length of a block, the executors of this process find the context's live objects."""
    _live[context.execution_id] = context
    try:
        yield
    finally:
        _live.pop(context.execution_id, None)


def live_context(execution_id: str) -> WorkflowContext | None:
    """The live context of a run that this process started and still watches."""
    return _live.get(execution_id)
