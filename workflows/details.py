"""The run's current details: what the Web UI shows of the nodes' states, as Markdown."""

from __future__ import annotations

from typing import Final

from xworkflow.domain.plan import Plan
from xworkflow.domain.state import NodePhase, RunState

MAX_ROWS: Final = 60
"""Rendered after every batch of facts, so its cost is bounded."""

NAMES: Final = {
    NodePhase.PENDING: "pending",
    NodePhase.QUEUED: "queued",
    NodePhase.RUNNING: "running",
    NodePhase.TAKEN: "done",
    NodePhase.SKIPPED: "skipped",
    NodePhase.CANCELLED: "cancelled",
    NodePhase.FAILED: "failed",
}
_MARKS: Final = {
    NodePhase.PENDING: "·",
    NodePhase.QUEUED: "…",
    NodePhase.RUNNING: "▶",
    NodePhase.TAKEN: "✓",
    NodePhase.SKIPPED: "–",
    NodePhase.CANCELLED: "○",
    NodePhase.FAILED: "✗",
}


def render(plan: Plan, state: RunState) -> str:
    """A table of the nodes, those that run first where there are too many to show."""
    shown = list(plan.nodes)
    if len(shown) > MAX_ROWS:
        running = [plan.nodes[int(key)] for key in list(state.running)[:MAX_ROWS]]
        shown = running or list(plan.nodes[:MAX_ROWS])
    rows = [
        f"| {_MARKS[NodePhase(state.nodes[n.index])]} | {_cell(n.title or n.id)} | {n.type} |"
        for n in shown
    ]
    head = f"**{state.phase}** · {state.steps} steps"
    if len(plan.nodes) > len(shown):
        head += f" · {len(shown)} of {len(plan.nodes)} nodes shown"
    return "\n".join((head, "", "| | node | type |", "|---|---|---|", *rows))


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:80]
