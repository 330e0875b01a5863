"""``xworkflow worker``: carries runs of one group until it is stopped."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note, print_text

EXAMPLES = """
Carry runs: polls the group's task queue until it is stopped by Ctrl-C or SIGTERM.

The server comes from `--address`, or from Temporal's own environment configuration
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, profiles, TLS, API keys). Models are asked with
`OPENAI_API_KEY`, at `OPENAI_BASE_URL`, for `OPENAI_ORG_ID`.

**Examples**

    xworkflow worker --address localhost:7233
    xworkflow worker --group-id tenant-123
"""


def register(app: typer.Typer) -> None:
    @app.command("worker", help=EXAMPLES)
    def command(
        address: Annotated[
            str | None, typer.Option(metavar="HOST:PORT", help="The Temporal server.")
        ] = None,
        group_id: Annotated[
            str | None, typer.Option(metavar="ID", help="The group to serve.")
        ] = None,
        queue: Annotated[
            str | None,
            typer.Option(
                "--task-queue", metavar="NAME", help="Another queue than the group's own."
            ),
        ] = None,
        files: Annotated[
            Path | None,
            typer.Option(
                "--file-directory",
                metavar="DIR",
                envvar="XWORKFLOW_FILE_DIRECTORY",
                help="Where files of runs may be; without it there are remote ones only.",
            ),
        ] = None,
        sandbox: Annotated[
            bool, typer.Option(help="Run workflows in Temporal's determinism sandbox (slower).")
        ] = os.environ.get("XWORKFLOW_WORKFLOW_SANDBOX") == "1",
    ) -> int:
        return run_async(run(address, group_id, queue, files, sandboxed=sandbox))


async def run(
    address: str | None,
    group_id: str | None,
    queue: str | None,
    files: Path | None,
    *,
    sandboxed: bool,
) -> int:
    """Exit code 0 after a stop that was asked for."""
    from xworkflow.cli.place import open_client
    from xworkflow.cli.stopping import stop_requested
    from xworkflow.domain.wire import task_queue
    from xworkflow.embedded.worker_process import READY_LINE
    from xworkflow.runtime_group.group import RuntimeGroup
    from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
    from xworkflow.worker import build_worker

    client = await open_client(address)
    group = RuntimeGroup(
        group_id=group_id,
        llm_provider_registry=LlmProviderRegistry.with_builtins(),
        file_directory=files,
    )
    stop = stop_requested()
    try:
        async with build_worker(client, group, queue=queue, sandboxed=sandboxed):
            where = client.service_client.config.target_host
            print_note(f"polling {queue or task_queue(group_id)} at {where}")
            print_text(READY_LINE.decode(), flush=True)
            await stop.wait()
    finally:
        await group.aclose()
    return ExitCode.OK
