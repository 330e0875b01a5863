"""Limits of a run, as data: admitted once, kept in the state, so that a replay sees no change."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.security_limits import SecurityLimits
from xworkflow.domain.selectors import Dialect

_NO_LIMITS = SecurityLimits()

DEFAULT_MAX_STEPS = 500
DEFAULT_TIME_LIMITS: dict[Dialect, int] = {"native": 600, "dify": 1200}


class EngineConfig(BaseModel):
    """How one run is scheduled (spec/graph.md 5.1).

    ``max_execution_time_secs`` counts activity, not waiting; None is no limit. ``max_concurrency``
    0 is unlimited, and ``parallel_enabled`` False means one node at a time. ``max_pool_…`` bound
    the variable pool of the run, and that of each item of a container by itself.
    """

    model_config = ConfigDict(frozen=True)

    max_steps: int = DEFAULT_MAX_STEPS
    max_execution_time_secs: float | None = DEFAULT_TIME_LIMITS["native"]
    strict_template: bool = False
    parallel_enabled: bool = True
    max_concurrency: int = 0
    limits: SecurityLimits = SecurityLimits()
    max_pool_entries: int | None = None
    max_pool_bytes: int | None = None

    @classmethod
    def of_dialect(cls, dialect: Dialect) -> EngineConfig:
        """The dialect's defaults: Dify allows 1,200 s of activity, the native dialect 600."""
        return cls(max_execution_time_secs=DEFAULT_TIME_LIMITS[dialect])

    def lowered(
        self,
        max_steps: int,
        max_execution_time_secs: float,
        limits: SecurityLimits = _NO_LIMITS,
        *,
        max_pool_entries: int | None = None,
        max_pool_bytes: int | None = None,
    ) -> EngineConfig:
        """The config under a group's quota, the smaller of both (5.1), and under its level."""
        own = self.max_execution_time_secs
        return self.model_copy(
            update={
                "max_steps": min(self.max_steps, max_steps),
                "max_execution_time_secs": max_execution_time_secs
                if own is None
                else min(own, max_execution_time_secs),
                "limits": limits,
                "max_pool_entries": _smaller(self.max_pool_entries, max_pool_entries),
                "max_pool_bytes": _smaller(self.max_pool_bytes, max_pool_bytes),
            }
        )

    @property
    def concurrency(self) -> int:
        """Nodes that may run at once; 0 is unlimited."""
        return self.max_concurrency if self.parallel_enabled else 1


def _smaller(one: int | None, other: int | None) -> int | None:
    return min((limit for limit in (one, other) if limit is not None), default=None)
