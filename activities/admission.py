"""Admission: a run asks its group whether it may start, and takes the group's policy with it."""

from __future__ import annotations

from xworkflow.domain.wire import Admission, Policy
from xworkflow.errors import NodeError
from xworkflow.runtime_group.group import RuntimeGroup


async def admit(group: RuntimeGroup, execution_id: str) -> Admission:
    """Never waits: granted with the policy as data, or refused with the reason. Idempotent by
    run."""
    governor = group.resource_governor
    if governor is not None and group.group_id is not None:
        try:
            await governor.check_workflow_start(group.group_id)
        except NodeError as error:
            return Admission(granted=False, reason=str(error))
        await governor.record_workflow_start(group.group_id, execution_id)
    return Admission(policy=policy_of(group))


def policy_of(group: RuntimeGroup) -> Policy:
    """The group's limits, as they stand now."""
    return Policy(
        max_steps=group.quota.max_steps,
        max_execution_time_secs=group.quota.max_execution_time_secs,
        security_level=group.security_level.value,
        all_activities=group.node_placement == "activity",
        limits=group.limits,
    )
