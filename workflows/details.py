"""The run's current details: what the Web UI shows of the nodes' states, as Markdown."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Final

from xworkflow.domain.plan import Plan
from xworkflow.domain.state import NodePhase, RunState
from xworkflow.engine.carrier import Carrier, SingleRun

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
_MARKS: Final[Mapping[int, str]] = {
    NodePhase.PENDING: "·",
    NodePhase.QUEUED: "…",
    NodePhase.RUNNING: "▶",
    NodePhase.TAKEN: "✓",
    NodePhase.SKIPPED: "–",
    NodePhase.CANCELLED: "○",
    NodePhase.FAILED: "✗",
}


class Details:
    """The table of one run. What does not change is written once, as it is shown after every
    batch of facts."""

    def __init__(self, plan: Plan) -> None:
        self._rows = [f"| {_cell(n.title or n.id)} | {n.type} |" for n in plan.nodes]

    def render(self, carrier: Carrier) -> str:
        """The table of a whole run now; of a chunk, which items are in flight."""
        if not isinstance(carrier, SingleRun):
            shown = ", ".join(map(str, itertools.islice(carrier.lanes, MAX_ROWS)))
            return f"items in flight: {shown or 'none'}"
        return self._table(carrier.driver.state)

    def _table(self, state: RunState) -> str:
        """Where there are too many nodes, those that run."""
        shown = self._shown(state)
        head = f"**{state.phase}** · {state.steps} steps"
        if len(shown) < len(self._rows):
            head += f" · {len(shown)} of {len(self._rows)} nodes shown"
        rows = [f"| {_MARKS[state.nodes[i]]} {self._rows[i]}" for i in shown]
        return "\n".join((head, "", "| | node | type |", "|---|---|---|", *rows))

    def _shown(self, state: RunState) -> Sequence[int]:
        if len(self._rows) <= MAX_ROWS:
            return range(len(self._rows))
        running = [int(key) for key in itertools.islice(state.running, MAX_ROWS)]
        return running or range(MAX_ROWS)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")[:80]
