"""Audit events as lines of JSON, through Python's logging, and as OpenTelemetry's log records."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path
from typing import Any

import pytest

from xworkflow.domain.quota import SecurityPolicy
from xworkflow.runtime_group.audit_loggers import (
    JsonLinesAuditLogger,
    OtelAuditLogger,
    TracingAuditLogger,
)
from xworkflow.runtime_group.group import RuntimeGroup

EVENT = {
    "timestamp": 1_700_000_000.5,
    "group_id": "tenant",
    "workflow_id": "run-1",
    "node_id": "n",
    "event_type": "SsrfBlocked",
    "severity": "Warning",
    "outcome": "refused",
    "details": {"host": "10.0.0.1", "rule": "block_private_ips", "list": ["é"]},
}


def test_lines_of_json_go_to_a_stream() -> None:
    stream = io.StringIO()
    JsonLinesAuditLogger(stream).log_events([EVENT, EVENT])
    assert [json.loads(line) for line in stream.getvalue().splitlines()] == [EVENT, EVENT]


def test_a_file_is_made_for_its_owner_alone_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    JsonLinesAuditLogger(path).log_event(EVENT)
    JsonLinesAuditLogger(path).log_event(EVENT)
    assert len(path.read_text().splitlines()) == 2
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_logger_never_raises(tmp_path: Path) -> None:
    closed = io.StringIO()
    closed.close()
    JsonLinesAuditLogger(closed).log_event(EVENT)
    JsonLinesAuditLogger(tmp_path / "not" / "there").log_event(EVENT)
    JsonLinesAuditLogger(io.StringIO()).log_event({"odd": object()})


@pytest.mark.parametrize(
    ("severity", "level"), [("Info", "INFO"), ("Warning", "WARNING"), ("Critical", "ERROR")]
)
def test_severities_are_levels_of_pythons_logging(
    caplog: pytest.LogCaptureFixture, severity: str, level: str
) -> None:
    with caplog.at_level(logging.INFO, "xworkflow.audit"):
        TracingAuditLogger().log_event({**EVENT, "severity": severity})
    (record,) = caplog.records
    assert record.levelname == level
    assert json.loads(record.getMessage())["details"] == EVENT["details"]


def test_opentelemetry_gets_a_record_with_attributes() -> None:
    records: list[Any] = []

    class Logger:
        def emit(self, record: Any) -> None:
            records.append(record)

    OtelAuditLogger(Logger()).log_event(EVENT)  # pyright: ignore[reportArgumentType]
    (record,) = records
    assert (record.body, record.severity_text) == ("SsrfBlocked", "Warning")
    assert record.timestamp == 1_700_000_000_500_000_000
    assert record.attributes["xworkflow.audit.workflow_id"] == "run-1"
    assert record.attributes["xworkflow.audit.rule"] == "block_private_ips"
    assert record.attributes["xworkflow.audit.list"] == '{"value":["é"]}'


def test_opentelemetry_is_asked_for_a_logger_where_none_is_given() -> None:
    OtelAuditLogger().log_event(EVENT)


def test_every_level_but_permissive_logs_where_nobody_says_where() -> None:
    own = JsonLinesAuditLogger(io.StringIO())
    assert RuntimeGroup().audit is None
    assert RuntimeGroup(security_policy=SecurityPolicy.permissive()).audit is None
    assert isinstance(
        RuntimeGroup(security_policy=SecurityPolicy.strict()).audit, TracingAuditLogger
    )
    policy = SecurityPolicy(audit_logger=own)
    assert RuntimeGroup(security_policy=policy).audit is own
    other = TracingAuditLogger()
    assert RuntimeGroup(security_policy=policy, audit_logger=other).audit is other
