"""``xworkflow debug``: go through a run node by node, at a terminal or from a script."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.configured import GroupOption
from xworkflow.cli.input_options import Address, InputPairs, InputsFile, Query
from xworkflow.cli.printing import print_json
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.cli.place import Place
    from xworkflow.cli.run import Order
    from xworkflow.cli.run_result import Watched
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.client.standing import Standing
    from xworkflow.domain.debugging import DebugConfig
    from xworkflow.domain.schema import WorkflowSchema

EXAMPLES = """
Run a workflow file in the debugger: it stops before its first node, or at the nodes of `--break`,
and asks how to go on. At the prompt `h` shows the commands: s step, c continue, b and d
breakpoints, p print, set, l list, q abort.

The run is durable, and so is its debugger: Ctrl-C leaves it where it stands, and `--attach` comes
back to it, also after a restart of everything. Commands may come from a pipe; when they end at a
pause the run is left there.

With `--json` stdout is a line of JSON for each event and each answer, and last the object of
`xworkflow run --json`.

**Exit codes:** 0 completed · 1 failed · 2 refused · 3 no server · 4 stopped, or aborted · 5 left at
a pause, or waiting · 130 left by Ctrl-C

**Examples**

    xworkflow debug app.yml --input name=Ada
    xworkflow debug app.yml --break "Fetch the order"
    xworkflow debug --attach order-4711
    xworkflow debug app.yml --json < commands.txt
"""


def register(app: typer.Typer) -> None:
    @app.command("debug", help=EXAMPLES)
    def command(  # noqa: PLR0913
        file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="The workflow.")] = None,
        *,
        inputs: InputPairs = None,
        inputs_file: InputsFile = None,
        query: Query = None,
        breaks: Annotated[
            list[str] | None,
            typer.Option("--break", "-b", metavar="NODE", help="Stop before this node first."),
        ] = None,
        attach: Annotated[
            str | None, typer.Option(metavar="ID", help="Come back to a run.")
        ] = None,
        address: Address = None,
        as_json: Annotated[bool, typer.Option("--json", help="Lines of JSON.")] = False,
        execution_id: Annotated[
            str | None, typer.Option("--id", metavar="ID", help="The run's id.")
        ] = None,
        group_id: GroupOption = None,
    ) -> int:
        from xworkflow.cli.files import read_inputs, read_valid
        from xworkflow.cli.run import Order, told
        from xworkflow.providers import RealIdGenerator

        if (file is None) == (attach is None):
            raise InputError(("give a workflow FILE, or --attach ID",))
        if attach is not None:
            return run_async(attached(attach, breaks or [], address, as_json=as_json))
        assert file is not None  # noqa: S101 - one of both is given
        ours = execution_id or RealIdGenerator().next_id()
        with told(ours, as_json=as_json):
            schema = read_valid(file)
            given = read_inputs(schema, file, inputs or (), inputs_file)
            config = _config(schema, breaks or [])
            order = Order(
                schema, given, query, ours, may_join=False, debug=config, group_id=group_id
            )
            return run_async(started_here(order, address, as_json=as_json))


def _config(schema: WorkflowSchema, breaks: list[str]) -> DebugConfig:
    from xworkflow.cli.debug_commands import NodeNames
    from xworkflow.domain.debugging import DebugConfig

    names = NodeNames({node.id: node.title for node in schema.nodes})
    return DebugConfig(breakpoints=tuple(map(names.find, breaks)), break_on_start=not breaks)


async def started_here(order: Order, address: str | None, *, as_json: bool) -> int:
    """Start a run, and debug it; returns the exit code."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.starting import started

    async with server_place(address) as place:
        there = await place.find(order.execution_id)
        if there is not None:
            raise InputError(
                (f"run '{order.execution_id}' is there already: debug it with --attach",)
            )
        async with started(order, place, quiet=as_json) as handle:
            return await _debug(handle, place, [], as_json=as_json, again=False)


async def attached(
    execution_id: str, breaks: list[str], address: str | None, *, as_json: bool
) -> int:
    """Debug a run that is there; returns the exit code."""
    from xworkflow.cli.runs_commands import open_run

    async with open_run(execution_id, address) as (handle, place):
        return await _debug(handle, place, breaks, as_json=as_json, again=True)


async def _debug(
    handle: WorkflowHandle, place: Place, breaks: list[str], *, as_json: bool, again: bool
) -> int:
    from xworkflow.cli.debug_screen import JsonScreen, TextScreen
    from xworkflow.cli.debug_session import debug
    from xworkflow.cli.progress import Progress

    past = await _come_back(handle, breaks) if again else None
    screen = JsonScreen() if as_json else TextScreen()
    watched = await debug(handle, place, screen, Progress(quiet=as_json), past)
    return _told(watched, as_json=as_json)


async def _come_back(handle: WorkflowHandle, breaks: list[str]) -> Standing:
    """What has happened so far; sets the breakpoints."""
    from xworkflow.cli.debug_commands import NodeNames
    from xworkflow.cli.run_view import RunView
    from xworkflow.domain.debugging import DebugCommand

    view = RunView(handle.execution_id)
    async for feed, new in handle.read(follow=False):
        view.take(feed, new)
    view.complete()
    names = NodeNames({node_id: row.title for node_id, row in view.rows.items()})
    for node_id in map(names.find, breaks):
        await handle.debug_command(DebugCommand(action="add_breakpoint", node_id=node_id))
    return view.standing


def _told(watched: Watched, *, as_json: bool) -> int:
    if as_json:
        print_json(watched.to_json(), flush=True)
    else:
        watched.print()
    return watched.exit_code
