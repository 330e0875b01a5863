"""What a workflow itself refuses, for the audit log of the group: no activity comes to it.

The log lives in the worker, which lends a function for it (activities/run_audit.py). It is not
called in replays, and no history knows of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias, cast

from temporalio import workflow

from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.plan import Placement, Plan
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import AUDIT_FUNCTION

_Tell: TypeAlias = Callable[[Mapping[str, Any]], None]
_FAILURES = frozenset({"node_run_failed", "node_run_exception"})
_POOL = "variable_pool_"


def audit_refusal(plan: Plan, execution_id: str, event: GraphEngineEvent) -> None:
    """Log a node that was not started, or whose outputs were refused, in the workflow."""
    if event.type not in _FAILURES:
        return
    found = _refusal(plan, event)
    if found is None or workflow.unsafe.is_replaying():
        return
    lent = cast("Mapping[str, _Tell]", workflow.extern_functions())  # pyright: ignore[reportUnknownMemberType]
    tell = lent.get(AUDIT_FUNCTION)
    if tell is not None:
        event_type, details = found
        tell(
            {
                "workflow_id": execution_id,
                "node_id": event.data["node_id"],
                "node_type": event.data["node_type"],
                "event_type": event_type,
                "severity": "Warning",
                "outcome": "refused",
                "details": details,
            }
        )


def _refusal(plan: Plan, event: GraphEngineEvent) -> tuple[str, dict[str, JsonValue]] | None:
    metadata = event.data["error_detail"].get("metadata", {})
    code, node_id = event.data["error_type"], event.data["node_id"]
    if code == "resource_limit_exceeded" and str(metadata.get("quota_type")).startswith(_POOL):
        return "QuotaExceeded", {**metadata, "reason": event.data["error"]}
    # of nodes elsewhere the attempt tells
    if code == "output_too_large" and plan.node(node_id).placement is Placement.INLINE:
        return "OutputSizeExceeded", {"node_id": node_id, **metadata}
    return None
