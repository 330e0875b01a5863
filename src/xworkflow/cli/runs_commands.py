"""``xworkflow runs stop``, ``abort``, ``safe-stop``, ``pause``, ``resume``, ``set``: what runs are
told, as signals and updates (docs/temporal.md)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Final

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.input_options import Address, AsJson, RunId, WatchOption
from xworkflow.cli.printing import print_json, print_note
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.cli.place import Place
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.client.standing import Standing
    from xworkflow.domain.values import JsonValue

STOP = """
Stop a run: it is cancelled. Nodes under way hear of it, and its error handler still runs.

**Exit codes:** 0 · 2 there is no such run, or it is over · 3 no server

**Example**

    xworkflow runs stop order-4711
"""
ABORT = """
Fail a run, with a reason. Nodes under way are dropped; its error handler still runs.

**Exit codes:** 0 · 2 there is no such run, or it is over · 3 no server

**Example**

    xworkflow runs abort order-4711 --reason "the customer has left"
"""
SAFE_STOP = """
Let the nodes under way end, start no new one, and end the run: `runs fork` can go on from there.

**Exit codes:** 0 · 2 there is no such run, or it is over · 3 no server

**Example**

    xworkflow runs safe-stop order-4711
"""
PAUSE = """
Start no new node of a run until it is resumed. What is under way goes on.

**Exit codes:** 0 · 2 there is no such run, or it is over · 3 no server

**Example**

    xworkflow runs pause order-4711
"""
RESUME = """
Let a paused run go on. On the server of this machine it is carried on and watched like `run` does
it; elsewhere a worker carries it, and `--wait` watches.

**Exit codes:** 0 · 2 there is no such run, or it is over · 3 no server · where it is watched, those
of `run`

**Examples**

    xworkflow runs resume order-4711
    xworkflow runs resume order-4711 --no-wait
"""
SET = """
Write variables of a run, named `node.variable`; nodes that start later see them. A value is JSON,
or a text where it is none.

**Exit codes:** 0 · 2 refused: there is no such run, it is over, or a name is wrong · 3 no server

**Examples**

    xworkflow runs set order-4711 start.name=Ada
    xworkflow runs set order-4711 fetch.status_code=200 'env.limits={"max": 3}'
"""

END_SECS: Final = 10.0
"""So long a command that ends a run waits to see its end."""


def register(runs: typer.Typer) -> None:
    @runs.command("stop", help=STOP)
    def stop_command(execution_id: RunId, address: Address = None) -> int:
        return run_async(ended(execution_id, address, lambda handle: handle.cancel()))

    @runs.command("abort", help=ABORT)
    def abort_command(
        execution_id: RunId,
        address: Address = None,
        reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why.")] = None,
    ) -> int:
        return run_async(ended(execution_id, address, lambda handle: handle.abort(reason)))

    @runs.command("safe-stop", help=SAFE_STOP)
    def safe_stop_command(execution_id: RunId, address: Address = None) -> int:
        return run_async(ended(execution_id, address, lambda handle: handle.safe_stop()))

    @runs.command("pause", help=PAUSE)
    def pause_command(execution_id: RunId, address: Address = None) -> int:
        return run_async(paused(execution_id, address))

    @runs.command("resume", help=RESUME)
    def resume_command(
        execution_id: RunId,
        address: Address = None,
        wait: WatchOption = None,
        as_json: AsJson = False,
    ) -> int:
        return run_async(resumed(execution_id, address, wait=wait, as_json=as_json))

    @runs.command("set", help=SET)
    def set_command(
        execution_id: RunId,
        values: Annotated[list[str], typer.Argument(metavar="NODE.VAR=VALUE…")],
        address: Address = None,
    ) -> int:
        return run_async(written(execution_id, values, address))


async def ended(
    execution_id: str, address: str | None, tell: Callable[[WorkflowHandle], Awaitable[None]]
) -> int:
    """Ask the run to end, and see it end. Exit code 0."""
    from xworkflow.cli.run_result import word_of

    async with open_run(execution_id, address) as (handle, place):
        await tell(handle)
        with contextlib.suppress(TimeoutError):
            status = await asyncio.wait_for(handle.wait(), END_SECS)
            print_note(f"{word_of(status)}: {execution_id}")
            return ExitCode.OK
        where = f"xworkflow runs show {execution_id}{place.as_option}"
        print_note(f"asked; the run has not ended yet: {where}")
    return ExitCode.OK


async def paused(execution_id: str, address: str | None) -> int:
    """Ask the run to start nothing new. Exit code 0."""
    async with open_run(execution_id, address, worker=False) as (handle, place):
        await handle.pause()
        print_note(f"paused; go on with: xworkflow runs resume {execution_id}{place.as_option}")
    return ExitCode.OK


async def resumed(
    execution_id: str, address: str | None, *, wait: bool | None, as_json: bool
) -> int:
    """Let the run go on. Exit code 0, or that of the run that was watched."""
    from xworkflow.client.standing import read_standing

    async with open_run(execution_id, address) as (handle, place):
        past = await read_standing(handle)
        await handle.resume()
        return await carried_on(handle, place, past, wait=wait, as_json=as_json)


async def written(execution_id: str, values: list[str], address: str | None) -> int:
    """Write variables. Exit code 0."""
    given = dict(map(assignment, values))
    async with open_run(execution_id, address) as (handle, _):
        await handle.update_variables(given)
    print_note(f"written: {', '.join(given)}")
    return ExitCode.OK


@contextlib.asynccontextmanager
async def open_run(
    execution_id: str, address: str | None, *, worker: bool = True
) -> AsyncGenerator[tuple[WorkflowHandle, Place]]:
    """A run that is not over, and a worker that hears what it is told; elsewhere than at the server
    of this machine, the workers are somebody else's. Raises InputError for one that is over."""
    from xworkflow.cli.place import server_place, worker_at

    async with contextlib.AsyncExitStack() as stack:
        place = await stack.enter_async_context(server_place(address))
        handle = await place.get(execution_id)
        if await handle.is_over():
            raise InputError((f"run '{execution_id}' is over",))
        if worker and place.embedded:
            await stack.enter_async_context(worker_at(place.address))
        yield handle, place


async def carried_on(
    handle: WorkflowHandle, place: Place, past: Standing, *, wait: bool | None, as_json: bool
) -> int:
    """Watch a run that was told to go on, where nobody else may carry it or it was asked for."""
    if wait is False or (wait is None and not place.embedded):
        if as_json:
            print_json({"workflow_id": handle.execution_id, "status": "running"})
        return ExitCode.OK
    from xworkflow.cli.watch import watch

    watched = await watch(handle, place, quiet=False, past=past)
    if as_json:
        print_json(watched.to_json(), flush=True)
    else:
        watched.print()
    return watched.exit_code


def assignment(pair: str) -> tuple[str, JsonValue]:
    """The name and value of ``node.variable=value``. Raises InputError."""
    from xworkflow.cli.files import value_of

    name, equals, text = pair.partition("=")
    if not equals or "." not in name:
        raise InputError((f"'{pair}' is not of the form node.variable=value",))
    return name, value_of(text)
