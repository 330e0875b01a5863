"""What a group may use (spec/runtime.md 6.5), and how strict it is (6.1)."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

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


@dataclass(frozen=True, slots=True)
class DslLimits:
    """Sizes of a workflow that a policy still accepts (spec/runtime.md 6.2)."""

    max_nodes: int = 200
    max_edges: int = 500
    max_node_id_length: int = 128
    max_node_config_bytes: int = 65_536
    max_nesting_depth: int = 10
    enable_cycle_detection: bool = True


@dataclass(frozen=True, slots=True)
class SecurityPolicy:
    """What a group enforces beyond its quota; None of a part means that it is not limited."""

    level: SecurityLevel = SecurityLevel.STANDARD
    dsl_validation: DslLimits | None = field(default_factory=DslLimits)

    @classmethod
    def permissive(cls) -> SecurityPolicy:
        return cls(SecurityLevel.PERMISSIVE, None)

    @classmethod
    def standard(cls) -> SecurityPolicy:
        return cls()

    @classmethod
    def strict(cls) -> SecurityPolicy:
        limits = DslLimits(100, 200, 128, 16_384, 5)
        return cls(SecurityLevel.STRICT, limits)
