"""From a group's table to a live group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xworkflow.configuration.group_settings import (
    AuditSettings,
    CredentialSettings,
    CredentialSource,
    EnvironmentSource,
    FileSource,
    GroupSettings,
    PoolSettings,
)
from xworkflow.configuration.settings import ProviderSettings, Settings
from xworkflow.domain.governing import WorkerSlots
from xworkflow.domain.quota import SecurityLevel
from xworkflow.domain.wire import DEFAULT_GROUP
from xworkflow.errors import ConfigurationError, InfrastructureError
from xworkflow.ports import AuditLogger, CredentialProvider, SecretStore, StreamStore
from xworkflow.runtime_group.audit_loggers import (
    JsonLinesAuditLogger,
    OtelAuditLogger,
    SilentAuditLogger,
    TracingAuditLogger,
)
from xworkflow.runtime_group.credentials import (
    CachedCredentials,
    ChainedCredentials,
    EnvironmentCredentials,
    FileCredentials,
    OptionalCredentials,
)
from xworkflow.runtime_group.credentials_vault import VaultConfig, VaultCredentials
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.http import HttpClientProvider, HttpPoolConfig
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, ProcessBudget, PythonTier2

FEW_GROUPS: Final = 20
"""Up to so many groups in one file have the pollers of a single one; more have one each."""


@dataclass(frozen=True, slots=True)
class ProcessParts:
    """What all groups of a worker process share, and none of them closes."""

    secret_store: SecretStore
    stream_store: StreamStore | None = None
    default_level: SecurityLevel | None = SecurityLevel.STANDARD
    """Of groups that name none. None is no policy, as for runs of this machine."""
    file_directory: Path | None = None
    governor_url: str | None = None
    process_budget: ProcessBudget | None = None
    """Of the sandbox processes of all groups; the process's own when not given."""


@dataclass(frozen=True, slots=True)
class Assembled:
    """A live group and what it was made of. Whoever made it closes the group."""

    group_id: str
    settings: GroupSettings
    providers: Mapping[str, OpenAiConfig] | None
    group: RuntimeGroup

    def is_of(self, other: Assembled) -> bool:
        """Whether nothing about the group has changed."""
        return (self.settings, self.providers) == (other.settings, other.providers)


def assembled(
    settings: Settings, group_id: str, parts: ProcessParts, before: Assembled | None = None
) -> Assembled:
    """The live group of a table. Processes and connections of the group as it was ``before`` are
    kept where their settings have not changed.

    Raises ConfigurationError: a variable or file that the settings name is not there.
    """
    table = settings.groups[group_id]
    configs = _provider_configs(settings, table)
    old = None if before is None else before.group
    keeps_pool = before is not None and before.settings.pools == table.pools
    keeps_http = before is not None and before.settings.http == table.http
    pool = old.sandbox_pool if old is not None and keeps_pool else _pool(table.pools, parts)
    http = old.http_client_provider if old is not None and keeps_http else _http(table)
    made: dict[str, Any] = {
        "group_id": None if group_id == DEFAULT_GROUP else group_id,
        "group_name": table.name,
        "llm_provider_registry": _registry(configs),
        "sandbox_pool": pool,
        "http_client_provider": http,
        "quota": table.quota,
        "security_policy": table.policy(parts.default_level),
        "credential_provider": _credentials(group_id, table.credentials),
        "secret_store": parts.secret_store,
        "stream_store": parts.stream_store,
        "audit_logger": _audit(table.audit),
        "node_placement": table.placement,
        "file_directory": table.file_directory or parts.file_directory,
        "usage_quota": table.usage_quota(),
        "governor_url": parts.governor_url,
        "worker_slots": _slots(table, len(settings.groups)),
    }
    policy = made["security_policy"]
    if policy is not None:
        made["security_level"] = policy.level
    return Assembled(group_id, table, configs, RuntimeGroup(**made))


def _pool(pools: PoolSettings, parts: ProcessParts) -> DefaultSandboxPool:
    given = pools.model_dump(exclude={"python_tier2", "python_packages"})
    tier2 = PythonTier2(pools.python_packages) if pools.python_tier2 else None
    return DefaultSandboxPool(**given, python_tier2=tier2, budget=parts.process_budget)


def _http(table: GroupSettings) -> HttpClientProvider:
    return HttpClientProvider(HttpPoolConfig(**table.http.model_dump()))


def _slots(table: GroupSettings, groups: int) -> WorkerSlots:
    """Each group keeps polls open while it idles, and a server allows so many of a namespace."""
    if groups <= FEW_GROUPS or "pollers" in table.slots.model_fields_set:
        return table.slots
    return table.slots.model_copy(update={"pollers": 1})


# ---- models


def _provider_configs(
    settings: Settings, table: GroupSettings
) -> Mapping[str, OpenAiConfig] | None:
    """The group's providers by id, keys filled in. None: those of the environment."""
    if settings.providers is None:
        return None
    wanted = settings.providers if table.providers is None else table.providers
    return {name: _provider_config(name, settings.providers[name]) for name in wanted}


def _provider_config(name: str, given: ProviderSettings) -> OpenAiConfig:
    try:
        key = "" if given.api_key is None else given.api_key.resolved()
    except InfrastructureError as error:
        raise ConfigurationError((f"providers.{name}.api_key: {error}",)) from None
    chosen = given.model_dump(include={"base_url", "org_id", "default_model"}, exclude_none=True)
    return OpenAiConfig(api_key=key, **chosen)


def _registry(configs: Mapping[str, OpenAiConfig] | None) -> LlmProviderRegistry:
    if configs is None:
        return LlmProviderRegistry.with_builtins()
    registry = LlmProviderRegistry()
    for name, config in configs.items():
        registry.register(OpenAiProvider(config, provider_id=name))
    return registry


# ---- credentials and audit


def _credentials(group_id: str, settings: CredentialSettings | None) -> CredentialProvider | None:
    if settings is None:
        return None
    sources = [_source(group_id, source) for source in settings.sources]
    provider = sources[0] if len(sources) == 1 else ChainedCredentials(*sources)
    if settings.cache_secs:
        provider = CachedCredentials(provider, settings.cache_secs)
    return provider if settings.required else OptionalCredentials(provider)


def _source(group_id: str, source: CredentialSource) -> CredentialProvider:
    if isinstance(source, EnvironmentSource):
        return EnvironmentCredentials()
    if isinstance(source, FileSource):
        return FileCredentials(source.path)
    try:
        token = "" if source.token is None else source.token.resolved()
    except InfrastructureError as error:
        raise ConfigurationError((f"groups.{group_id}.credentials: {error}",)) from None
    given = source.model_dump(exclude={"kind", "token"})
    return VaultCredentials(VaultConfig(token=token, **given))


def _audit(settings: AuditSettings | None) -> AuditLogger | None:
    """None: the logger of the group's level."""
    if settings is None:
        return None
    match settings.to:
        case "log":
            return TracingAuditLogger()
        case "opentelemetry":
            return OtelAuditLogger()
        case "nowhere":
            return SilentAuditLogger()
        case "file":
            assert settings.path is not None  # noqa: S101 - validated
            return JsonLinesAuditLogger(settings.path)
