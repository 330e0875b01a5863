"""``xworkflow run``: run one workflow file, and watch it."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.configured import GroupOption
from xworkflow.cli.input_options import InputPairs, InputsFile, Query, StayOption, WorkflowFile
from xworkflow.cli.printing import print_json, print_note
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.domain.debugging import DebugConfig
    from xworkflow.domain.schema import WorkflowSchema
    from xworkflow.domain.values import JsonValue

EXAMPLES = """
Run a workflow file (a Dify export, or the native DSL as YAML, JSON or TOML).

Without an address, and without Temporal's own environment configuration, a server of this machine
is started or joined. The first Ctrl-C detaches: the run goes on where a worker runs. The second
stops it.

A run that waits for a person is watched on at a terminal, and left in a script (`--wait` and
`--no-wait` say otherwise): the exit code is then 5, and `xworkflow runs answer` carries it on.

With `--json` stdout is one object: `run_id`, `workflow_id`, `status`, `outputs`, `error`,
`elapsed_seconds`, `steps`, `ui_url`. Its status is completed, failed_with_recovery, failed,
stopped, safe_stopped, waiting (then with the questions as `waiting`), paused or detached; refused
(then with `diagnostics`) when nothing was started, and error (then with `diagnostics`, too, which
are empty) when there was no server.

**Exit codes:** 0 completed (partly or by recovery too) · 1 failed · 2 refused · 3 no server ·
4 stopped · 5 waiting · 130 detached

**Examples**

    xworkflow run app.yml --input name=Ada --input count=3
    xworkflow run chat.yml --query "What is Temporal?" --live
    xworkflow run app.yml --inputs inputs.json --json
    xworkflow run app.yml --address localhost:7233 --id order-4711
    xworkflow run app.yml --group-id tenant-123
    xworkflow run approval.yml --no-wait
"""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to run, read and checked; ``may_join`` when the user chose the id."""

    schema: WorkflowSchema
    inputs: Mapping[str, JsonValue]
    query: str | None
    execution_id: str
    may_join: bool
    live: bool = False
    """Whether answers are printed while they come."""
    debug: DebugConfig | None = None
    group_id: str | None = None
    priority: int | None = None


def register(app: typer.Typer) -> None:
    @app.command("run", help=EXAMPLES)
    def command(  # noqa: PLR0913
        file: WorkflowFile,
        *,
        inputs: InputPairs = None,
        inputs_file: InputsFile = None,
        query: Query = None,
        address: Annotated[
            str | None, typer.Option(metavar="HOST:PORT", help="A Temporal server.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="The result as one object.")] = False,
        execution_id: Annotated[
            str | None,
            typer.Option("--id", metavar="ID", help="The run's id; the same id is the same run."),
        ] = None,
        group_id: GroupOption = None,
        priority: Annotated[
            int | None,
            typer.Option(
                min=1, max=5, metavar="1-5", help="Before others of its group: 1 is first."
            ),
        ] = None,
        quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
        live: Annotated[
            bool | None,
            typer.Option(
                "--live/--no-live", help="Print answers while they come (a terminal's default)."
            ),
        ] = None,
        stay: StayOption = None,
    ) -> int:
        from xworkflow.cli.files import read_inputs, read_valid
        from xworkflow.providers import RealIdGenerator

        if execution_id == "":
            raise InputError(("--id is empty",))
        ours = execution_id or RealIdGenerator().next_id()
        with told(ours, as_json=as_json):
            schema = read_valid(file)
            given = read_inputs(schema, file, inputs or (), inputs_file)
            shown = sys.stdout.isatty() if live is None else live
            order = Order(
                schema,
                given,
                query,
                ours,
                may_join=execution_id is not None,
                live=shown and not as_json,
                group_id=group_id,
                priority=priority,
            )
            return run_async(run(order, address, as_json=as_json, quiet=quiet, stay=stay))


async def run(
    order: Order, address: str | None, *, as_json: bool, quiet: bool, stay: bool | None = None
) -> int:
    """Start or join, watch and print one run; returns the exit code."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.starting import joined, live_streams, started
    from xworkflow.cli.watch import watch

    async with server_place(address) as place:
        there = await place.find(order.execution_id) if order.may_join else None
        beginning = started(order, place, quiet=quiet) if there is None else joined(there, place)
        async with beginning as handle, live_streams(order.live) as streams:
            watched = await watch(handle, place, quiet=quiet, stay=stay, streams=streams)
            if as_json:
                print_json(watched.to_json(), flush=True)
            else:
                watched.print()
    return watched.exit_code


@contextlib.contextmanager
def told(execution_id: str, *, as_json: bool) -> Generator[None]:
    """What ends without a result is one object on stdout, too, where that was asked for."""
    try:
        yield
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, KeyboardInterrupt):
            print_note("interrupted before the run began")
        if as_json:
            from xworkflow.cli.run_result import object_of_error

            print_json(object_of_error(error, execution_id))
        raise
