"""What an audit log was told, against what a case expects of it."""

from __future__ import annotations

import pytest

from xworkflow.testing.recorded_audit import (
    ExpectedRecord,
    RecordedAudit,
    audit_differences,
    leaked,
)

BLOCKED = {
    "event_type": "SsrfBlocked",
    "severity": "Warning",
    "node_id": "n",
    "details": {"host": "a", "rule": "r"},
}


def expected(**parts: object) -> ExpectedRecord:
    return ExpectedRecord.model_validate({"event_type": "SsrfBlocked", **parts})


@pytest.mark.parametrize(
    "parts",
    [{}, {"severity": "Warning"}, {"node_id": "n", "details": {"rule": "r"}}],
)
def test_a_record_has_at_least_what_is_expected(parts: dict[str, object]) -> None:
    assert audit_differences([expected(**parts)], [BLOCKED]) == []


@pytest.mark.parametrize(
    "parts",
    [{"severity": "Info"}, {"node_id": "m"}, {"details": {"rule": "s"}}, {"details": {"x": None}}],
)
def test_a_record_that_differs_is_missing_and_one_too_many(parts: dict[str, object]) -> None:
    missing, surplus = audit_differences([expected(**parts)], [BLOCKED])
    assert missing.startswith("audit: expected ")
    assert missing.endswith("which was not logged")
    assert surplus.startswith("audit: not expected, got ")


def test_each_record_answers_to_one_expectation_in_any_order() -> None:
    other = {**BLOCKED, "node_id": "m"}
    wanted = [expected(node_id="n"), expected()]
    assert audit_differences(wanted, [other, BLOCKED]) == []
    assert len(audit_differences([*wanted, expected()], [other, BLOCKED])) == 1


def test_a_credential_in_a_record_is_found() -> None:
    log = RecordedAudit()
    log.log_events([BLOCKED, {"event_type": "CredentialAccess", "details": {"x": ["sk-1"]}}])
    assert log.types == ["SsrfBlocked", "CredentialAccess"]
    assert leaked(["sk-1", ""], log.records) == ["audit: a record holds a credential"]
    assert leaked(["sk-2"], log.records) == []
