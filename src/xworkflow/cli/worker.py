"""``xworkflow worker``: carries runs of one group until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note, print_text
from xworkflow.telemetry.logs import LogFormat, turn_on

EXAMPLES = """
Carry runs: polls the group's task queue until it is stopped by Ctrl-C or SIGTERM.

The server comes from `--address`, or from Temporal's own environment configuration
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, profiles, TLS, API keys). Models are asked with
`OPENAI_API_KEY`, at `OPENAI_BASE_URL`, for `OPENAI_ORG_ID`.

**Examples**

    xworkflow worker --address localhost:7233
    xworkflow worker --group-id tenant-123
    xworkflow worker --processes 4
    xworkflow worker --log-format json

With `--processes` it keeps that many worker processes running, each with a group of its own, and
replaces one that ends by itself. One process carries what one core can carry.
"""


def register(app: typer.Typer) -> None:
    @app.command("worker", help=EXAMPLES)
    def command(  # noqa: PLR0913, PLR0917 - one for each option
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
        streams: Annotated[
            str | None,
            typer.Option(
                "--stream-store",
                metavar="URL",
                envvar="XWORKFLOW_STREAM_STORE",
                help="A database (sqlite:///… or postgresql://…) for readers that follow live.",
            ),
        ] = None,
        sandbox: Annotated[
            bool, typer.Option(help="Run workflows in Temporal's determinism sandbox (slower).")
        ] = os.environ.get("XWORKFLOW_WORKFLOW_SANDBOX") == "1",
        processes: Annotated[
            int, typer.Option(min=1, metavar="N", help="How many worker processes to keep running.")
        ] = 1,
        log_format: Annotated[
            LogFormat | None,
            typer.Option(help="Log to stderr, with the run and the node of each line."),
        ] = None,
    ) -> int:
        served = Served(address, group_id, queue, files, sandbox, log_format, streams)
        if log_format is not None:
            turn_on(log_format)
        return run_async(run(served) if processes == 1 else run_processes(served, processes))


@dataclass(frozen=True, slots=True)
class Served:
    """What one worker serves, and where; None means what the environment or the group says."""

    address: str | None
    group_id: str | None
    queue: str | None
    files: Path | None
    sandboxed: bool
    log_format: LogFormat | None = None
    streams: str | None = None

    def as_arguments(self) -> list[str]:
        """The options that make another process serve the same."""
        given = {
            "--address": self.address,
            "--group-id": self.group_id,
            "--task-queue": self.queue,
            "--file-directory": self.files,
            "--log-format": self.log_format,
            "--stream-store": self.streams,
        }
        named = [f"{name}={value}" for name, value in given.items() if value is not None]
        return ["worker", *named, "--sandbox" if self.sandboxed else "--no-sandbox"]


async def run(served: Served) -> int:
    """Serve in this process. Exit code 0 after a stop that was asked for."""
    from xworkflow.cli.local_secrets import local_secrets
    from xworkflow.cli.place import open_client
    from xworkflow.cli.stopping import stop_requested
    from xworkflow.cli.streams import open_streams
    from xworkflow.domain.wire import task_queue
    from xworkflow.embedded.worker_process import READY_LINE
    from xworkflow.runtime_group.group import RuntimeGroup
    from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
    from xworkflow.worker import build_worker

    client = await open_client(served.address)
    group = RuntimeGroup(
        group_id=served.group_id,
        llm_provider_registry=LlmProviderRegistry.with_builtins(),
        file_directory=served.files,
        secret_store=local_secrets(),
        stream_store=None if served.streams is None else open_streams(served.streams),
    )
    stop = stop_requested()
    try:
        async with build_worker(client, group, queue=served.queue, sandboxed=served.sandboxed):
            where = client.service_client.config.target_host
            print_note(f"polling {served.queue or task_queue(served.group_id)} at {where}")
            print_text(READY_LINE.decode(), flush=True)
            await stop.wait()
    finally:
        await group.aclose()
    return ExitCode.OK


async def run_processes(served: Served, count: int) -> int:
    """Keep worker processes running. Exit code 0 after a stop that was asked for.

    A stop ends all of them at once, each in its own order, also while they start.
    """
    from xworkflow.cli.place import open_client
    from xworkflow.cli.stopping import stop_requested

    # what is wrong with the server or its name is said here, once, and not by each process
    await open_client(served.address)
    stopping = asyncio.create_task(stop_requested().wait())
    keeping = asyncio.create_task(_keep(served, count))
    await asyncio.wait({stopping, keeping}, return_when=asyncio.FIRST_COMPLETED)
    if keeping.done():  # it ends by itself only when a process does not start
        keeping.result()
    keeping.cancel()
    await asyncio.wait({keeping})
    return ExitCode.OK


async def _keep(served: Served, count: int) -> None:
    from xworkflow.embedded.worker_process import READY_LINE
    from xworkflow.embedded.worker_processes import start_workers

    verbose = ["--verbose"] if logging.getLogger().isEnabledFor(logging.INFO) else []
    command = [sys.executable, "-m", "xworkflow.cli", *verbose, *served.as_arguments()]
    async with start_workers(command, count, crashed=_print_crash):
        print_text(READY_LINE.decode(), flush=True)
        await asyncio.Event().wait()


def _print_crash(code: int) -> None:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    print_note(f"a worker process {how}; another takes its place")
