"""A live group of a script is governed like any other, in the script's own event loop."""

from __future__ import annotations

import uuid

import pytest

from tests.client.live import Probe, at_once, group_with, runner
from xworkflow import Budget, UsageQuota
from xworkflow.client.status import Completed, Failed

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("live")]


async def test_runs_of_a_live_group_wait_for_one_another(governor_url: str | None) -> None:
    group = group_with(
        Probe(),
        group_id=f"script-{uuid.uuid4().hex}",
        usage_quota=UsageQuota(concurrent_runs=1, when_full="wait"),
        governor_url=governor_url,
    )
    statuses = await at_once(*(runner(group) for _ in range(4)))
    assert statuses == [Completed({"seen": None})] * 4


async def test_two_live_groups_of_one_name_share_one_ledger(governor_url: str | None) -> None:
    group_id = f"script-{uuid.uuid4().hex}"
    quota = UsageQuota(runs=Budget(limit=3))
    parts = {"group_id": group_id, "usage_quota": quota, "governor_url": governor_url}
    groups = [group_with(Probe(), **parts) for _ in range(2)]
    statuses = await at_once(*(runner(groups[i % 2]) for i in range(6)))
    refused = [status for status in statuses if isinstance(status, Failed)]
    assert len(refused) == 3
    assert {status.error_type for status in refused} == {"Refused"}
    assert "Workflow rate limit exceeded: 3/3 in a day" in {status.message for status in refused}
