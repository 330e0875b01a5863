"""Live progress of a run's nodes, a line for each change."""

from __future__ import annotations

from xworkflow.cli.printing import errors, plain, plain_line, print_piece
from xworkflow.domain.events import UNNUMBERED, GraphEngineEvent


class Progress:
    """Prints on stderr what happens: ``▶`` started, ``✓`` done, ``↻`` again, ``✗`` failed.

    With ``live`` also the text of answers on stdout, as it comes.
    """

    def __init__(self, *, quiet: bool = False, live: bool = False) -> None:
        self._console = None if quiet else errors()
        self._live = live
        self._started: dict[str, tuple[str, int]] = {}
        self._text: list[str] = []
        self._in_line = False

    def show(self, event: GraphEngineEvent) -> None:
        if event.type in UNNUMBERED:
            self._show_text(event)
            return
        if self._console is None:
            return
        line = self._line(event)
        if line is not None:
            self._end_line()
            self._console.print(line)

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
                title = plain_line(data["node_title"] or data["node_id"])
                return (
                    f"[yellow]↻[/] {title}: attempt {data['retry_index']} failed, trying again: "
                    f"{plain_line(data['error'])}"
                )
            case _:
                return _handler_line(event)

    def _ended(self, event: GraphEngineEvent) -> str:
        title, began = self._started.pop(event.data["id"], (event.data["node_id"], event.at))
        return f"{plain_line(title)} [dim]{(event.at - began) / 1000:.2f} s[/]"


def _handler_line(event: GraphEngineEvent) -> str | None:
    match event.type:
        case "error_handler_started":
            return "[yellow]▶[/] error handler"
        case "error_handler_succeeded":
            return "[green]✓[/] error handler"
        case "error_handler_failed":
            return f"[red]✗[/] error handler: {plain_line(event.data['error'])}"
        case _:
            return None
