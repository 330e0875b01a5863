"""The GraphEngineEvent family (spec/graph.md 8).

One constructor for each type, so that the fields of an event stand in one place. ``seq`` numbers
the events of a run without gaps, over continued histories too; ``at`` is Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

from xworkflow.domain.plan import PlanNode
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure

Content: TypeAlias = tuple[str, dict[str, Any]]
"""An event before it has its place in the log: (type, data)."""


@dataclass(frozen=True, slots=True)
class GraphEngineEvent:
    """One event of a run's log."""

    seq: int
    at: int
    type: str
    data: dict[str, Any]

    def to_json(self) -> dict[str, Any]:
        return {"seq": self.seq, "at": self.at, "type": self.type, "data": self.data}


def graph_run_started() -> Content:
    return "graph_run_started", {}


def graph_run_succeeded(outputs: dict[str, JsonValue]) -> Content:
    return "graph_run_succeeded", {"outputs": outputs}


def graph_run_partial_succeeded(exceptions: int, outputs: dict[str, JsonValue]) -> Content:
    return "graph_run_partial_succeeded", {"exceptions_count": exceptions, "outputs": outputs}


def graph_run_failed(error: str, exceptions: int) -> Content:
    return "graph_run_failed", {"error": error, "exceptions_count": exceptions}


def graph_run_aborted(reason: str, outputs: dict[str, JsonValue]) -> Content:
    return "graph_run_aborted", {"reason": reason, "outputs": outputs}


def error_handler_started(error: str) -> Content:
    return "error_handler_started", {"error": error}


def error_handler_succeeded(outputs: dict[str, JsonValue]) -> Content:
    return "error_handler_succeeded", {"outputs": outputs}


def error_handler_failed(error: str) -> Content:
    return "error_handler_failed", {"error": error}


def node_run_started(
    node: PlanNode, execution_id: str, predecessor: str | None, group_id: str
) -> Content:
    return "node_run_started", {
        "id": execution_id,
        "node_id": node.id,
        "node_type": node.type,
        "node_title": node.title,
        "predecessor_node_id": predecessor,
        "parallel_group_id": group_id,
    }


def node_run_succeeded(node: PlanNode, execution_id: str, outputs: dict[str, JsonValue]) -> Content:
    return "node_run_succeeded", {
        "id": execution_id,
        "node_id": node.id,
        "node_type": node.type,
        "status": "succeeded",
        "outputs": outputs,
    }


def node_run_failed(node: PlanNode, execution_id: str, failure: NodeFailure) -> Content:
    return "node_run_failed", _failed(node, execution_id, failure)


def node_run_exception(node: PlanNode, execution_id: str, failure: NodeFailure) -> Content:
    return "node_run_exception", _failed(node, execution_id, failure)


def node_run_retry(
    node: PlanNode, execution_id: str, failure: NodeFailure, retry_index: int
) -> Content:
    return "node_run_retry", {
        "id": execution_id,
        "node_id": node.id,
        "node_type": node.type,
        "node_title": node.title,
        "error": failure.text,
        "retry_index": retry_index,
    }


def node_run_stream_chunk(
    node: PlanNode, chunk_id: str, selector: Selector, chunk: str, *, is_final: bool
) -> Content:
    """A piece of an output; the last one that is known to be the last ``is_final``."""
    return "node_run_stream_chunk", {
        "id": chunk_id,
        "node_id": node.id,
        "node_type": node.type,
        "chunk": chunk,
        "selector": list(selector),
        "is_final": is_final,
    }


def node_run_stream_replaced(node: PlanNode, selector: Selector) -> Content:
    """What was shown of an output does not count: it comes again from its first piece."""
    return "node_run_stream_replaced", {
        "node_id": node.id,
        "node_type": node.type,
        "selector": list(selector),
    }


def _failed(node: PlanNode, execution_id: str, failure: NodeFailure) -> dict[str, Any]:
    return {
        "id": execution_id,
        "node_id": node.id,
        "node_type": node.type,
        "error": failure.text,
        "error_type": failure.code,
        "error_detail": failure.detail(),
    }
