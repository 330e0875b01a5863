"""``CountedCalls``: the reference's way to ask a governor (spec/runtime.md 6.5), on top of ours."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping

from xworkflow.domain.governing import GroupUsage, Kind, RunAsks, UsageQuota, Verdict
from xworkflow.domain.refusals import too_many_runs
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import Reservation

_PATIENCE_SECS = 1.0


class CountedCalls(ABC):
    """What every governor of one group offers whose calls set parts of budgets aside."""

    @property
    @abstractmethod
    def usage_quota(self) -> UsageQuota: ...

    @abstractmethod
    async def admit(self, group_id: str, ask: RunAsks) -> Verdict: ...

    @abstractmethod
    async def reserve(
        self, charges: Mapping[Kind, int], *, patience_secs: float = 0.0
    ) -> Reservation: ...

    @abstractmethod
    async def usage(self) -> GroupUsage:
        """What the group uses right now, in all processes."""
        ...

    async def check_workflow_start(self, group_id: str) -> None:
        """Whether a run may start now; one that is to start asks by ``admit``."""
        del group_id
        usage = await self.usage()
        limit = self.usage_quota.concurrent_runs
        if limit is not None and len(usage.running) >= limit:
            text = too_many_runs(len(usage.running), limit)
            raise NodeError(NodeFailure(code="resource_limit_exceeded", text=text))

    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None:
        await self.admit(group_id, RunAsks(run=workflow_id))

    async def check_http_rate(self, group_id: str) -> None:
        """Count one HTTP request, or refuse it."""
        del group_id
        charges = {Kind.HTTP_CALLS: 1}
        (await self.reserve(charges, patience_secs=_PATIENCE_SECS)).settle(charges)

    async def check_llm_request(self, group_id: str, estimated_tokens: int) -> None:
        """Count one model call, or refuse it. Its tokens are counted by ``record_llm_usage``; who
        sets them aside before the call asks by ``reserve``."""
        del group_id
        charges = {Kind.LLM_REQUESTS: 1, Kind.LLM_TOKENS: estimated_tokens}
        taken = await self.reserve(charges, patience_secs=_PATIENCE_SECS)
        taken.settle({Kind.LLM_REQUESTS: 1})

    async def record_llm_usage(self, group_id: str, usage: LlmUsage) -> None:
        del group_id
        charges = {Kind.LLM_TOKENS: usage.total_tokens}
        (await self.reserve(charges, patience_secs=_PATIENCE_SECS)).settle(charges)

    async def get_usage(self, group_id: str) -> Mapping[str, int]:
        """The reference's four numbers."""
        del group_id
        usage = await self.usage()
        of = {kind: budget.used for kind, budget in usage.budgets.items()}
        return {
            "active_workflows": len(usage.running),
            "http_requests_this_minute": of.get(Kind.HTTP_CALLS, 0),
            "llm_requests_this_minute": of.get(Kind.LLM_REQUESTS, 0),
            "llm_tokens_today": of.get(Kind.LLM_TOKENS, 0),
        }
