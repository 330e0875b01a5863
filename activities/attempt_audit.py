"""What an attempt tells the group's audit log: who, what, when, run, node, outcome.

Nodes log what only they know (``nodes/audit.py``); what can be seen from outside is logged here, so
that no node can forget it. Nothing that is logged holds a secret.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, Final, cast

from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.security_limits import OUTPUT_TOO_LARGE
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import DEFAULT_GROUP, NodeTask
from xworkflow.errors import NodeError, NodeFailure, SandboxError
from xworkflow.nodes.audit import EventType, Severity
from xworkflow.ports import AuditLogger
from xworkflow.runtime_group.egress import EgressRefused
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.masking import Masker

_ANOMALIES: Final = ("output too large", "output is longer", "out of fuel", "(rule max_")
"""Texts of errors of templates that passed a bound (domain/jinja.py, domain/template_limits.py)."""
_TOOLS: Final = frozenset({"tool", "agent"})
_MEMORY: Final = "memory-"


class AttemptAudit:
    """A ``ports.AuditLogger`` for one attempt, over the group's. Without one it does nothing."""

    def __init__(self, group: RuntimeGroup, task: NodeTask, masker: Masker) -> None:
        self._logger: AuditLogger | None = group.audit
        self._group_id = group.group_id or DEFAULT_GROUP
        self._task = task
        self._masker = masker
        self._logged: set[str] = set()

    @property
    def port(self) -> AuditLogger | None:
        return None if self._logger is None else self

    def log_event(self, event: Mapping[str, Any]) -> None:
        """An event of the node's own: made whole, and masked."""
        known = {"timestamp", "group_id", "node_id", "event_type", "severity"}
        details = {name: value for name, value in event.items() if name not in known}
        self._log(event["event_type"], event["severity"], details, event.get("timestamp"))

    def credential(self, provider: str, *, success: bool) -> None:
        severity: Severity = "Info" if success else "Warning"
        self._log("CredentialAccess", severity, {"provider": provider, "success": success})

    def succeeded(self, result: NodeRunResult) -> None:
        del result
        task = self._task
        if task.node_type in _TOOLS:
            name = task.data.get("tool_name") or task.title or task.node_id
            self._log("ToolInvocation", "Info", {"tool_name": name, "success": True})
        self._memory(success=True)

    def over_quota(self, failure: NodeFailure) -> None:
        """A failure that may be a quota's: told once."""
        if failure.code == "resource_limit_exceeded" and "QuotaExceeded" not in self._logged:
            self._log("QuotaExceeded", "Warning", quota_details(failure))

    def failed(self, error: NodeError) -> None:
        """What a failure tells: something was refused, or passed its bounds."""
        failure = error.failure
        if isinstance(error, EgressRefused):
            if "SsrfBlocked" not in self._logged:
                details = {"host": error.host, "rule": error.rule, "reason": error.reason}
                self._log("SsrfBlocked", "Warning", details)
        elif failure.code == OUTPUT_TOO_LARGE:
            self._log(
                "OutputSizeExceeded", "Warning", {"node_id": self._task.node_id, **failure.metadata}
            )
        elif self._task.node_type == "code":
            self._script(error)
        else:
            self._template(error)
        self.over_quota(failure)
        if self._task.node_type in _TOOLS:
            self._log("ToolInvocation", "Info", {"success": False, "code": failure.code})
        self._memory(success=False)

    def _script(self, error: NodeError) -> None:
        """A script that passed its bounds, or failed: one that tries what is not there does."""
        if isinstance(error, SandboxError) or error.code == "timeout":
            language = self._task.data.get("language") or ""
            self._log(
                "SandboxViolation", "Warning", {"sandbox_type": language, "violation": error.code}
            )

    def _template(self, error: NodeError) -> None:
        """A template that passed its bounds. One with a mistake in it is none of this."""
        length = _template_length(self._task.data)
        if length is None:
            return
        text = error.failure.text.lower()
        known = error.code == "template_error" and any(sign in text for sign in _ANOMALIES)
        timed_out = error.code == "timeout" and self._task.node_type == "template-transform"
        if known or timed_out or isinstance(error, SandboxError):
            details = {"template_length": length, "code": error.code}
            self._log("TemplateRenderingAnomaly", "Warning", details)

    def _memory(self, *, success: bool) -> None:
        kind = self._task.node_type
        if kind.startswith(_MEMORY):
            operation = kind.removeprefix(_MEMORY)
            namespace = self._task.data.get("namespace")
            details = {"namespace": namespace, "operation": operation, "success": success}
            self._log("MemoryAccess", "Info", details)

    def _log(
        self,
        event_type: EventType,
        severity: Severity,
        details: Mapping[str, JsonValue],
        timestamp: float | None = None,
    ) -> None:
        if self._logger is None:
            return
        self._logged.add(event_type)
        task = self._task
        self._logger.log_event(
            {
                "timestamp": time.time() if timestamp is None else timestamp,
                "group_id": self._group_id,
                "workflow_id": task.execution_id,
                "app": task.app_name,
                "node_id": task.node_id,
                "node_type": task.node_type,
                "attempt": task.attempt,
                "event_type": event_type,
                "severity": severity,
                "outcome": "allowed" if severity == "Info" else "refused",
                "details": self._masker.json(dict(details)),
            }
        )


def quota_details(failure: NodeFailure) -> dict[str, JsonValue]:
    """What the record of a quota says: which, how much it is, how much was used."""
    names = ("quota_type", "limit", "current")
    known = {name: failure.metadata.get(name) for name in names}
    return {**known, "reason": failure.text}


def _template_length(data: Mapping[str, JsonValue]) -> int | None:
    """Characters of a node's Jinja2 templates; None where it has none."""
    drawn = [data.get("template")]
    prompt = data.get("prompt_template")
    for message in cast("list[Any]", prompt) if isinstance(prompt, list) else []:
        if isinstance(message, dict):
            text = cast("dict[str, Any]", message)
            drawn.append(text.get("jinja2_text") if text.get("edition_type") == "jinja2" else None)
    templates = [text for text in drawn if isinstance(text, str)]
    return sum(map(len, templates)) if templates else None
