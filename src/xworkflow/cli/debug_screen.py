"""What the debugger shows: lines for people, or lines of JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from xworkflow.cli.debug_commands import HELP
from xworkflow.cli.printing import errors, output, plain, plain_line, print_json, table
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.wire import DebugReport

if TYPE_CHECKING:
    from xworkflow.cli.run_view import RunView


class Screen(Protocol):
    """Where the debugger's answers go."""

    def event(self, event: GraphEngineEvent) -> None:
        """Something has happened."""
        ...

    def paused(self, report: DebugReport, title: str, details: Mapping[str, Any]) -> None:
        """The run stands at a node; ``details`` are what it reads, or what it gave."""
        ...

    def nodes(self, view: RunView, report: DebugReport) -> None: ...

    def variables(self, found: Mapping[str, Any]) -> None:
        """Of all namespaces, by their names."""
        ...

    def value(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        """One variable, or all of one namespace."""
        ...

    def breakpoints(self, nodes: tuple[str, ...]) -> None: ...

    def written(self, name: str) -> None: ...

    def refused(self, problem: str) -> None: ...

    def help(self) -> None: ...


class TextScreen:
    """For people: where the run stands on stderr, like progress; what was asked for on stdout."""

    def event(self, event: GraphEngineEvent) -> None:
        """Progress shows it."""

    def paused(self, report: DebugReport, title: str, details: Mapping[str, Any]) -> None:
        console = errors()
        names = [report.node_id if title != report.node_id else None, report.node_type]
        if report.reason != "step":
            names.append(report.reason)
        about = plain(", ".join(name for name in names if name))
        where = f"{report.phase} [bold]{plain_line(title)}[/]"
        console.print(f"[bold yellow]‖[/] {where} [dim]({about})[/]")
        for name, value in details.items():
            console.print(f"    [dim]{plain(name)} =[/] {plain_line(_json(value))}")

    def nodes(self, view: RunView, report: DebugReport) -> None:
        signs = dict.fromkeys(report.breakpoints, " [red]● breakpoint[/]")
        if report.node_id is not None:
            signs[report.node_id] = signs.get(report.node_id, "") + " [bold yellow]‖ here[/]"
        view.print_tree(signs=signs)

    def variables(self, found: Mapping[str, Any]) -> None:
        rows = table("variable", "value")
        for space, values in found.items():
            for name, value in values.items():
                rows.add_row(plain(f"{space}.{name}"), plain_line(_json(value)))
        output().print(rows)

    def value(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        del name
        output().print_json(data=value)

    def breakpoints(self, nodes: tuple[str, ...]) -> None:
        output().print(f"breakpoints: {plain(', '.join(nodes)) or 'none'}")

    def written(self, name: str) -> None:
        output().print(f"written: {plain(name)}")

    def refused(self, problem: str) -> None:
        errors().print(f"[red]✗[/] {plain(problem)}")

    def help(self) -> None:
        output().print(plain(HELP))


class JsonScreen:
    """For programs: each event is a line, and each answer one with ``reply``."""

    def event(self, event: GraphEngineEvent) -> None:
        print_json(event.to_json(), flush=True)

    def paused(self, report: DebugReport, title: str, details: Mapping[str, Any]) -> None:
        shown = {**report.model_dump(mode="json"), "node_title": title, "values": details}
        self._reply("where", shown)

    def nodes(self, view: RunView, report: DebugReport) -> None:
        del report
        self._reply("list", [row.to_json() for row in view.rows.values()])

    def variables(self, found: Mapping[str, Any]) -> None:
        self._reply("print", found)

    def value(self, name: str, value: Any) -> None:  # noqa: ANN401 - JSON
        print_json({"reply": "print", "name": name, "value": value}, flush=True)

    def breakpoints(self, nodes: tuple[str, ...]) -> None:
        self._reply("breakpoints", list(nodes))

    def written(self, name: str) -> None:
        self._reply("set", name)

    def refused(self, problem: str) -> None:
        self._reply("error", problem)

    def help(self) -> None:
        self._reply("help", HELP)

    def _reply(self, kind: str, value: Any) -> None:  # noqa: ANN401 - JSON
        print_json({"reply": kind, "value": value}, flush=True)


def _json(value: Any) -> str:  # noqa: ANN401 - JSON
    return json.dumps(value, ensure_ascii=False)
