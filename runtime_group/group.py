"""``RuntimeGroup``: what many runs share, as the seed draws it. Long-lived; closed by its owner.

Immutable as a record (a changed group is another object that shares the rest), alive in its parts: the
same pool, registries and client serve every run of the group.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, Self

from xworkflow.domain.quota import ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.ports import (
    AuditLogger,
    CredentialProvider,
    HttpClient,
    IdGenerator,
    Ports,
    ResourceGovernor,
    SandboxPool,
    TemplateFunction,
    TimeProvider,
)
from xworkflow.runtime_group.http import HttpClientProvider, HttpPoolConfig
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

NodePlacement = Literal["auto", "activity"]

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
    all of them show in the Web UI.
    """

    group_id: str | None = None
    group_name: str | None = None
    node_executor_registry: NodeExecutorRegistry = field(default_factory=NodeExecutorRegistry)
    llm_provider_registry: LlmProviderRegistry = field(default_factory=LlmProviderRegistry)
    template_functions: Mapping[str, TemplateFunction] = field(default_factory=lambda: _NO_FUNCTIONS)
    sandbox_pool: SandboxPool = field(default_factory=DefaultSandboxPool)
    http_client_provider: HttpClientProvider = field(default_factory=HttpClientProvider)
    resource_group: ResourceGroup | None = None
    quota: ResourceQuota = field(default_factory=ResourceQuota)
    security_level: SecurityLevel = SecurityLevel.STANDARD
    security_policy: SecurityPolicy | None = None
    credential_provider: CredentialProvider | None = None
    resource_governor: ResourceGovernor | None = None
    audit_logger: AuditLogger | None = None
    node_placement: NodePlacement = "auto"

    @classmethod
    def default(cls) -> RuntimeGroup:
        """A group without limits of its own, for one user on one machine."""
        return cls()

    @classmethod
    def builder(cls) -> RuntimeGroupBuilder:
        return RuntimeGroupBuilder()

    @property
    def http_client(self) -> HttpClient:
        """The group's one way out to the network."""
        return self.http_client_provider

    @property
    def has_own_limits(self) -> bool:
        """Whether runs are held to the group's quota: those of a named group are."""
        return self.group_id is not None or self.quota != ResourceQuota()

    def replaced(self, **changes: Any) -> RuntimeGroup:  # noqa: ANN401 - dataclasses.replace's own
        """Another group with some parts changed; all other parts are the same objects."""
        return replace(self, **changes)

    def ports(
        self, time: TimeProvider, *, idempotency_key: str = "", strict_template: bool = False
    ) -> Ports:
        """What one execution of a node is lent from this group."""
        return Ports(
            sandbox=self.sandbox_pool,
            http=self.http_client,
            time=time,
            idempotency_key=idempotency_key,
            max_response_bytes=self.quota.http_max_response_bytes if self.has_own_limits else None,
            credential_provider=self.credential_provider,
            strict_template=strict_template,
        )

    async def aclose(self) -> None:
        """End the group's processes and connections. Safe to call twice."""
        await self.sandbox_pool.aclose()
        await self.http_client_provider.aclose()


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
        return self._set(
            resource_group=group,
            group_id=group.group_id,
            group_name=group.group_name,
            security_level=group.security_level,
            quota=group.quota,
        )

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

    def http_pool_config(self, config: HttpPoolConfig) -> Self:
        """Replace the HTTP provider with a fresh one."""
        return self._set(http_client_provider=HttpClientProvider(config))

    def credential_provider(self, provider: CredentialProvider) -> Self:
        return self._set(credential_provider=provider)

    def resource_governor(self, governor: ResourceGovernor) -> Self:
        return self._set(resource_governor=governor)

    def audit_logger(self, logger: AuditLogger) -> Self:
        return self._set(audit_logger=logger)

    def node_placement(self, placement: NodePlacement) -> Self:
        return self._set(node_placement=placement)

    def build(self) -> RuntimeGroup:
        known = {item.name for item in fields(RuntimeGroup)}
        return RuntimeGroup(**{name: part for name, part in self._parts.items() if name in known})

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
