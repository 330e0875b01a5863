"""Attempts of nodes without a server, and what the audit log of their group got."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import CrossedValue, NodeTask


class Recorded:
    """An audit logger that keeps what it gets."""

    def __init__(self) -> None:
        self.events: list[Mapping[str, Any]] = []

    def log_event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    @property
    def types(self) -> list[str]:
        return [event["event_type"] for event in self.events]


def task(
    node_type: str,
    data: Mapping[str, Any],
    values: Mapping[Selector, JsonValue] | None = None,
    **more: Any,
) -> NodeTask:
    crossed = tuple(CrossedValue(selector=s, value=v) for s, v in (values or {}).items())
    return NodeTask(
        execution_id="run-1",
        node_id="n",
        node_type=node_type,
        app_name="app",
        data={"type": node_type, **data},
        values=crossed,
        idempotency_key="k",
        **more,
    )


def http(url: str, **data: Any) -> dict[str, Any]:
    return {"method": "GET", "url": url, **data}


def code(script: str, language: str = "javascript") -> dict[str, Any]:
    return {"code": script, "language": language}
