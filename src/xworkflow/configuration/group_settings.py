"""What one group's table says. Every part that is not there is the level's, or the default."""

from __future__ import annotations

from typing import Annotated, Final, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, model_validator

from xworkflow.configuration.references import NamedPath, Reference
from xworkflow.domain.governing import Budget, UsageQuota, WorkerSlots
from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.domain.quota import DslLimits, ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.domain.security_limits import NodeLimits, TemplateSafetyConfig

Model = TypeVar("Model", bound=BaseModel)


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True)


class EnvironmentSource(_Table):
    """``XWORKFLOW_CREDENTIALS__<GROUP>__<PROVIDER>__<KEY>``."""

    kind: Literal["environment"]


class FileSource(_Table):
    """A TOML or JSON file with tables ``[group.provider]``, of its owner alone."""

    kind: Literal["file"]
    path: NamedPath


class VaultSource(_Table):
    """A server that speaks Vault's KV version 2. Without a token it is asked without one."""

    kind: Literal["vault"]
    address: str
    token: Reference | None = None
    token_file: NamedPath | None = None
    """Read before each request, for a token that something renews."""
    mount: str = "secret"
    prefix: str = "xworkflow"
    namespace: str | None = None
    timeout_secs: PositiveFloat = 10.0


CredentialSource = Annotated[
    EnvironmentSource | FileSource | VaultSource, Field(discriminator="kind")
]


SOURCE_KINDS: Final = ("environment", "file", "vault")


class CredentialSettings(_Table):
    """Where a group's credentials are: the first source that has them.

    With ``required = false`` a provider that has none here works with its own key.
    """

    sources: tuple[CredentialSource, ...] = Field(min_length=1)
    required: bool = True
    cache_secs: float = Field(default=0.0, ge=0)


class AuditSettings(_Table):
    """Where audit records go: to the log, to OpenTelemetry, or as JSON lines to a file."""

    to: Literal["log", "opentelemetry", "file", "nowhere"] = "log"
    path: NamedPath | None = None

    @model_validator(mode="after")
    def _has_its_path(self) -> Self:
        if (self.to == "file") != (self.path is not None):
            raise ValueError('a path belongs to to = "file", and to it alone')
        return self


class PoolSettings(_Table):
    """The processes in which scripts and templates of the group run, in each worker process."""

    max_js_vms: PositiveInt = 8
    max_python_vms: PositiveInt = 8
    max_wasm_vms: PositiveInt = 4
    max_template_vms: PositiveInt = 4
    max_reuse: PositiveInt = 1000
    idle_timeout_secs: PositiveFloat = 60.0
    python_tier2: bool = False
    """Whether CPython may run what monty cannot."""
    python_packages: NamedPath | None = None
    """A directory of packages that scripts of the second tier may import."""
    wasm_cache: NamedPath | None = None
    """A directory where large WebAssembly modules are kept compiled."""

    @model_validator(mode="after")
    def _packages_have_their_tier(self) -> Self:
        if self.python_packages is not None and not self.python_tier2:
            raise ValueError("python_packages are for python_tier2 = true")
        return self


class HttpSettings(_Table):
    """How connections are kept (spec/runtime.md 4.6). Durations in seconds."""

    pool_max_idle_per_host: int = Field(default=10, ge=0)
    pool_idle_timeout: PositiveFloat = 90
    default_timeout: PositiveFloat = 30
    tcp_keepalive: int = Field(default=60, gt=0, le=32_767)
    http2_enabled: bool = True
    max_group_clients: PositiveInt = 32
    group_client_idle_timeout: PositiveFloat = 300


class GroupSettings(_Table):
    """A tenant, or the default group.

    ``network``, ``templates``, ``dsl`` and ``limits`` change single rules of the level. ``quota``
    has the reference's names; what it counts over all workers, and ``usage``, need a group with a
    name.
    """

    name: str | None = None
    level: SecurityLevel | None = None
    placement: Literal["auto", "activity"] = "auto"
    providers: tuple[str, ...] | None = None
    """Which of the file's providers the group may use; all of them when not given."""
    credentials: CredentialSettings | None = None
    audit: AuditSettings | None = None
    quota: ResourceQuota = ResourceQuota()
    usage: UsageQuota = UsageQuota()
    network: NetworkPolicy | None = None
    templates: TemplateSafetyConfig | None = None
    dsl: DslLimits | None = None
    limits: dict[str, NodeLimits] = Field(default_factory=dict[str, NodeLimits])
    pools: PoolSettings = PoolSettings()
    http: HttpSettings = HttpSettings()
    slots: WorkerSlots = WorkerSlots()
    file_directory: NamedPath | None = None

    def policy(self, default_level: SecurityLevel | None) -> SecurityPolicy | None:
        """The level's policy with the file's changes; None when nothing is limited."""
        level = self.level or default_level
        changed = (self.network, self.templates, self.dsl, *self.limits.values())
        if level is None and all(part is None for part in changed):
            return None
        base = SecurityPolicy.of_level(level or SecurityLevel.PERMISSIVE)
        return SecurityPolicy(
            level=base.level,
            network=_changed(base.network, self.network),
            template=_changed(base.template, self.templates),
            dsl_validation=_changed(base.dsl_validation, self.dsl),
            node_limits={
                **base.node_limits,
                **{
                    node_type: _changed(base.node_limits.get(node_type), limits) or limits
                    for node_type, limits in self.limits.items()
                },
            },
        )

    def usage_quota(self) -> UsageQuota | None:
        """What is counted over all workers: ``usage``, and under it the counted parts of
        ``quota``. None when that is nothing."""
        asked = UsageQuota.of(self.quota)
        counted = {
            name: getattr(asked, name)
            for of, name in _COUNTED.items()
            if of in self.quota.model_fields_set and name not in self.usage.model_fields_set
        }
        usage = self.usage.model_copy(update=counted)
        unlimited = all(
            value is None or not isinstance(value, Budget)
            for name, value in usage
            if name != "concurrent_runs"
        )
        return None if unlimited and usage.concurrent_runs is None else usage

    @property
    def counts(self) -> list[str]:
        """The keys of this table that only a group with a name can have."""
        return [
            *(f"quota.{key}" for key in _COUNTED if key in self.quota.model_fields_set),
            *(["usage"] if "usage" in self.model_fields_set else []),
        ]


_COUNTED = {
    "max_concurrent_workflows": "concurrent_runs",
    "http_rate_limit_per_minute": "http_calls",
    "llm_rate_limit_per_minute": "llm_requests",
    "llm_daily_token_budget": "llm_tokens",
    "llm_max_tokens_per_request": "assumed_output_tokens",
}
"""Keys of the reference's quota, and what counts them."""


def _changed(base: Model | None, given: Model | None) -> Model | None:
    """The given rules over those of the level, where that has any."""
    if base is None or given is None:
        return given if base is None else base
    return base.model_copy(update={name: getattr(given, name) for name in given.model_fields_set})
