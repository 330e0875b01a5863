"""Calls are held to the budgets of their group before they are made."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.activities.attempts import task
from xworkflow.activities.metering import metered
from xworkflow.domain.governing import Kind, RunAsks, UsageQuota, Verdict
from xworkflow.domain.wire import NodeReport
from xworkflow.runtime_group.group import RuntimeGroup


class Reserved:
    def settle(self, used: Mapping[Kind, int]) -> None:
        del used


class Unlimited:
    """A governor that lets everything pass but what the quota itself refuses."""

    def __init__(self, quota: UsageQuota) -> None:
        self.usage_quota = quota

    async def check_workflow_start(self, group_id: str) -> None: ...
    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None: ...
    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None: ...
    async def admit(self, group_id: str, ask: RunAsks) -> Verdict:
        del group_id, ask
        return Verdict()

    async def reserve(self, charges: Mapping[Kind, int], *, patience_secs: float = 0.0) -> Reserved:
        del charges, patience_secs
        return Reserved()


async def asked_for(max_tokens: int, node_type: str = "llm") -> NodeReport:
    governor = Unlimited(UsageQuota(max_tokens_per_request=500))
    group = RuntimeGroup(group_id="g", resource_governor=governor)
    model = {"name": "m", "completion_params": {"max_tokens": max_tokens}}

    async def attempt() -> NodeReport:
        return NodeReport(at=0)

    return await metered(group, task(node_type, {"model": model}), attempt)


async def test_a_model_call_that_asks_for_more_than_any_may_is_refused() -> None:
    failure = (await asked_for(501)).failure
    assert failure is not None
    assert (failure.code, failure.text, failure.retryable) == (
        "resource_limit_exceeded", "LLM request tokens too large: 501/500", False,
    )  # fmt: skip
    assert failure.metadata["quota_type"] == "llm_request_tokens"


@pytest.mark.parametrize(("max_tokens", "node_type"), [(500, "llm"), (0, "llm"), (501, "code")])
async def test_other_calls_pass(max_tokens: int, node_type: str) -> None:
    assert (await asked_for(max_tokens, node_type)).failure is None
