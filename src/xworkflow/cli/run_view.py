"""A run as its histories tell it: a tree of nodes, and the result.

Below a node that repeats a body stand its items, and below each item the nodes of the body.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.cli.printing import output, plain, plain_line, table
from xworkflow.client.history import HistoryFeed
from xworkflow.client.standing import Standing
from xworkflow.client.status import Paused, WaitingForInput
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.plan import PlanNode
from xworkflow.domain.state import NodePhase, load_state

SHOWN_ITEMS: Final = 3
"""So many items of a node are shown whole, those that did not succeed first."""

MARKS: Final = {
    "running": "[cyan]▶[/]",
    "waiting": "[magenta]?[/]",
    "succeeded": "[green]✓[/]",
    "exception": "[yellow]![/]",
    "failed": "[red]✗[/]",
    "stopped": "[yellow]■[/]",
    "skipped": "[dim]–[/]",
    "reused": "[green]↷[/]",
    "pending": "[dim]·[/]",
}

_WORST: Final = ("failed", "exception", "stopped", "waiting", "running")
"""The states that an item has as soon as one of its nodes has it."""

_WORDS: Final = {
    "aborted": "stopped",
    "canceled": "stopped",
    "terminated": "stopped",
    "timed_out": "failed",
}
"""The commands' words for how Temporal, or the engine, closed a run."""


@dataclass(slots=True)
class NodeRow:
    """One execution of one node, as its events tell. Times are Unix milliseconds."""

    node_id: str
    title: str
    type: str
    state: str = "pending"
    began: int | None = None
    ended: int | None = None
    attempts: int = 0
    error: str | None = None
    items: dict[int, ItemRow] = field(default_factory=dict[int, "ItemRow"])

    def take(self, event: GraphEngineEvent) -> None:
        """Follow one of the node's events."""
        match event.type:
            case "node_run_started":
                self.state, self.began, self.attempts = "running", event.at, 1
            case "node_run_retry":
                self.attempts += 1
                self.error = event.data["error"]
                self.items.clear()
            case "node_run_succeeded":
                self.state, self.ended, self.error = "succeeded", event.at, None
            case "node_run_exception":
                self.state, self.ended, self.error = "exception", event.at, event.data["error"]
            case "node_run_failed":
                self.state, self.ended, self.error = "failed", event.at, event.data["error"]
            case "human_input_requested":
                self.state = "waiting"
            case "human_input_received" | "human_input_timeout":
                self.state = "running"
            case "iteration_next" | "loop_next":
                self.item(event.data["index"])
            case _:
                pass

    def item(self, index: int) -> ItemRow:
        return self.items.setdefault(index, ItemRow(index))

    def stop(self) -> None:
        """The run is over: nothing goes on any more."""
        if self.state in ("running", "waiting"):
            self.state = "stopped"
        for item in self.items.values():
            for row in item.rows.values():
                row.stop()

    @property
    def seconds(self) -> float | None:
        """How long the node took, all its attempts together."""
        return _seconds(self.began, self.ended)

    def to_json(self) -> dict[str, Any]:
        items = [item.to_json() for _, item in sorted(self.items.items())]
        return {
            "node_id": self.node_id,
            "title": self.title,
            "type": self.type,
            "state": self.state,
            "seconds": self.seconds,
            "attempts": self.attempts,
            "error": self.error,
            **({"items": items} if items else {}),
        }


@dataclass(slots=True)
class ItemRow:
    """One item, or round, of a node that repeats a body."""

    index: int
    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])

    @property
    def state(self) -> str:
        """The worst of its nodes' states; that of an item whose nodes have not begun is running."""
        states = {row.state for row in self.rows.values()}
        return next((state for state in _WORST if state in states), "succeeded")

    @property
    def seconds(self) -> float | None:
        began = [row.began for row in self.rows.values() if row.began is not None]
        ended = [row.ended for row in self.rows.values() if row.ended is not None]
        return _seconds(min(began, default=None), max(ended, default=None))

    def to_json(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "state": self.state,
            "seconds": self.seconds,
            "nodes": [row.to_json() for row in self.rows.values()],
        }


@dataclass(slots=True)
class RunView:
    """A run, read event by event; ``complete`` when there are no more."""

    execution_id: str
    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    feed: HistoryFeed | None = None
    standing: Standing = field(default_factory=Standing)

    def take(self, feed: HistoryFeed, new: list[GraphEngineEvent]) -> None:
        """Follow the events that one event of a history has brought."""
        self.standing.take(feed, new)
        if feed.workflow_id == self.execution_id:
            self.feed = feed
        for event in new:
            node_id = event.data.get("node_id")
            if event.type == "checkpoint_resumed":
                self._add_reused(feed)
            elif node_id is not None:
                self._row_of(feed, node_id, event).take(event)

    def complete(self) -> None:
        """Add the nodes that never started; in a closed run nothing is running any more."""
        feed = self.feed
        if feed is None or feed.driver is None:
            return
        for node in feed.driver.plan.nodes:
            row = self.rows.setdefault(node.id, _fresh(node))
            if feed.driver.state.nodes[node.index] == NodePhase.SKIPPED:
                row.state = "skipped"
            elif feed.closed is not None:
                row.stop()

    def _add_reused(self, feed: HistoryFeed) -> None:
        """The nodes whose results a fork brought along."""
        run = feed.run_input
        if feed.driver is None or run is None or run.state is None:
            return
        began = load_state(run.state)
        for node in feed.driver.plan.nodes:
            if began.nodes[node.index] == NodePhase.TAKEN:
                self.rows[node.id] = _fresh(node)
                self.rows[node.id].state = "reused"

    def _row_of(self, feed: HistoryFeed, node_id: str, event: GraphEngineEvent) -> NodeRow:
        rows = self.rows
        for container, index in event.data.get("path", ()):
            rows = rows.setdefault(container, _unknown(container)).item(index).rows
        if node_id not in rows:
            plan = None if feed.carrier is None else feed.carrier.compiled.plan
            known = plan is not None and node_id in plan.index_of
            rows[node_id] = _fresh(plan.node(node_id)) if plan and known else _unknown(node_id)
        return rows[node_id]

    @property
    def status(self) -> str:
        """The word that ``run`` has for it, or ``running``."""
        feed = self.feed
        if feed is None or feed.closed is None:
            match self.standing.status:
                case WaitingForInput():
                    return "waiting"
                case Paused():
                    return "paused"
                case _:
                    return "running"
        word = feed.closed.status
        if feed.result is not None and word not in ("terminated", "timed_out"):
            word = feed.result.status
        return _WORDS.get(word, word)

    def to_json(self) -> dict[str, Any]:
        result = self.feed.result if self.feed is not None else None
        closed = self.feed.closed if self.feed is not None else None
        error = result.error.text if result is not None and result.error is not None else None
        waiting = [w.model_dump(mode="json") for w in self.standing.waiting]
        return {
            "workflow_id": self.execution_id,
            "status": self.status,
            "outputs": result.outputs if result is not None else None,
            "error": error or (closed.reason if closed is not None else None),
            "elapsed_seconds": result.elapsed_ms / 1000 if result is not None else None,
            "nodes": [row.to_json() for row in self.rows.values()],
            **({"waiting": waiting} if waiting else {}),
        }

    def print(self, *, whole: bool = False) -> None:
        """The tree of nodes, and the result; with ``whole`` every item of every node."""
        self.print_tree(whole=whole)
        console = output()
        shown = self.to_json()
        elapsed = shown["elapsed_seconds"]
        console.print(f"[bold]{self.status}[/]{'' if elapsed is None else f' in {elapsed:.2f} s'}")
        if shown["error"]:
            console.print(f"[red]{plain(shown['error'])}[/]")
        if shown["outputs"]:
            console.print_json(data=shown["outputs"])

    def print_tree(self, *, whole: bool = False, signs: Mapping[str, str] | None = None) -> None:
        """The tree of nodes; ``signs`` stand behind the titles of the run's own nodes."""
        rows = table("", "node", "type", "seconds", "attempts", "error")
        for line in _lines(self.rows.values(), "", whole=whole, signs=signs or {}):
            rows.add_row(*line)
        output().print(rows)


def _lines(
    rows: Iterable[NodeRow], indent: str, *, whole: bool, signs: Mapping[str, str]
) -> Iterator[tuple[str, ...]]:
    for row in rows:
        count = f" [dim]{len(row.items)} items[/]" if row.items else ""
        yield (
            MARKS[row.state],
            f"{indent}{plain_line(row.title)}{count}{signs.get(row.node_id, '')}",
            plain(row.type),
            _shown(row.seconds),
            str(row.attempts or ""),
            plain_line(row.error or ""),
        )
        shown = _shown_items(row, whole=whole)
        for item in shown:
            name = f"{indent}  [dim]#{item.index}[/]"
            yield MARKS[item.state], name, "", _shown(item.seconds), "", ""
            yield from _lines(item.rows.values(), f"{indent}    ", whole=whole, signs={})
        left = Counter(item.state for item in row.items.values())
        left.subtract(item.state for item in shown)
        if left.total():
            counts = ", ".join(f"{n} {state}" for state, n in sorted(left.items()) if n)
            yield "", f"{indent}  [dim]… {left.total()} more: {counts}[/]", "", "", "", ""


def _shown_items(row: NodeRow, *, whole: bool) -> list[ItemRow]:
    """The items to show, in their order."""
    items = [item for _, item in sorted(row.items.items())]
    if whole or len(items) <= SHOWN_ITEMS:
        return items
    by_interest = sorted(items, key=lambda item: item.state == "succeeded")
    return sorted(by_interest[:SHOWN_ITEMS], key=lambda item: item.index)


def _fresh(node: PlanNode) -> NodeRow:
    return NodeRow(node.id, node.title or node.id, node.type)


def _unknown(node_id: str) -> NodeRow:
    """Of a container whose own events are still to come."""
    return NodeRow(node_id, node_id, "")


def _seconds(began: int | None, ended: int | None) -> float | None:
    return None if began is None or ended is None else (ended - began) / 1000


def _shown(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.3f}"
