"""Logs with the run and the node that they are about, as text or as one JSON object a line.

The loggers are called ``xworkflow.*``. Whoever works for a run says so with ``about``; the filter
puts the ids on every record that is made meanwhile, also on those of other libraries.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias

LogFormat: TypeAlias = Literal["json", "text"]

_about: ContextVar[tuple[str, str]] = ContextVar("xworkflow_log_ids", default=("", ""))
_TEXT: Final = "%(asctime)s %(levelname)s %(name)s [%(run_id)s %(node_id)s] %(message)s"


@contextmanager
def about(run_id: str, node_id: str = "") -> Generator[None]:
    """Records of the calling task are about this run and node, for the length of a block."""
    token = _about.set((run_id, node_id))
    try:
        yield
    finally:
        _about.reset(token)


class IdsFilter(logging.Filter):
    """Puts ``run_id`` and ``node_id`` on each record; empty texts where nobody said any."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.run_id, record.node_id = _about.get()
        return True


class JsonFormatter(logging.Formatter):
    """One JSON object in one line; ``time`` is RFC 3339 in UTC, ``error`` a traceback if any."""

    def format(self, record: logging.LogRecord) -> str:
        told = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            "run_id": getattr(record, "run_id", ""),
            "node_id": getattr(record, "node_id", ""),
        }
        if record.exc_info:
            told["error"] = self.formatException(record.exc_info)
        return json.dumps(told, ensure_ascii=False)


def handler_of(log_format: LogFormat) -> logging.Handler:
    """A handler that writes records with their ids to standard error."""
    handler = logging.StreamHandler()
    handler.addFilter(IdsFilter())
    handler.setFormatter(JsonFormatter() if log_format == "json" else logging.Formatter(_TEXT))
    return handler


def turn_on(log_format: LogFormat) -> None:
    """Write the process's log to standard error, in place of what was set up before.

    xworkflow's own from INFO on, that of other libraries from WARNING on; levels that are lower
    already stay as they are.
    """
    root, ours = logging.getLogger(), logging.getLogger("xworkflow")
    root.handlers[:] = [handler_of(log_format)]
    root.setLevel(min(root.level or logging.WARNING, logging.WARNING))
    ours.setLevel(min(ours.level or logging.INFO, logging.INFO))
