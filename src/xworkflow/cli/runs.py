"""``xworkflow runs``: look at runs, and tell them what to do; all of it is read from Temporal."""

from __future__ import annotations

import contextlib
from dataclasses import asdict
from typing import Annotated

import typer

from xworkflow.cli import fork, runs_commands, runs_list, runs_people
from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.input_options import Address, AsJson, RunId
from xworkflow.cli.printing import print_json, print_note

SHOW = """
Show a run: its nodes with their states, times and errors, those inside of iterations and loops too,
and its result. Of many items the first three are shown, those that did not succeed before others.
`--json` has them all.

**Exit codes:** 0 whatever became of the run · 2 there is no such run · 3 no server

**Examples**

    xworkflow runs show order-4711
    xworkflow runs show order-4711 --all
    xworkflow runs show order-4711 --json
"""
EVENTS = """
Print a run's event log, a line of JSON for each event.

Each line has a `cursor`: with `--after` the log goes on after that line, also in another process
and after the run's end.

**Exit codes:** 0 · 2 there is no such run · 3 no server

**Examples**

    xworkflow runs events order-4711
    xworkflow runs events order-4711 --follow
    xworkflow runs events order-4711 --after 17 --follow
"""


def register(app: typer.Typer) -> None:
    runs = typer.Typer(help="Look at runs, and tell them what to do.", no_args_is_help=True)
    runs_list.register(runs)

    @runs.command("show", help=SHOW)
    def show_command(
        execution_id: RunId,
        address: Address = None,
        as_json: AsJson = False,
        whole: Annotated[bool, typer.Option("--all", help="Every item of every node.")] = False,
    ) -> int:
        return run_async(show(execution_id, address, as_json=as_json, whole=whole))

    @runs.command("events", help=EVENTS)
    def events_command(
        execution_id: RunId,
        address: Address = None,
        after: Annotated[str, typer.Option(metavar="CURSOR", help="Go on after this.")] = "",
        follow: Annotated[bool, typer.Option("--follow", "-f", help="Until the end.")] = False,
    ) -> int:
        return run_async(events(execution_id, address, after=after, follow=follow))

    fork.register(runs)
    runs_commands.register(runs)
    runs_people.register(runs)
    app.add_typer(runs, name="runs")


async def show(execution_id: str, address: str | None, *, as_json: bool, whole: bool) -> int:
    """Exit code 0 whatever became of the run."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.questions import print_question
    from xworkflow.cli.run_view import RunView

    view = RunView(execution_id)
    async with server_place(address) as place:
        handle = await place.get(execution_id)
        async for feed, new in handle.read(follow=False):
            view.take(feed, new)
        held_up = await handle.hold_ups() if view.status == "running" else ()
    view.complete()
    if as_json:
        told = {"held_up": [asdict(one) for one in held_up]} if held_up else {}
        print_json({**view.to_json(), **told})
        return ExitCode.OK
    view.print(whole=whole)
    for one in held_up:
        print_note(one.told({row.node_id: row.title for row in view.rows.values()}))
    for waiting in view.standing.waiting:
        print_question(waiting, execution_id, place.as_option)
    return ExitCode.OK


async def events(execution_id: str, address: str | None, *, after: str, follow: bool) -> int:
    """Exit code 0; with ``follow`` after the run's end."""
    from xworkflow.cli.place import server_place

    async with server_place(address) as place:
        handle = await place.get(execution_id)
        with contextlib.suppress(BrokenPipeError):  # whoever reads them has seen enough
            async for event in handle.events(after=after, follow=follow):
                print_json(event.to_json(), flush=follow)
    return ExitCode.OK
