"""The GraphEngineEvent family (spec/graph.md 8).

One constructor for each type, so that the fields of an event stand in one place. ``seq`` numbers
the events of a run without gaps, over continued histories too; ``at`` is Unix milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from xworkflow.domain.forms import Form, HumanAnswer
from xworkflow.domain.plan import PlanNode
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure

Content: TypeAlias = tuple[str, dict[str, Any]]
"""An event before it has its place in the log: (type, data)."""


UNNUMBERED: Final = frozenset({"node_run_stream_chunk", "node_run_stream_replaced"})
"""Events that a reader puts between those of the log: they have the number of the one before, as
their place is another when they are read live."""


@dataclass(frozen=True, slots=True)
class GraphEngineEvent:
    """One event of a run's log.

    ``seq`` numbers the events of one workflow, a run or a sub-graph. A reader stamps ``cursor``:
    the place in the log of the whole run, opaque, to go on after this event.
    """

    seq: int
    at: int
    type: str
    data: dict[str, Any]
    cursor: str = field(default="", compare=False)

    def to_json(self) -> dict[str, Any]:
        told = {"seq": self.seq, "at": self.at, "type": self.type, "data": self.data}
        return {**told, "cursor": self.cursor} if self.cursor else told


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


def repeat_started(node: PlanNode, inputs: dict[str, JsonValue]) -> Content:
    return f"{_family(node)}_started", {
        "node_id": node.id,
        "node_title": node.title,
        "inputs": inputs,
    }


def repeat_next(node_id: str, title: str, family: str, index: int) -> Content:
    return f"{family}_next", {"node_id": node_id, "node_title": title, "index": index}


def repeat_succeeded(node: PlanNode, outputs: dict[str, JsonValue], steps: int) -> Content:
    return f"{_family(node)}_succeeded", {
        "node_id": node.id,
        "node_title": node.title,
        "outputs": outputs,
        "steps": steps,
    }


def repeat_failed(node: PlanNode, error: str, steps: int) -> Content:
    return f"{_family(node)}_failed", {
        "node_id": node.id,
        "node_title": node.title,
        "error": error,
        "steps": steps,
    }


def family_of(node_type: str) -> str:
    """``loop`` for loops, ``iteration`` for everything else that repeats a body."""
    return "loop" if node_type == "loop" else "iteration"


def _family(node: PlanNode) -> str:
    return family_of(node.type)


def human_input_requested(
    node: PlanNode, token: str, form: Form, timeout_at: int | None
) -> Content:
    return "human_input_requested", {
        "node_id": node.id,
        "node_type": node.type,
        "node_title": node.title,
        "resume_token": token,
        "resume_mode": form.resume_mode,
        "form_schema": form.form_schema,
        "prompt_text": form.prompt_text,
        "timeout_at": timeout_at,
    }


def human_input_received(node: PlanNode, token: str, answer: HumanAnswer | None) -> Content:
    """``answer`` is None where a timeout supplied the values."""
    return "human_input_received", {
        "node_id": node.id,
        "resume_token": token,
        "decision": None if answer is None else answer.decision or answer.action,
        "form_data": {} if answer is None else answer.form_data,
    }


def human_input_timeout(node: PlanNode, token: str, action: str) -> Content:
    return "human_input_timeout", {
        "node_id": node.id,
        "resume_token": token,
        "timeout_action": action,
    }


def resume_warning(node_id: str | None, diagnostic: str) -> Content:
    return "resume_warning", {"node_id": node_id, "diagnostic": diagnostic}


def workflow_paused(node_id: str | None, prompt: str | None) -> Content:
    """Without a node it is the whole run that was told to pause."""
    return "workflow_paused", {"node_id": node_id, "prompt": prompt}


def workflow_resumed(node_id: str | None) -> Content:
    return "workflow_resumed", {"node_id": node_id}


def workflow_safe_stopped(interrupted: list[str]) -> Content:
    return "workflow_safe_stopped", {"interrupted_nodes": interrupted, "checkpoint_saved": True}


def checkpoint_resumed(node_id: str | None, origin: str) -> Content:
    return "checkpoint_resumed", {"node_id": node_id, "forked_from": origin}


def variables_updated(keys: list[str]) -> Content:
    return "debug_variable_snapshot", {"data": {"updated": keys}}


def debug_paused(reason: str, node: PlanNode, phase: str) -> Content:
    return "debug_paused", {
        "reason": reason,
        "node_id": node.id,
        "node_type": node.type,
        "node_title": node.title,
        "phase": phase,
    }


def debug_resumed() -> Content:
    return "debug_resumed", {}


def debug_breakpoint_changed(action: str, node_id: str | None) -> Content:
    return "debug_breakpoint_changed", {"action": action, "node_id": node_id}


def _failed(node: PlanNode, execution_id: str, failure: NodeFailure) -> dict[str, Any]:
    return {
        "id": execution_id,
        "node_id": node.id,
        "node_type": node.type,
        "error": failure.text,
        "error_type": failure.code,
        "error_detail": failure.detail(),
    }
