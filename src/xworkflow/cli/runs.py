"""``xworkflow runs``: look at runs; everything is read from Temporal's history alone."""

from __future__ import annotations

import contextlib
from typing import Annotated

import typer

from xworkflow.cli import fork
from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_json

SHOW = """
Show a run: its nodes with their states, times and errors, and its result.

**Exit codes:** 0 whatever became of the run · 2 there is no such run · 3 no server

**Examples**

    xworkflow runs show order-4711
    xworkflow runs show order-4711 --json
"""
EVENTS = """
Print a run's event log, a line of JSON for each event.

**Exit codes:** 0 · 2 there is no such run · 3 no server

**Examples**

    xworkflow runs events order-4711
    xworkflow runs events order-4711 --follow
"""

Address = Annotated[str | None, typer.Option(metavar="HOST:PORT", help="A Temporal server.")]
RunId = Annotated[str, typer.Argument(metavar="ID", help="The run's id.")]


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="Look at runs.", no_args_is_help=True)

    @runs.command("show", help=SHOW)
    def show_command(
        execution_id: RunId,
        address: Address = None,
        as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False,
    ) -> int:
        return run_async(show(execution_id, address, as_json=as_json))

    @runs.command("events", help=EVENTS)
    def events_command(
        execution_id: RunId,
        address: Address = None,
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the end.")] = False,
    ) -> int:
        return run_async(events(execution_id, address, follow=follow))

    fork.register(runs)
    app.add_typer(runs, name="runs")


async def show(execution_id: str, address: str | None, *, as_json: bool) -> int:
    """Exit code 0 whatever became of the run."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.run_view import RunView

    view = RunView(execution_id)
    async with server_place(address) as place:
        handle = await place.get(execution_id)
        async for feed, new in handle.read(follow=False):
            view.take(feed, new)
    view.complete()
    if as_json:
        print_json(view.to_json())
    else:
        view.print()
    return ExitCode.OK


async def events(execution_id: str, address: str | None, *, follow: bool) -> int:
    """Exit code 0; with ``follow`` after the run's end."""
    from xworkflow.cli.place import server_place

    async with server_place(address) as place:
        handle = await place.get(execution_id)
        with contextlib.suppress(BrokenPipeError):  # whoever reads them has seen enough
            async for event in handle.events(follow=follow):
                print_json(event.to_json(), flush=follow)
    return ExitCode.OK
