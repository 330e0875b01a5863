"""``xworkflow runs list``: the runs that a server knows, the newest first."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.input_options import Address
from xworkflow.cli.printing import output, plain, plain_line, print_json, table
from xworkflow.errors import InputError

if TYPE_CHECKING:
    from temporalio.client import WorkflowExecution

LIST = """
List runs, the newest first, from the server's own list of workflows.

`--query` takes Temporal's list filter. The app of a run is known where the server has the search
attributes of `docs/temporal.md`; the server of this machine has them.

**Exit codes:** 0 · 2 the server refuses the query · 3 no server

**Examples**

    xworkflow runs list
    xworkflow runs list --status running --app orders
    xworkflow runs list --query 'XworkflowGroup = "tenant-123"' --limit 100 --json
"""

STATUSES: Final = {
    "running": ("Running",),
    "completed": ("Completed",),
    "failed": ("Failed", "TimedOut"),
    "stopped": ("Canceled", "Terminated"),
}
"""The commands' words for Temporal's own status."""

_NO_HANDLERS: Final = "ParentWorkflowId IS NULL"
"""Error handlers are of the same workflow type, but children of their runs."""


def register(runs: typer.Typer) -> None:
    @runs.command("list", help=LIST)
    def command(  # noqa: PLR0913
        *,
        address: Address = None,
        status: Annotated[
            str | None, typer.Option(metavar="WORD", help=f"Only {', '.join(STATUSES)} ones.")
        ] = None,
        app: Annotated[
            str | None, typer.Option(metavar="NAME", help="Only runs of this app.")
        ] = None,
        query: Annotated[
            str | None, typer.Option(metavar="FILTER", help="Temporal's list filter.")
        ] = None,
        limit: Annotated[int, typer.Option(min=1, metavar="N", help="At most so many.")] = 20,
        as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each.")] = False,
    ) -> int:
        return run_async(run(address, filter_of(status, app, query), limit, as_json=as_json))


def filter_of(status: str | None, app: str | None, query: str | None) -> str:
    """Temporal's filter for what was asked for. Raises InputError."""
    from xworkflow.domain.wire import APP_ATTRIBUTE, GRAPH_WORKFLOW

    if status is not None and status not in STATUSES:
        raise InputError((f"--status '{status}' is none of {', '.join(STATUSES)}",))
    parts = [
        f"WorkflowType = '{GRAPH_WORKFLOW}'",
        "ExecutionStatus != 'ContinuedAsNew'",
        _NO_HANDLERS,
    ]
    if status is not None:
        one_of = " OR ".join(f"ExecutionStatus = '{word}'" for word in STATUSES[status])
        parts.append(f"({one_of})")
    if app is not None:
        parts.append(f"{APP_ATTRIBUTE} = {_quoted(app)}")
    if query is not None:
        parts.append(f"({query})")
    return " AND ".join(parts)


async def run(address: str | None, query: str, limit: int, *, as_json: bool) -> int:
    """Exit code 0, also when there are none."""
    from temporalio.service import RPCError

    from xworkflow.cli.place import server_place, unusable

    async with server_place(address) as place:
        found = place.client.list_workflows(query, limit=limit, page_size=min(limit, 1000))
        try:
            rows = [_row(execution) async for execution in found]
        except RPCError as error:
            raise unusable(place.address, error) from None
    if as_json:
        for row in rows:
            print_json(row)
    else:
        _print(rows)
    return ExitCode.OK


def _row(execution: WorkflowExecution) -> dict[str, Any]:
    from temporalio.common import SearchAttributeKey

    from xworkflow.domain.wire import APP_ATTRIBUTE

    app = execution.typed_search_attributes.get(SearchAttributeKey.for_keyword(APP_ATTRIBUTE))
    name = "" if execution.status is None else execution.status.name.replace("_", "").lower()
    status = next((word for word, of in STATUSES.items() if name in map(str.lower, of)), name)
    closed = execution.close_time
    return {
        "workflow_id": execution.id,
        "run_id": execution.run_id,
        "app": app,
        "status": status,
        "started_at": execution.start_time.isoformat(),
        "ended_at": None if closed is None else closed.isoformat(),
        "seconds": None if closed is None else (closed - execution.start_time).total_seconds(),
    }


def _print(rows: list[dict[str, Any]]) -> None:
    colours = {"completed": "green", "failed": "red", "stopped": "yellow", "running": "cyan"}
    shown = table("run", "app", "status", "started", "seconds")
    for row in rows:
        started = datetime.fromisoformat(row["started_at"]).astimezone()
        colour = colours.get(row["status"], "default")
        shown.add_row(
            plain(row["workflow_id"]),
            plain_line(row["app"] or ""),
            f"[{colour}]{plain(row['status'])}[/]",
            f"{started:%Y-%m-%d %H:%M:%S}",
            "" if row["seconds"] is None else f"{row['seconds']:.2f}",
        )
    output().print(shown)


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
