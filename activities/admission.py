"""Admission: a run asks its group whether it may start, and takes the group's policy with it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final

from xworkflow.activities.attempt_audit import quota_details
from xworkflow.domain.diagnostics import Report
from xworkflow.domain.governing import RunAsks, UsageQuota, Verdict
from xworkflow.domain.wire import DEFAULT_GROUP, Admission, Policy, RegionTask
from xworkflow.engine.compile import Compiled
from xworkflow.engine.validation import validated
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.audit import EventType
from xworkflow.ports import AdmittingGovernor, BudgetGovernor, ResourceGovernor, YieldHearer
from xworkflow.runtime_group.group import RuntimeGroup

_MOST_TOLD: Final = 3
"""Findings in the text of a refusal, which stands in the run's history."""


async def admit(group: RuntimeGroup, task: RegionTask, compiled: Compiled) -> Admission:
    """Never waits for a place: granted with the policy as data, queued, or refused with the reason.
    Idempotent by run and turn.

    A client validates by what it knows; what a group's policy says of files holds for those of
    every client.
    """
    report = _report(group, compiled) if task.turn == 0 else Report()
    if not report.is_valid:
        _tell(group, task, "DslValidationFailed", {"errors": [e.code for e in report.errors]})
        return Admission(granted=False, reason=_sentence(report))
    governor = group.resource_governor
    # a run keeps the limits that it began with
    policy = policy_of(group) if task.turn == 0 else None
    if governor is None or group.group_id is None:
        return Admission(policy=policy)
    verdict = await _verdict(governor, group.group_id, task)
    if verdict.answer == "refused":
        failure = NodeFailure(
            code="resource_limit_exceeded",
            text=verdict.reason or "refused",
            metadata=dict(verdict.details),
        )
        _tell(group, task, "QuotaExceeded", quota_details(failure))
        return Admission(granted=False, reason=verdict.reason)
    queued = verdict.answer == "queued"
    return Admission(granted=not queued, queued=queued, policy=policy, lease=verdict.lease)


async def _verdict(governor: ResourceGovernor, group_id: str, task: RegionTask) -> Verdict:
    if isinstance(governor, AdmittingGovernor):
        return await governor.admit(group_id, asking(task, _usage_quota(governor)))
    try:
        await governor.check_workflow_start(group_id)
    except NodeError as error:
        details = error.failure.metadata
        return Verdict(answer="refused", reason=str(error), details=details)
    await governor.record_workflow_start(group_id, task.execution_id)
    return Verdict()


def _report(group: RuntimeGroup, compiled: Compiled) -> Report:
    """What the group's policy has against the file; looked at once for each file."""
    policy = group.security_policy
    if policy is None or policy.dsl_validation is None:
        return Report()
    options = compiled.options
    return validated(
        compiled.schema,
        mocked=frozenset(options.mock_nodes),
        foreign=frozenset(options.executors),
        limits=policy.dsl_validation,
    )


def _sentence(report: Report) -> str:
    found = [f"{error.code} {error.message}" for error in report.errors]
    more = f" (and {len(found) - _MOST_TOLD} more)" if len(found) > _MOST_TOLD else ""
    return "Validation failed: " + "; ".join(found[:_MOST_TOLD]) + more


def _tell(
    group: RuntimeGroup, task: RegionTask, event_type: EventType, details: Mapping[str, Any]
) -> None:
    """Log the refusal of a run; the run's own nodes never come to it."""
    if group.audit is None:
        return
    group.audit.log_event(
        {
            "timestamp": time.time(),
            "group_id": group.group_id or DEFAULT_GROUP,
            "workflow_id": task.execution_id,
            "app": task.app_name,
            "event_type": event_type,
            "severity": "Warning",
            "outcome": "refused",
            "details": dict(details),
        }
    )


def asking(task: RegionTask, quota: UsageQuota | None) -> RunAsks:
    """What a run asks for, under the key by which its group shares places."""
    keys = {"app": task.app_name, "user": task.user}
    key = "" if quota is None else keys.get(quota.fair_by, "")
    return RunAsks(run=task.execution_id, turn=task.turn, fair_key=key)


def _usage_quota(governor: ResourceGovernor | None) -> UsageQuota | None:
    return governor.usage_quota if isinstance(governor, BudgetGovernor) else None


def policy_of(group: RuntimeGroup) -> Policy:
    """The group's limits, as they stand now."""
    quota, governor = group.quota, group.resource_governor
    usage = _usage_quota(governor)
    return Policy(
        max_steps=quota.max_steps,
        max_execution_time_secs=quota.max_execution_time_secs,
        security_level=group.security_level.value,
        all_activities=group.node_placement == "activity",
        limits=group.limits,
        max_pool_entries=quota.max_variable_pool_entries if group.has_own_limits else None,
        max_pool_bytes=quota.max_variable_pool_bytes if group.has_own_limits else None,
        yields_slot=usage is not None and usage.yields,
        yields_to=governor.yields_to if isinstance(governor, YieldHearer) else "",
    )
