"""Live progress of a run's nodes, a line for each change."""

from __future__ import annotations

from rich.markup import escape

from xworkflow.cli.printing import errors
from xworkflow.domain.events import GraphEngineEvent


class Progress:
    """Prints what happens to nodes on stderr: ``▶`` started, ``✓`` done, ``↻`` again, ``✗`` failed."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._console = None if quiet else errors()
        self._started: dict[str, tuple[str, int]] = {}

    def show(self, event: GraphEngineEvent) -> None:
        if self._console is None:
            return
        line = self._line(event)
        if line is not None:
            self._console.print(line)

    def _line(self, event: GraphEngineEvent) -> str | None:
        data = event.data
        match event.type:
            case "node_run_started":
                title = data["node_title"] or data["node_id"]
                self._started[data["id"]] = (title, event.at)
                return f"[cyan]▶[/] {escape(title)} [dim]({escape(data['node_type'])})[/]"
            case "node_run_succeeded":
                return f"[green]✓[/] {self._ended(event)}"
            case "node_run_exception":
                return f"[yellow]![/] {self._ended(event)}: {escape(data['error'])}"
            case "node_run_failed":
                return f"[red]✗[/] {self._ended(event)}: {escape(data['error'])}"
            case "node_run_retry":
                return (
                    f"[yellow]↻[/] {escape(data['node_title'] or data['node_id'])}: attempt "
                    f"{data['retry_index']} failed, trying again: {escape(data['error'])}"
                )
            case "error_handler_started":
                return "[yellow]▶[/] error handler"
            case _:
                return None

    def _ended(self, event: GraphEngineEvent) -> str:
        title, began = self._started.pop(
            event.data["id"], (event.data["node_id"], event.at)
        )
        return f"{escape(title)} [dim]{(event.at - began) / 1000:.2f} s[/]"
