"""``xworkflow runs fork``: a new run from another one's results, from a node on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import (
    output,
    plain,
    plain_line,
    print_json,
    print_note,
    print_report,
    table,
)
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from xworkflow.cli.place import Place
    from xworkflow.client.forking import ForkPlan, Origin
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.domain.schema import WorkflowSchema
    from xworkflow.domain.values import JsonValue

FORK = """
Start a new run that reuses the results of another one, from a node on.

The node (its id, or its title) and all that stands behind it run again; without `--from` all that
has not finished does, so that a run that failed or was safe-stopped goes on. Calls that are reused
are not paid twice. The other run is not touched. A container (iteration, loop) runs again whole,
and a person who had not answered is asked anew.

`--set` writes a variable over the reused ones: text where it was text, else JSON. With `--file` the
fork goes on with a changed workflow; it is refused, with all the reasons, where the change touches
what would be reused. `--force` only warns then. docs/fork.md explains the reasons, F001 and on.

With `--json` stdout is one object, that of `xworkflow run`, with `forked_from`, `from_node` and
`reused` (ids of nodes).

**Exit codes:** 0 completed (or detached with `--detach`) · 1 failed · 2 refused · 3 no server ·
4 stopped · 5 waiting · 130 detached

**Examples**

    xworkflow runs fork order-4711 --from summary
    xworkflow runs fork order-4711 --file mended.yml
    xworkflow runs fork order-4711 --from summary --set start.name=Ada --set conversation.n=3
    xworkflow runs fork order-4711 --from summary --dry-run
"""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for, as it was typed; the file is read."""

    origin: str
    from_node: str | None
    pairs: tuple[str, ...]
    schema: WorkflowSchema | None
    force: bool
    execution_id: str


@dataclass(frozen=True, slots=True)
class Manner:
    """How the command tells of it."""

    as_json: bool
    quiet: bool
    detach: bool
    dry_run: bool


def register(runs: typer.Typer) -> None:
    @runs.command("fork", help=FORK)
    def command(  # noqa: PLR0913
        origin: Annotated[str, typer.Argument(metavar="ID", help="The run's id.")],
        *,
        from_node: Annotated[
            str | None, typer.Option("--from", metavar="NODE", help="Where to start.")
        ] = None,
        pairs: Annotated[
            list[str] | None, typer.Option("--set", metavar="NODE.VAR=V", help="A value.")
        ] = None,
        file: Annotated[
            Path | None, typer.Option(metavar="FILE", help="The changed workflow.")
        ] = None,
        force: Annotated[bool, typer.Option("--force", help="Warn where it is unsafe.")] = False,
        execution_id: Annotated[
            str | None, typer.Option("--id", metavar="ID", help="The new run's id.")
        ] = None,
        address: Annotated[
            str | None, typer.Option(metavar="HOST:PORT", help="A Temporal server.")
        ] = None,
        as_json: Annotated[bool, typer.Option("--json", help="The result as one object.")] = False,
        quiet: Annotated[bool, typer.Option("-q", "--quiet", help="No progress.")] = False,
        detach: Annotated[bool, typer.Option("--detach", help="Start it, and leave.")] = False,
        dry_run: Annotated[
            bool, typer.Option("--dry-run", help="Only say what it would reuse.")
        ] = False,
    ) -> int:
        from xworkflow.cli.run import told
        from xworkflow.providers import RealIdGenerator

        if execution_id == "":
            raise InputError(("--id is empty",))
        ours = execution_id or RealIdGenerator().next_id()
        with told(ours, as_json=as_json):
            schema = None if file is None else _read(file)
            request = Request(origin, from_node, tuple(pairs or ()), schema, force, ours)
            manner = Manner(as_json, quiet, detach, dry_run)
            return run_async(fork(request, address, manner))


async def fork(request: Request, address: str | None, manner: Manner) -> int:
    """Plan, start and watch a fork; returns the exit code."""
    from xworkflow.cli.place import server_place
    from xworkflow.cli.starting import worker_for
    from xworkflow.cli.watch import watch

    async with server_place(address) as place:
        origin = await (await place.get(request.origin)).origin()
        plan = _planned(request, origin)
        if not manner.quiet:
            print_report(plan.fork.report, f"fork of {origin.execution_id}")
        if manner.dry_run:
            _print_plan(plan, manner)
            return ExitCode.OK
        _keep_secrets(request, origin, place)
        if manner.detach:
            handle = await _start(plan, place, manner)
            _print_detached(handle, plan, place, manner)
            return ExitCode.OK
        async with worker_for(place, plan.task_queue):
            handle = await _start(plan, place, manner)
            watched = await watch(handle, place, quiet=manner.quiet)
        if manner.as_json:
            print_json({**watched.to_json(), **_facts(plan)}, flush=True)
        else:
            watched.print()
        return watched.exit_code


def _read(path: Path) -> WorkflowSchema:
    """Raises ValidationFailed for what cannot be read; the plan of the fork checks the rest."""
    from xworkflow.cli.files import read_workflow
    from xworkflow.domain.diagnostics import Report
    from xworkflow.errors import ValidationFailed

    loaded = read_workflow(path)
    report = Report(diagnostics=loaded.diagnostics)
    if loaded.schema is None or not report.is_valid:
        raise ValidationFailed(report, str(path))
    return loaded.schema


def _planned(request: Request, origin: Origin) -> ForkPlan:
    from xworkflow.client.forking import ForkOrder, plan_fork

    schema = request.schema
    order = ForkOrder(
        from_node=request.from_node,
        values=_values(request.pairs, origin),
        schema=schema,
        force=request.force,
        secrets=frozenset() if schema is None else frozenset(schema.secret_values),
        execution_id=request.execution_id,
    )
    return plan_fork(origin, order)


def _values(pairs: Sequence[str], origin: Origin) -> dict[str, JsonValue]:
    """What ``--set`` writes: text where it replaces text, else JSON where it is that."""
    from xworkflow.cli.files import json_of
    from xworkflow.domain.selectors import SelectorError, parse_selector

    values: dict[str, JsonValue] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        try:
            selector = parse_selector(name)
        except SelectorError:
            selector = ()
        if not equals or len(selector) < 2 or "." not in name:  # noqa: PLR2004
            raise InputError((f"--set '{pair}' is not of the form node.variable=value",))
        if isinstance(origin.past.state.pool.get(selector), str):
            values[name] = text
            continue
        try:
            values[name] = json_of(text)
        except (ValueError, RecursionError):
            values[name] = text
    return values


def _keep_secrets(request: Request, origin: Origin, place: Place) -> None:
    from xworkflow.cli.local_secrets import local_secrets
    from xworkflow.cli.starting import print_secrets_stay
    from xworkflow.domain.secret_references import store_key

    schema = request.schema
    if schema is None or not schema.secret_values:
        return
    print_secrets_stay(schema, place)
    local_secrets().keep(store_key(origin.run.group_id, schema.hash), schema.secret_values)


async def _start(plan: ForkPlan, place: Place, manner: Manner) -> WorkflowHandle:
    from xworkflow.client.handle import WorkflowHandle
    from xworkflow.client.starting import start_run

    started = await start_run(place.client, plan.run, plan.execution_id, plan.task_queue)
    if not manner.quiet:
        count = len(plan.fork.reused)
        print_note(
            f"run {plan.execution_id} forks {plan.origin}: reuses {count} node{'s'[: count != 1]}, "
            f"starts with {_titles(plan)}"
        )
    return WorkflowHandle(place.client, plan.execution_id, started=started)


def _titles(plan: ForkPlan) -> str:
    """What it starts with, by the titles that a user knows."""
    from xworkflow.engine.start import compiled_of

    nodes = compiled_of(plan.run).plan
    found = (nodes.node(name) for name in plan.fork.starts)
    return ", ".join(f"'{node.title or node.id}'" for node in found)


def _facts(plan: ForkPlan) -> dict[str, JsonValue]:
    return {
        "forked_from": plan.origin,
        "from_node": plan.from_node,
        "reused": list(plan.fork.reused),
    }


def _print_plan(plan: ForkPlan, manner: Manner) -> None:
    from xworkflow.domain.state import NodePhase
    from xworkflow.engine.start import compiled_of

    if manner.as_json:
        print_json({**_facts(plan), "starts": list(plan.fork.starts)})
        return
    rows = table("", "node", "id", "type", "")
    for node in compiled_of(plan.run).plan.nodes:
        phase = plan.fork.state.nodes[node.index]
        mark, word = "[dim]·[/]", "when it is reached"
        if phase == NodePhase.TAKEN:
            mark, word = "[green]✓[/]", "reused"
        elif phase in (NodePhase.SKIPPED, NodePhase.CANCELLED):
            mark, word = "[dim]–[/]", "not wanted"
        elif node.id in plan.fork.starts:
            mark, word = "[cyan]▶[/]", "starts"
        rows.add_row(
            mark, plain_line(node.title or node.id), plain(node.id), plain(node.type), word
        )
    output().print(rows)


def _print_detached(handle: WorkflowHandle, plan: ForkPlan, place: Place, manner: Manner) -> None:
    from xworkflow.cli.run_result import Watched

    url = place.run_url(handle.execution_id, handle.first_run_id)
    watched = Watched(handle.execution_id, handle.first_run_id, url)
    if manner.as_json:
        print_json({**watched.to_json(), **_facts(plan)})
        return
    where = "" if place.embedded else f" --address {place.address}"
    print_note(f"look at it with: xworkflow runs show {handle.execution_id}{where}")
    if place.embedded:
        print_note("Its server ends with this command; `xworkflow dev` carries the run on.")
