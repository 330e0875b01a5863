"""The governor of a group follows its quota."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from xworkflow.activities.governance import Governance, Governed
from xworkflow.domain.governing import UsageQuota
from xworkflow.runtime_group.governor import DefaultResourceGovernor
from xworkflow.runtime_group.group import RuntimeGroup

TWO, THREE = UsageQuota(concurrent_runs=2), UsageQuota(concurrent_runs=3)


class Made:
    """Makes governors, and notes what happens to them."""

    def __init__(self) -> None:
        self.log: list[str] = []

    def governance(self) -> Governance:
        return Governance(self.make)

    def make(self, quota: UsageQuota) -> Governed:
        return Governed(DefaultResourceGovernor(), self.beside(quota))

    @asynccontextmanager
    async def beside(self, quota: UsageQuota) -> AsyncGenerator[None]:
        self.log.append(f"begins {quota.concurrent_runs}")
        yield
        self.log.append(f"ends {quota.concurrent_runs}")


def group(quota: UsageQuota | None, group_id: str | None = "g") -> RuntimeGroup:
    return RuntimeGroup(group_id=group_id, usage_quota=quota)


def test_a_group_without_a_quota_or_a_name_has_none() -> None:
    governance = Made().governance()
    for without in (group(None), group(TWO, None)):
        assert governance.over(without) is without
        assert governance.governor is None


def test_a_governor_of_the_groups_own_wins() -> None:
    own = DefaultResourceGovernor()
    governance = Made().governance()
    assert governance.over(group(TWO).replaced(resource_governor=own)).resource_governor is own
    assert governance.governor is own


def test_the_same_quota_keeps_its_governor() -> None:
    governance = Made().governance()
    first = governance.over(group(TWO)).resource_governor
    assert first is not None
    assert governance.over(group(UsageQuota(concurrent_runs=2))).resource_governor is first
    assert governance.over(group(THREE)).resource_governor is not first


async def test_the_governor_of_a_new_quota_begins_before_the_old_one_ends() -> None:
    made = Made()
    governance = made.governance()
    governance.over(group(TWO))
    async with governance.running():
        async with governance.handing_over(group(THREE)) as after:
            assert after.resource_governor is governance.governor
            assert made.log == ["begins 2", "begins 3"]
        assert made.log == ["begins 2", "begins 3", "ends 2"]
        async with governance.handing_over(group(UsageQuota(concurrent_runs=3))):
            pass
        assert made.log[3:] == []
    assert made.log[3:] == ["ends 3"]


async def test_a_quota_that_is_dropped_ends_its_governor() -> None:
    made = Made()
    governance = made.governance()
    governance.over(group(TWO))
    async with governance.running():
        async with governance.handing_over(group(None)) as after:
            assert after.resource_governor is None
        assert made.log == ["begins 2", "ends 2"]
