"""What a node tells the group's audit log (spec/runtime.md 6.7)."""

from __future__ import annotations

from typing import Literal

from xworkflow.domain.values import JsonValue
from xworkflow.ports import Ports

EventType = Literal[
    "CredentialAccess",
    "DslValidationFailed",
    "MemoryAccess",
    "OutputSizeExceeded",
    "QuotaExceeded",
    "SandboxViolation",
    "SsrfBlocked",
    "TemplateRenderingAnomaly",
    "ToolInvocation",
]
Severity = Literal["Info", "Warning", "Critical"]


def audit(
    ports: Ports, node_id: str, event_type: EventType, severity: Severity, **details: JsonValue
) -> None:
    """Log one event; nothing where the group has no logger, or no name to log under."""
    if ports.audit_logger is None or ports.group_id is None:
        return
    ports.audit_logger.log_event(
        {
            "timestamp": ports.time.now_timestamp(),
            "group_id": ports.group_id,
            "node_id": node_id,
            "event_type": event_type,
            "severity": severity,
            **details,
        }
    )
