"""Where audit events go: lines of JSON, or OpenTelemetry's logs. A logger never raises."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Final, TextIO

if TYPE_CHECKING:
    from opentelemetry._logs import Logger

NAME: Final = "xworkflow.audit"
_LEVELS: Final = {"Info": logging.INFO, "Warning": logging.WARNING, "Critical": logging.ERROR}
_log = logging.getLogger(NAME)


class TracingAuditLogger:
    """One line of JSON for each event, through Python's logger ``xworkflow.audit``."""

    def log_event(self, event: Mapping[str, Any]) -> None:
        level = _LEVELS.get(str(event.get("severity")), logging.INFO)
        _log.log(level, "%s", _line(event))

    def log_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            self.log_event(event)


class SilentAuditLogger:
    """Keeps nothing, for groups that want no audit log at all."""

    def log_event(self, event: Mapping[str, Any]) -> None:
        del event

    def log_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        del events


class JsonLinesAuditLogger:
    """One line of JSON for each event, to a file (made for its owner alone) or an open stream.

    Each line is written at once and whole; several processes may share a file.
    """

    def __init__(self, target: Path | TextIO) -> None:
        self._target = target
        self._lock = Lock()

    def log_event(self, event: Mapping[str, Any]) -> None:
        self.log_events((event,))

    def log_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        text = "".join(f"{_line(event)}\n" for event in events)
        with self._lock, suppress(OSError, ValueError):
            if isinstance(self._target, Path):
                with open(self._target, "a", encoding="utf-8", opener=_private) as opened:
                    opened.write(text)
            else:
                self._target.write(text)
                self._target.flush()


class OtelAuditLogger:
    """One log record for each event, its fields as attributes; exported as the process says."""

    def __init__(self, logger: Logger | None = None) -> None:
        from opentelemetry._logs import get_logger

        self._logger = logger or get_logger(NAME)

    def log_event(self, event: Mapping[str, Any]) -> None:
        from opentelemetry._logs import LogRecord, SeverityNumber

        severity = {"Warning": SeverityNumber.WARN, "Critical": SeverityNumber.ERROR}
        flat = {**event, **event.get("details", {})}
        flat.pop("details", None)
        with suppress(Exception):
            self._logger.emit(
                LogRecord(
                    timestamp=int(float(event.get("timestamp", 0)) * 1_000_000_000),
                    severity_number=severity.get(str(event.get("severity")), SeverityNumber.INFO),
                    severity_text=str(event.get("severity", "Info")),
                    body=str(event.get("event_type", "")),
                    attributes={f"xworkflow.audit.{k}": _plain(v) for k, v in flat.items()},
                )
            )

    def log_events(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            self.log_event(event)


@cache
def default_audit_logger() -> TracingAuditLogger:
    """What a policy of the levels standard and strict logs to when nobody says where."""
    return TracingAuditLogger()


def _line(event: Mapping[str, Any]) -> str:
    return json.dumps(dict(event), ensure_ascii=False, default=str, separators=(",", ":"))


def _plain(value: Any) -> str | int | float | bool:  # noqa: ANN401 - JSON
    return value if isinstance(value, (str, int, float, bool)) else _line({"value": value})


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
