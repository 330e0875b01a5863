"""``DefaultResourceGovernor``: the reference's in-memory governor, for one process.

Its counters are this process's own: four worker processes count four times. What is exact over all
of them is a group's ``usage_quota`` (activities/governor_broker.py).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.domain.governing import RunAsks, Verdict
from xworkflow.domain.pool_size import too_large
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import NodeError, NodeFailure

_MINUTE, _DAY = 60, 86_400
_NOTHING: Final = ResourceQuota()


@dataclass(slots=True)
class _Counter:
    """Counts within fixed windows of the clock."""

    secs: int
    window: int = -1
    count: int = 0

    def at(self, now: float) -> int:
        window = int(now) // self.secs
        if window != self.window:
            self.window, self.count = window, 0
        return self.count

    def add(self, now: float, amount: int) -> None:
        self.at(now)
        self.count += amount


@dataclass(slots=True)
class _Usage:
    runs: set[str] = field(default_factory=set[str])
    http: _Counter = field(default_factory=lambda: _Counter(_MINUTE))
    llm: _Counter = field(default_factory=lambda: _Counter(_MINUTE))
    tokens: _Counter = field(default_factory=lambda: _Counter(_DAY))


class DefaultResourceGovernor:
    """Quotas by group; a group that is not among them has the default quota (spec/runtime.md 6.5).

    ``clock`` gives Unix seconds.
    """

    def __init__(
        self,
        quotas: Mapping[str, ResourceQuota] | None = None,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._quotas = dict(quotas or {})
        self._clock = clock
        self._usage: dict[str, _Usage] = {}

    async def check_workflow_start(self, group_id: str) -> None:
        active, limit = len(self._of(group_id).runs), self._quota(group_id).max_concurrent_workflows
        if active >= limit:
            raise _refused("concurrent_workflows", "Concurrent workflow", limit, active)

    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None:
        """Count a run, once."""
        self._of(group_id).runs.add(workflow_id)

    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None:
        self._of(group_id).runs.discard(workflow_id)

    async def admit(self, group_id: str, ask: RunAsks) -> Verdict:
        """Check and count a run at once; one that is counted already has its place."""
        if ask.run not in self._of(group_id).runs:
            try:
                await self.check_workflow_start(group_id)
            except NodeError as error:
                details = error.failure.metadata
                return Verdict(answer="refused", reason=str(error), details=details)
            await self.record_workflow_start(group_id, ask.run)
        return Verdict()

    async def check_http_rate(self, group_id: str) -> None:
        """Count one HTTP request, or refuse it."""
        limit, counter, now = (
            self._quota(group_id).http_rate_limit_per_minute,
            self._of(group_id).http,
            self._clock(),
        )
        if counter.at(now) >= limit:
            raise _over("http_rate", f"HTTP rate limit exceeded: {limit} per minute", limit, limit)
        counter.add(now, 1)

    async def check_llm_request(self, group_id: str, estimated_tokens: int) -> None:
        """Count one model call with an estimate of its tokens (0 for none), or refuse it."""
        quota, usage, now = self._quota(group_id), self._of(group_id), self._clock()
        most, budget, rate = (
            quota.llm_max_tokens_per_request,
            quota.llm_daily_token_budget,
            quota.llm_rate_limit_per_minute,
        )
        if estimated_tokens > most:
            text = f"LLM request tokens too large: {estimated_tokens}/{most}"
            raise _over("llm_request_tokens", text, most, estimated_tokens)
        if usage.llm.at(now) >= rate:
            raise _over("llm_rate", f"LLM rate limit exceeded: {rate} per minute", rate, rate)
        used = usage.tokens.at(now)
        if estimated_tokens > 0 and used + estimated_tokens > budget:
            text = f"LLM token budget exhausted: {used}/{budget}"
            raise _over("llm_token_budget", text, budget, used)
        usage.llm.add(now, 1)

    async def record_llm_usage(self, group_id: str, usage: LlmUsage) -> None:
        self._of(group_id).tokens.add(self._clock(), usage.total_tokens)

    async def check_variable_pool_size(self, group_id: str, entries: int, size: int) -> None:
        """Refuse a pool of more entries or bytes than the quota allows."""
        quota = self._quota(group_id)
        failure = too_large(
            entries,
            size,
            max_entries=quota.max_variable_pool_entries,
            max_size=quota.max_variable_pool_bytes,
        )
        if failure is not None:
            raise NodeError(failure)

    async def get_usage(self, group_id: str) -> Mapping[str, int]:
        usage, now = self._of(group_id), self._clock()
        return {
            "active_workflows": len(usage.runs),
            "http_requests_this_minute": usage.http.at(now),
            "llm_requests_this_minute": usage.llm.at(now),
            "llm_tokens_today": usage.tokens.at(now),
        }

    def _quota(self, group_id: str) -> ResourceQuota:
        return self._quotas.get(group_id, _NOTHING)

    def _of(self, group_id: str) -> _Usage:
        return self._usage.setdefault(group_id, _Usage())


def _refused(kind: str, name: str, limit: int, current: int) -> NodeError:
    return _over(kind, f"{name} limit exceeded: {current}/{limit}", limit, current)


def _over(kind: str, text: str, limit: int, current: int) -> NodeError:
    metadata: dict[str, Any] = {"quota_type": kind, "limit": limit, "current": current}
    return NodeError(NodeFailure(code="resource_limit_exceeded", text=text, metadata=metadata))
