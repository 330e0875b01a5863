"""Live progress of a run's nodes, a line for each change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from xworkflow.cli.printing import errors, plain, plain_line, print_piece
from xworkflow.cli.questions import print_question
from xworkflow.domain.events import UNNUMBERED, GraphEngineEvent
from xworkflow.domain.wire import Waiting

SHOWN_ITEMS: Final = 3
"""Of a container's items the first ones are shown whole; of the others what goes wrong."""

_NODES: Final = frozenset({"node_run_started", "node_run_succeeded"})


class Progress:
    """Prints on stderr what happens: ``▶`` started, ``✓`` done, ``↻`` again, ``✗`` failed, ``?``
    asks, ``‖`` stands still. What happens inside of a container stands further in.

    With ``live`` also the text of answers on stdout, as it comes.
    """

    def __init__(self, *, quiet: bool = False, live: bool = False) -> None:
        self._console = None if quiet else errors()
        self._live = live
        self._started: dict[str, tuple[str, int]] = {}
        self._text: list[str] = []
        self._in_line = False

    def show(self, event: GraphEngineEvent, *, past: bool = False) -> None:
        """Print the line of an event; of one of the ``past`` only take note."""
        if event.type in UNNUMBERED:
            if not past:
                self._show_text(event)
            return
        if self._console is None:
            return
        path: list[tuple[str, int]] = event.data.get("path", [])
        line = self._line(event) or _run_line(event)
        if event.type in _NODES and any(index >= SHOWN_ITEMS for _, index in path):
            return
        if line is not None and not past:
            self._end_line()
            inside = f"{'  ' * len(path)}[dim]#{path[-1][1]}[/] " if path else ""
            self._console.print(f"{inside}{line}")

    def ask(
        self, waiting: Sequence[Waiting], execution_id: str, where: str, shown: set[str]
    ) -> None:
        """Show the questions that were not shown before, and how to answer them."""
        for question in waiting:
            if self._console is not None and question.token not in shown:
                print_question(question, execution_id, where)
            shown.add(question.token)

    def end_text(self) -> str:
        """What was printed of answers, all together; ends its line."""
        self._end_line()
        return "".join(self._text)

    def _show_text(self, event: GraphEngineEvent) -> None:
        if not self._live:
            return
        if event.type == "node_run_stream_replaced":
            self._end_line()
            self._text.clear()
            return
        piece = event.data["chunk"]
        self._text.append(piece)
        print_piece(piece)
        self._in_line = (bool(piece) and not piece.endswith("\n")) or (self._in_line and not piece)

    def _end_line(self) -> None:
        if self._in_line:
            print_piece("\n")
            self._in_line = False

    def _line(self, event: GraphEngineEvent) -> str | None:
        data = event.data
        match event.type:
            case "node_run_started":
                title = data["node_title"] or data["node_id"]
                self._started[data["id"]] = (title, event.at)
                return f"[cyan]▶[/] {plain_line(title)} [dim]({plain(data['node_type'])})[/]"
            case "node_run_succeeded":
                return f"[green]✓[/] {self._ended(event)}"
            case "node_run_exception":
                return f"[yellow]![/] {self._ended(event)}: {plain_line(data['error'])}"
            case "node_run_failed":
                return f"[red]✗[/] {self._ended(event)}: {plain_line(data['error'])}"
            case "node_run_retry":
                return (
                    f"[yellow]↻[/] {_title(data)}: attempt {data['retry_index']} failed, trying "
                    f"again: {plain_line(data['error'])}"
                )
            case "iteration_next" | "loop_next" if data["index"] == SHOWN_ITEMS:
                return f"  [dim]… {_title(data)}: the first {SHOWN_ITEMS} are shown[/]"
            case _:
                return None

    def _ended(self, event: GraphEngineEvent) -> str:
        title, began = self._started.pop(event.data["id"], (event.data["node_id"], event.at))
        return f"{plain_line(title)} [dim]{(event.at - began) / 1000:.2f} s[/]"


def _title(data: dict[str, Any]) -> str:
    return plain_line(data["node_title"] or data["node_id"])


def _run_line(event: GraphEngineEvent) -> str | None:
    """A line about the run as a whole, or about a person."""
    data = event.data
    if event.type.startswith("human_input") and event.type != "human_input_requested":
        how = "answered" if event.type == "human_input_received" else "nobody answered in time"
        return f"[magenta]?[/] {plain_line(data['node_id'])}: {how}"
    if event.type == "error_handler_failed":
        return f"[red]✗[/] error handler: {plain_line(data['error'])}"
    return None if data.get("node_id") is not None else _RUN_LINES.get(event.type)


_RUN_LINES: Final = {
    "error_handler_started": "[yellow]▶[/] error handler",
    "error_handler_succeeded": "[green]✓[/] error handler",
    "workflow_paused": "[yellow]‖[/] paused: `xworkflow runs resume` lets it go on",
    "workflow_resumed": "[cyan]▶[/] resumed",
    "workflow_safe_stopped": "[yellow]■[/] stopped safely",
}
