"""``xworkflow runs``: look at runs; everything is read from Temporal's history alone."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.markup import escape

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.place import server_place
from xworkflow.cli.printing import output, print_json, table
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.history import HistoryFeed
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.state import NodePhase

SHOW = """
Show a run: its nodes with their states, times and errors, and its result.

**Example**

    xworkflow runs show order-4711
"""
EVENTS = """
Print a run's event log, a line of JSON for each event.

**Examples**

    xworkflow runs events order-4711
    xworkflow runs events order-4711 --follow
"""

_MARKS = {
    "running": "[cyan]▶[/]",
    "succeeded": "[green]✓[/]",
    "exception": "[yellow]![/]",
    "failed": "[red]✗[/]",
    "skipped": "[dim]–[/]",
    "pending": "[dim]·[/]",
}

Address = Annotated[str | None, typer.Option(help="HOST:PORT of a Temporal server.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="Look at runs.", no_args_is_help=True)

    @runs.command("show", help=SHOW)
    def show_command(  # pyright: ignore[reportUnusedFunction]
        execution_id: RunId,
        address: Address = None,
        as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    ) -> int:
        return run_async(show(execution_id, address, as_json=as_json))

    @runs.command("events", help=EVENTS)
    def events_command(  # pyright: ignore[reportUnusedFunction]
        execution_id: RunId,
        address: Address = None,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the end.")] = False,
    ) -> int:
        return run_async(events(execution_id, address, follow=follow))

    app.add_typer(runs, name="runs")


@dataclass(slots=True)
class NodeRow:
    """One node of a run, as its events tell."""

    node_id: str
    title: str
    type: str
    state: str = "pending"
    began: int | None = None
    ended: int | None = None
    attempts: int = 0
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        seconds = None
        if self.began is not None and self.ended is not None:
            seconds = (self.ended - self.began) / 1000
        return {
            "node_id": self.node_id,
            "title": self.title,
            "type": self.type,
            "state": self.state,
            "seconds": seconds,
            "attempts": self.attempts,
            "error": self.error,
        }


@dataclass(slots=True)
class RunView:
    """A run as its history tells."""

    rows: dict[str, NodeRow] = field(default_factory=dict[str, NodeRow])
    feed: HistoryFeed | None = None

    def take(self, feed: HistoryFeed, new: list[GraphEngineEvent]) -> None:
        self.feed = feed
        for event in new:
            row = self._row(event)
            if row is not None:
                _update(row, event)

    def _row(self, event: GraphEngineEvent) -> NodeRow | None:
        node_id = event.data.get("node_id")
        if node_id is None or self.feed is None or self.feed.driver is None:
            return None
        if node_id not in self.rows:
            node = self.feed.driver.plan.node(node_id)
            self.rows[node_id] = NodeRow(node_id, node.title or node_id, node.type)
        return self.rows[node_id]

    def complete(self) -> None:
        """Add the nodes that never started, and what became of them."""
        if self.feed is None or self.feed.driver is None:
            return
        state, plan = self.feed.driver.state, self.feed.driver.plan
        for node in plan.nodes:
            row = self.rows.setdefault(
                node.id, NodeRow(node.id, node.title or node.id, node.type)
            )
            if state.nodes[node.index] == NodePhase.SKIPPED:
                row.state = "skipped"

    @property
    def status(self) -> str:
        feed = self.feed
        if feed is None or feed.closed is None:
            return "running"
        if feed.closed.status in ("terminated", "timed_out"):
            return feed.closed.status
        if feed.result is None:
            return feed.closed.status
        return "stopped" if feed.result.status == "aborted" else feed.result.status

    def to_json(self, execution_id: str) -> dict[str, Any]:
        result = self.feed.result if self.feed is not None else None
        closed = self.feed.closed if self.feed is not None else None
        error = result.error.text if result is not None and result.error is not None else None
        return {
            "workflow_id": execution_id,
            "status": self.status,
            "outputs": result.outputs if result is not None else None,
            "error": error or (closed.reason if closed is not None else None),
            "elapsed_seconds": result.elapsed_ms / 1000 if result is not None else None,
            "nodes": [row.to_json() for row in self.rows.values()],
        }


def _update(row: NodeRow, event: GraphEngineEvent) -> None:
    match event.type:
        case "node_run_started":
            row.state, row.began, row.attempts = "running", event.at, 1
        case "node_run_retry":
            row.attempts += 1
            row.error = event.data["error"]
        case "node_run_succeeded":
            row.state, row.ended, row.error = "succeeded", event.at, None
        case "node_run_exception":
            row.state, row.ended, row.error = "exception", event.at, event.data["error"]
        case "node_run_failed":
            row.state, row.ended, row.error = "failed", event.at, event.data["error"]
        case _:
            pass


async def show(execution_id: str, address: str | None, *, as_json: bool) -> int:
    """Exit code 0 whatever became of the run; 2 when there is none."""
    view = RunView()
    async with server_place(address) as place:
        async for feed, new in place.handle(execution_id).read(follow=False):
            view.take(feed, new)
    view.complete()
    shown = view.to_json(execution_id)
    if as_json:
        print_json(shown)
    else:
        _print_view(shown)
    return ExitCode.OK


def _print_view(shown: dict[str, Any]) -> None:
    rows = table("", "node", "type", "seconds", "attempts", "error")
    for node in shown["nodes"]:
        seconds = "" if node["seconds"] is None else f"{node['seconds']:.3f}"
        rows.add_row(
            _MARKS[node["state"]],
            escape(node["title"]),
            escape(node["type"]),
            seconds,
            str(node["attempts"] or ""),
            escape(node["error"] or ""),
        )
    console = output()
    console.print(rows)
    took = "" if shown["elapsed_seconds"] is None else f" in {shown['elapsed_seconds']:.2f} s"
    console.print(f"[bold]{shown['status']}[/]{took}")
    if shown["error"]:
        console.print(f"[red]{escape(shown['error'])}[/]")
    if shown["outputs"]:
        console.print_json(data=shown["outputs"])


async def events(execution_id: str, address: str | None, *, follow: bool) -> int:
    """Exit code 0; with ``follow`` after the run's end."""
    async with server_place(address) as place:
        await _print_events(place.handle(execution_id), follow=follow)
    return ExitCode.OK


async def _print_events(handle: WorkflowHandle, *, follow: bool) -> None:
    async for event in handle.events(follow=follow):
        print_json(event.to_json())
        if follow:
            sys.stdout.flush()
            await asyncio.sleep(0)
