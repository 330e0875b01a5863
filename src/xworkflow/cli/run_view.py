"""A run as its history tells it: a row for each node, and the result."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.cli.printing import output, plain, plain_line, table
from xworkflow.client.history import HistoryFeed
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.plan import PlanNode
from xworkflow.domain.state import NodePhase

_MARKS: Final = {
    "running": "[cyan]▶[/]",
    "succeeded": "[green]✓[/]",
    "exception": "[yellow]![/]",
    "failed": "[red]✗[/]",
    "stopped": "[yellow]■[/]",
    "skipped": "[dim]–[/]",
    "pending": "[dim]·[/]",
}

_WORDS: Final = {
    "aborted": "stopped",
    "canceled": "stopped",
    "terminated": "stopped",
    "timed_out": "failed",
}
"""The commands' words for how Temporal, or the engine, closed a run."""


@dataclass(slots=True)
class NodeRow:
    """One node of a run, as its events tell. Times are Unix milliseconds."""

    node_id: str
    title: str
    type: str
    state: str = "pending"
    began: int | None = None
    ended: int | None = None
    attempts: int = 0
    error: str | None = None

    def take(self, event: GraphEngineEvent) -> None:
        """Follow one of the node's events."""
        match event.type:
            case "node_run_started":
                self.state, self.began, self.attempts = "running", event.at, 1
            case "node_run_retry":
                self.attempts += 1
                self.error = event.data["error"]
            case "node_run_succeeded":
                self.state, self.ended, self.error = "succeeded", event.at, None
            case "node_run_exception":
                self.state, self.ended, self.error = "exception", event.at, event.data["error"]
            case "node_run_failed":
                self.state, self.ended, self.error = "failed", event.at, event.data["error"]
            case _:
                pass

    @property
    def seconds(self) -> float | None:
        """How long the node took, all its attempts together."""
        if self.began is None or self.ended is None:
            return None
        return (self.ended - self.began) / 1000

    def to_json(self) -> dict[str, Any]:
        return {
            "node_id": self.node_id,
            "title": self.title,
            "type": self.type,
            "state": self.state,
            "seconds": self.seconds,
            "attempts": self.attempts,
            "error": self.error,
        }


@dataclass(slots=True)
class RunView:
    """A run, read event by event; ``complete`` when there are no more."""

    execution_id: str
    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    feed: HistoryFeed | None = None

    def take(self, feed: HistoryFeed, new: list[GraphEngineEvent]) -> None:
        """Follow the events that one event of the history has brought."""
        self.feed = feed
        for event in new:
            node_id = event.data.get("node_id")
            if node_id is not None and feed.driver is not None:
                self._row(feed.driver.plan.node(node_id)).take(event)

    def complete(self) -> None:
        """Add the nodes that never started; in a closed run nothing is running any more."""
        feed = self.feed
        if feed is None or feed.driver is None:
            return
        for node in feed.driver.plan.nodes:
            row = self._row(node)
            if feed.driver.state.nodes[node.index] == NodePhase.SKIPPED:
                row.state = "skipped"
            elif feed.closed is not None and row.state == "running":
                row.state = "stopped"

    def _row(self, node: PlanNode) -> NodeRow:
        fresh = NodeRow(node.id, node.title or node.id, node.type)
        return self.rows.setdefault(node.id, fresh)

    @property
    def status(self) -> str:
        """The word that ``run`` has for it, or ``running``."""
        feed = self.feed
        if feed is None or feed.closed is None:
            return "running"
        word = feed.closed.status
        if feed.result is not None and word not in ("terminated", "timed_out"):
            word = feed.result.status
        return _WORDS.get(word, word)

    def to_json(self) -> dict[str, Any]:
        result = self.feed.result if self.feed is not None else None
        closed = self.feed.closed if self.feed is not None else None
        error = result.error.text if result is not None and result.error is not None else None
        return {
            "workflow_id": self.execution_id,
            "status": self.status,
            "outputs": result.outputs if result is not None else None,
            "error": error or (closed.reason if closed is not None else None),
            "elapsed_seconds": result.elapsed_ms / 1000 if result is not None else None,
            "nodes": [row.to_json() for row in self.rows.values()],
        }

    def print(self) -> None:
        """The table of nodes, and the result."""
        console = output()
        rows = table("", "node", "type", "seconds", "attempts", "error")
        for row in self.rows.values():
            rows.add_row(
                _MARKS[row.state],
                plain_line(row.title),
                plain(row.type),
                "" if row.seconds is None else f"{row.seconds:.3f}",
                str(row.attempts or ""),
                plain_line(row.error or ""),
            )
        console.print(rows)
        shown = self.to_json()
        elapsed = shown["elapsed_seconds"]
        console.print(f"[bold]{self.status}[/]{'' if elapsed is None else f' in {elapsed:.2f} s'}")
        if shown["error"]:
            console.print(f"[red]{plain(shown['error'])}[/]")
        if shown["outputs"]:
            console.print_json(data=shown["outputs"])
