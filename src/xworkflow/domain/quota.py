"""What a group may use (spec/runtime.md 6.5), and how strict it is (6.1)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.domain.security_limits import (
    NodeLimits,
    SecurityLimits,
    SelectorValidation,
    TemplateSafetyConfig,
)

_MIB = 1024 * 1024


class ResourceQuota(BaseModel):
    """Limits of one group; the defaults are the reference's."""

    model_config = ConfigDict(frozen=True)

    max_concurrent_workflows: int = 10
    max_variable_pool_entries: int = 10_000
    max_variable_pool_bytes: int = 50 * _MIB
    max_steps: int = 500
    max_execution_time_secs: int = 600
    http_rate_limit_per_minute: int = 100
    llm_rate_limit_per_minute: int = 60
    llm_daily_token_budget: int = 1_000_000
    llm_max_tokens_per_request: int = 4096
    http_max_response_bytes: int = 10 * _MIB


class SecurityLevel(StrEnum):
    """A label; the policy of a level is made by ``SecurityPolicy``."""

    PERMISSIVE = "permissive"
    STANDARD = "standard"
    STRICT = "strict"


class DslLimits(BaseModel):
    """Sizes of a workflow that a policy still accepts (spec/runtime.md 6.2)."""

    model_config = ConfigDict(frozen=True)

    max_nodes: int = 200
    max_edges: int = 500
    max_node_id_length: int = 128
    max_node_config_bytes: int = 65_536
    max_nesting_depth: int = 10
    enable_cycle_detection: bool = True
    selector_validation: SelectorValidation | None = None


class PolicyAudit(Protocol):
    """The logger that a policy brings along (``ports.AuditLogger``)."""

    def log_event(self, event: Mapping[str, Any]) -> None: ...


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What a group enforces beyond its quota; None of a part means that it is not limited.

    ``memory`` names what a memory provider keeps; no level limits it. A group without an audit
    logger of its own takes the policy's.
    """

    level: SecurityLevel = SecurityLevel.STANDARD
    network: NetworkPolicy | None = field(default_factory=NetworkPolicy)
    template: TemplateSafetyConfig | None = field(default_factory=TemplateSafetyConfig)
    dsl_validation: DslLimits | None = field(default_factory=DslLimits)
    memory: Mapping[str, Any] | None = None
    node_limits: Mapping[str, NodeLimits] = field(
        default_factory=lambda: SecurityLimits.standard().node_limits
    )
    audit_logger: PolicyAudit | None = field(default=None, compare=False)

    @classmethod
    def permissive(cls) -> SecurityPolicy:
        return cls(SecurityLevel.PERMISSIVE, None, None, None, node_limits={})

    @classmethod
    def standard(cls) -> SecurityPolicy:
        return cls()

    @classmethod
    def strict(cls) -> SecurityPolicy:
        limits = SecurityLimits.strict()
        return cls(
            SecurityLevel.STRICT,
            NetworkPolicy.closed(),
            limits.template,
            DslLimits(
                max_nodes=100, max_edges=200, max_node_config_bytes=16_384, max_nesting_depth=5
            ),
            node_limits=limits.node_limits,
        )

    @classmethod
    def of_level(cls, level: SecurityLevel) -> SecurityPolicy:
        """The policy that a level stands for."""
        if level is SecurityLevel.PERMISSIVE:
            return cls.permissive()
        return cls.strict() if level is SecurityLevel.STRICT else cls.standard()

    @property
    def limits(self) -> SecurityLimits:
        """What of it holds while a run is under way."""
        rules = self.dsl_validation
        return SecurityLimits(
            template=self.template,
            selectors=rules.selector_validation if rules is not None else None,
            node_limits=dict(self.node_limits),
        )

    def network_hash(self) -> str:
        """Names the network policy; empty without one."""
        if self.network is None:
            return ""
        return hashlib.sha256(self.network.model_dump_json().encode()).hexdigest()
