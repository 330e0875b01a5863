"""``RuntimeGroup``: what many runs share, as the seed draws it. Long-lived; closed by its owner.

Immutable as a record (a changed group is another object that shares the rest), alive in its parts:
the same pool, registries and client serve every run of the group.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Literal, Self

from xworkflow.domain.governing import UsageQuota, WorkerSlots
from xworkflow.domain.quota import ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.domain.security_limits import SecurityLimits
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.ports import (
    AuditLogger,
    CredentialProvider,
    DeltaSink,
    HttpClient,
    MemoryProvider,
    Ports,
    ResourceGovernor,
    SandboxLimits,
    SandboxPool,
    SecretStore,
    StreamStore,
    TemplateFunction,
    TimeProvider,
)
from xworkflow.runtime_group.audit_loggers import default_audit_logger
from xworkflow.runtime_group.egress import NetworkGuard
from xworkflow.runtime_group.files import GroupFiles
from xworkflow.runtime_group.http import HttpClientProvider, HttpPoolConfig
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, PythonTier2
from xworkflow.runtime_group.secret_stores import process_secret_store

NodePlacement = Literal["auto", "activity"]

_NO_LIMITS: Final = SecurityLimits()
_NO_FUNCTIONS: Mapping[str, TemplateFunction] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ResourceGroup:
    """A tenant: its name, level and quota (spec/runtime.md 6.5)."""

    group_id: str
    group_name: str | None = None
    security_level: SecurityLevel = SecurityLevel.STANDARD
    quota: ResourceQuota = field(default_factory=ResourceQuota)
    credential_refs: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, eq=False)
class RuntimeGroup:
    """Shared configuration and resources of many runs. Compared by identity.

    ``node_placement="activity"`` makes every node but pure control flow a regular activity, so that
    all of them show in the Web UI. ``file_directory`` is the one place on disk where files of
    runs may be; workers on several machines need it shared. Without a ``stream_store`` nobody can
    read along while a model answers; everything else is the same. A ``usage_quota`` holds for
    all worker processes of a named group together; the worker brings the governor that counts it,
    in a workflow, or in the Redis of ``governor_url``.
    """

    group_id: str | None = None
    group_name: str | None = None
    node_executor_registry: NodeExecutorRegistry = field(default_factory=NodeExecutorRegistry)
    llm_provider_registry: LlmProviderRegistry = field(default_factory=LlmProviderRegistry)
    template_functions: Mapping[str, TemplateFunction] = field(
        default_factory=lambda: _NO_FUNCTIONS
    )
    sandbox_pool: SandboxPool = field(default_factory=DefaultSandboxPool)
    http_client_provider: HttpClientProvider = field(default_factory=HttpClientProvider)
    memory_provider: MemoryProvider | None = None
    resource_group: ResourceGroup | None = None
    quota: ResourceQuota = field(default_factory=ResourceQuota)
    security_level: SecurityLevel = SecurityLevel.STANDARD
    security_policy: SecurityPolicy | None = None
    credential_provider: CredentialProvider | None = None
    secret_store: SecretStore = field(default_factory=process_secret_store)
    resource_governor: ResourceGovernor | None = None
    audit_logger: AuditLogger | None = None
    node_placement: NodePlacement = "auto"
    file_directory: Path | None = None
    stream_store: StreamStore | None = None
    usage_quota: UsageQuota | None = None
    governor_url: str | None = None
    worker_slots: WorkerSlots = field(default_factory=WorkerSlots)

    @classmethod
    def default(cls) -> RuntimeGroup:
        """A group without limits of its own, for one user on one machine."""
        return cls()

    @classmethod
    def builder(cls) -> RuntimeGroupBuilder:
        return RuntimeGroupBuilder()

    @property
    def http_client(self) -> HttpClient:
        """The group's one way out to the network, under its policy."""
        policy = self.security_policy
        guard = NetworkGuard(policy.network) if policy is not None and policy.network else None
        if self.group_id is None and guard is None:
            return self.http_client_provider
        return self.http_client_provider.client(self.group_id or "", guard)

    @property
    def has_own_limits(self) -> bool:
        """Whether runs are held to the group's quota: those of a named group are."""
        return self.group_id is not None or self.quota != ResourceQuota()

    def replaced(self, **changes: Any) -> RuntimeGroup:  # noqa: ANN401 - dataclasses.replace's own
        """Another group with some parts changed; all other parts are the same objects."""
        return replace(self, **changes)

    def of_tenant(self, tenant: ResourceGroup) -> RuntimeGroup:
        """Another group that has a tenant's id, name, level and quota (spec/runtime.md 1.2)."""
        return replace(self, **_parts_of(tenant))

    def has_the_parts_of(self, other: RuntimeGroup) -> bool:
        """Whether both are made of the same objects, so that one worker can serve the runs of
        both."""
        return all(getattr(self, f.name) is getattr(other, f.name) for f in fields(self))

    @cached_property
    def limits(self) -> SecurityLimits:
        """What the group's policy bounds while a run is under way."""
        policy = self.security_policy
        return _NO_LIMITS if policy is None else policy.limits

    @property
    def audit(self) -> AuditLogger | None:
        """The group's own logger, else its policy's, else the one of every level but permissive."""
        policy = self.security_policy
        if self.audit_logger is not None or policy is None:
            return self.audit_logger
        if policy.audit_logger is not None or policy.level is SecurityLevel.PERMISSIVE:
            return policy.audit_logger
        return default_audit_logger()

    def ports(  # noqa: PLR0913 - what one execution may ask for, each independent
        self,
        time: TimeProvider,
        *,
        idempotency_key: str = "",
        strict_template: bool = False,
        stream: bool = False,
        deltas: DeltaSink | None = None,
        node_type: str = "",
    ) -> Ports:
        """What one execution of a node is lent from this group; its limits depend on its type."""
        return Ports(
            sandbox=self.sandbox_pool,
            http=self.http_client,
            time=time,
            llm=self.llm_provider_registry,
            files=GroupFiles(self.http_client, self.file_directory),
            group_id=self.group_id,
            idempotency_key=idempotency_key,
            sandbox_limits=self._sandbox_limits(node_type),
            max_response_bytes=self._max_response_bytes(node_type),
            credential_provider=self.credential_provider,
            audit_logger=self.audit,
            strict_template=strict_template,
            stream=stream,
            deltas=deltas,
        )

    def _sandbox_limits(self, node_type: str) -> SandboxLimits:
        limits, default = self.limits, SandboxLimits()
        of_type = limits.of_type(node_type)
        return replace(
            default,
            timeout_secs=of_type.max_execution_time or default.timeout_secs,
            max_memory_bytes=of_type.max_memory_bytes or default.max_memory_bytes,
            template=limits.template,
        )

    def _max_response_bytes(self, node_type: str) -> int | None:
        quota = self.quota.http_max_response_bytes if self.has_own_limits else None
        given = (quota, self.limits.of_type(node_type).max_output_bytes)
        return min((limit for limit in given if limit is not None), default=None)

    async def rest(self) -> None:
        """End the group's processes and connections; the next use starts new ones.

        For groups that outlive an event loop. A sandbox pool of another kind is left to its owner.
        """
        if isinstance(self.sandbox_pool, DefaultSandboxPool):
            await self.sandbox_pool.rest()
        await self.http_client_provider.aclose()

    async def aclose(self, *, but: Collection[object] = ()) -> None:
        """End the group's processes and connections for good, ``but`` those parts that others
        still use. Safe to call twice."""
        for part in (self.sandbox_pool, self.http_client_provider, self.stream_store):
            if part is not None and all(part is not other for other in but):
                await part.aclose()


def _parts_of(tenant: ResourceGroup) -> dict[str, Any]:
    return {
        "resource_group": tenant,
        "group_id": tenant.group_id,
        "group_name": tenant.group_name,
        "security_level": tenant.security_level,
        "quota": tenant.quota,
    }


@cache
def default_group() -> RuntimeGroup:
    """The group of runs that were given none; one per process, so that they share its pools."""
    return RuntimeGroup.default()


class RuntimeGroupBuilder:
    """Builds a group, setter by setter (spec/runtime.md 1.1)."""

    def __init__(self) -> None:
        self._parts: dict[str, Any] = {}

    def group_id(self, group_id: str) -> Self:
        return self._set_named("group_id", group_id)

    def group_name(self, group_name: str) -> Self:
        return self._set_named("group_name", group_name)

    def resource_group(self, group: ResourceGroup) -> Self:
        """Take a tenant's id, name, level and quota over."""
        return self._set(**_parts_of(group))

    def quota(self, quota: ResourceQuota) -> Self:
        """Set the quota, in the resource group as well: enforcement knows one."""
        self._set(quota=quota)
        return self._sync(quota=quota)

    def security_level(self, level: SecurityLevel) -> Self:
        """Set the label; a policy is set by ``security_policy``."""
        self._set(security_level=level)
        return self._sync(security_level=level)

    def security_policy(self, policy: SecurityPolicy) -> Self:
        return self._set(security_policy=policy)

    def node_executor_registry(self, registry: NodeExecutorRegistry) -> Self:
        return self._set(node_executor_registry=registry)

    def llm_provider_registry(self, registry: LlmProviderRegistry) -> Self:
        return self._set(llm_provider_registry=registry)

    def template_functions(self, functions: Mapping[str, TemplateFunction]) -> Self:
        return self._set(template_functions=MappingProxyType(dict(functions)))

    def sandbox_pool(self, pool: SandboxPool) -> Self:
        return self._set(sandbox_pool=pool)

    def python_tier2(self, packages: Path | None = None) -> Self:
        """Let CPython run what monty cannot, with packages of a directory (``PythonTier2``).

        Replaces the pool with a fresh one.
        """
        return self._set(sandbox_pool=DefaultSandboxPool(python_tier2=PythonTier2(packages)))

    def http_pool_config(self, config: HttpPoolConfig) -> Self:
        """Replace the HTTP provider with a fresh one."""
        return self._set(http_client_provider=HttpClientProvider(config))

    def memory_provider(self, provider: MemoryProvider) -> Self:
        return self._set(memory_provider=provider)

    def credential_provider(self, provider: CredentialProvider) -> Self:
        return self._set(credential_provider=provider)

    def secret_store(self, store: SecretStore) -> Self:
        return self._set(secret_store=store)

    def resource_governor(self, governor: ResourceGovernor) -> Self:
        return self._set(resource_governor=governor)

    def audit_logger(self, logger: AuditLogger) -> Self:
        return self._set(audit_logger=logger)

    def node_placement(self, placement: NodePlacement) -> Self:
        return self._set(node_placement=placement)

    def file_directory(self, directory: Path) -> Self:
        return self._set(file_directory=directory)

    def usage_quota(self, quota: UsageQuota, governor_url: str | None = None) -> Self:
        """Hold the group to a quota over all its worker processes."""
        return self._set(usage_quota=quota, governor_url=governor_url)

    def worker_slots(self, slots: WorkerSlots) -> Self:
        """What a worker process does for the group at once."""
        return self._set(worker_slots=slots)

    def stream_store(self, store: StreamStore) -> Self:
        return self._set(stream_store=store)

    def build(self) -> RuntimeGroup:
        return RuntimeGroup(**self._parts)

    def _set(self, **parts: Any) -> Self:  # noqa: ANN401
        self._parts.update(parts)
        return self

    def _set_named(self, name: str, value: str) -> Self:
        self._set(**{name: value})
        return self._sync(**{name: value})

    def _sync(self, **parts: Any) -> Self:  # noqa: ANN401
        """Keep a resource group that is already set in step."""
        group: ResourceGroup | None = self._parts.get("resource_group")
        if group is not None:
            self._parts["resource_group"] = replace(group, **parts)
        return self
