"""An audit log that remembers, for tests: what a run's group was told, record by record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.values import JsonValue, compact_json


class RecordedAudit:
    """A ``ports.AuditLogger``; ``records`` keeps every event, in order."""

    def __init__(self) -> None:
        self.records: list[Mapping[str, Any]] = []

    def log_event(self, event: Mapping[str, Any]) -> None:
        self.records.append(event)

    def log_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        self.records.extend(events)

    @property
    def types(self) -> list[str]:
        """The type of each event."""
        return [record["event_type"] for record in self.records]


class ExpectedRecord(BaseModel):
    """A record that must have been logged; of ``details`` only the keys that are given count."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event_type: str
    severity: str | None = None
    node_id: str | None = None
    outcome: str | None = None
    details: dict[str, JsonValue] = Field(default_factory=dict)

    def matches(self, record: Mapping[str, Any]) -> bool:
        given = self.model_dump(exclude_none=True, exclude={"details"})
        found: Mapping[str, Any] = record.get("details") or {}
        same = all(record.get(key) == value for key, value in given.items())
        return same and all(k in found and found[k] == v for k, v in self.details.items())


def audit_differences(
    wanted: Iterable[ExpectedRecord], records: Iterable[Mapping[str, Any]]
) -> list[str]:
    """What was not logged and should have been, and what was logged beyond that, in any order."""
    left = list(records)
    problems: list[str] = []
    for expected in wanted:
        found = next((record for record in left if expected.matches(record)), None)
        if found is None:
            shown = compact_json(expected.model_dump(exclude_none=True))
            problems.append(f"audit: expected {shown}, which was not logged")
        else:
            left.remove(found)
    problems += [f"audit: not expected, got {_shown(record)}" for record in left]
    return problems


def leaked(secrets: Iterable[str], records: Iterable[Mapping[str, Any]]) -> list[str]:
    """A problem for each record that holds a secret."""
    texts = [_shown(record) for record in records]
    return [
        "audit: a record holds a credential"
        for text in texts
        for secret in secrets
        if secret and secret in text
    ]


def _shown(record: Mapping[str, Any]) -> str:
    parts = ("event_type", "severity", "node_id", "outcome", "details")
    return compact_json({key: record[key] for key in parts if key in record})
