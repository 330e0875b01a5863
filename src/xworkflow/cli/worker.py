"""``xworkflow worker``: carries runs of one group until it is stopped."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note
from xworkflow.client.connection import connect
from xworkflow.domain.wire import task_queue
from xworkflow.embedded.worker_process import READY_LINE

EXAMPLES = """
Carry runs: polls the group's task queue until it is stopped by Ctrl-C or SIGTERM.

The server comes from `--address`, or from Temporal's own environment configuration
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, profiles, TLS, API keys).

**Examples**

    xworkflow worker --address localhost:7233
    xworkflow worker --group-id tenant-123
"""


def register(app: typer.Typer) -> None:
    @app.command("worker", help=EXAMPLES)
    def command(  # pyright: ignore[reportUnusedFunction]
        address: Annotated[str | None, typer.Option(help="HOST:PORT of the Temporal server.")] = None,
        group_id: Annotated[str | None, typer.Option(help="The group to serve.")] = None,
        queue: Annotated[
            str | None, typer.Option("--task-queue", help="Another queue than the group's own.")
        ] = None,
        sandbox: Annotated[
            bool, typer.Option(help="Run workflows in Temporal's determinism sandbox (slower).")
        ] = os.environ.get("XWORKFLOW_WORKFLOW_SANDBOX") == "1",
    ) -> int:
        return run_async(run(address, group_id, queue, sandboxed=sandbox))


async def run(
    address: str | None, group_id: str | None, queue: str | None, *, sandboxed: bool
) -> int:
    """Exit code 0 after a stop that was asked for."""
    from xworkflow.runtime_group.group import RuntimeGroup
    from xworkflow.worker import build_worker

    client = await connect(address)
    group = RuntimeGroup(group_id=group_id)
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        async with build_worker(client, group, queue=queue, sandboxed=sandboxed):
            where = client.service_client.config.target_host
            print_note(f"polling {queue or task_queue(group_id)} at {where}")
            print(READY_LINE.decode(), flush=True)
            await stop.wait()
    finally:
        await group.aclose()
    return ExitCode.OK
