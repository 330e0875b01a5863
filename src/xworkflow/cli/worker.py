"""``xworkflow worker``: carries runs of one group until it is stopped."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.configured import ConfigOption, configuration_file, require_group
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note, print_text
from xworkflow.errors import InputError
from xworkflow.telemetry.logs import LogFormat, turn_on

if TYPE_CHECKING:
    from xworkflow.cli.serving import Configured

EXAMPLES = """
Carry runs: polls the task queues of its groups until it is stopped by Ctrl-C or SIGTERM.

The groups are those of `xworkflow.toml` (`--config`, `$XWORKFLOW_CONFIG`, or the file in this
directory), which start from the standard security policy. On SIGHUP the file is read again, and
taken without losing runs. Without a file it is one group without limits.

The server comes from `--address`, or from Temporal's own environment configuration
(`TEMPORAL_ADDRESS`, `TEMPORAL_NAMESPACE`, profiles, TLS, API keys). Models are asked with
`OPENAI_API_KEY`, at `OPENAI_BASE_URL`, for `OPENAI_ORG_ID`.

**Examples**

    xworkflow worker --address localhost:7233
    xworkflow worker --config /etc/xworkflow.toml
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
        config: ConfigOption = None,
        group_id: Annotated[
            str | None,
            typer.Option(metavar="ID", help="The one group to serve; else all of the file."),
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
            int | None,
            typer.Option(min=1, metavar="N", help="How many worker processes to keep running."),
        ] = None,
        local: Annotated[
            bool,
            typer.Option("--local", help="Groups of the file that name no level have no policy."),
        ] = False,
        log_format: Annotated[
            LogFormat | None,
            typer.Option(help="Log to stderr, with the run and the node of each line."),
        ] = None,
    ) -> int:
        served = Served(
            address,
            group_id,
            queue,
            files,
            sandbox,
            log_format,
            streams,
            # a queue that is named is served as without a file
            config if queue is not None else configuration_file(config),
            local,
        )
        if log_format is not None:
            turn_on(log_format)
        configured = served.configured()
        if processes is None:
            processes = 1 if configured is None else configured.settings.worker.processes
        if processes > 1:
            return run_async(run_processes(served, processes))
        return run_async(run(served) if configured is None else run_configured(configured))


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
    config: Path | None = None
    local: bool = False

    def configured(self) -> Configured | None:
        """What the file says. Raises ConfigurationError, and InputError for a group or an option
        that does not go with it."""
        if self.config is None:
            return None
        from xworkflow.cli.serving import Configured
        from xworkflow.configuration import read_settings

        settings = read_settings(self.config)
        if self.queue is not None:
            text = f"--task-queue does not go with {self.config}: each group has a queue of its own"
            raise InputError((text,))
        if self.group_id is not None:
            require_group(settings, self.config, self.group_id)
        return Configured(
            self.config,
            settings,
            self.address or settings.worker.address,
            self.group_id,
            self.streams,
            self.files,
            self.sandboxed,
            self.local,
        )

    def as_arguments(self) -> list[str]:
        """The options that make another process serve the same."""
        given = {
            "--address": self.address,
            "--group-id": self.group_id,
            "--task-queue": self.queue,
            "--file-directory": self.files,
            "--log-format": self.log_format,
            "--stream-store": self.streams,
            "--config": self.config,
        }
        named = [f"{name}={value}" for name, value in given.items() if value is not None]
        flags = ["--sandbox" if self.sandboxed else "--no-sandbox", "--processes=1"]
        return ["worker", *named, *flags, *(["--local"] if self.local else [])]


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


async def run_configured(configured: Configured) -> int:
    """Serve the groups of a file in this process. Exit code 0 after a stop that was asked for."""
    from xworkflow.cli.place import open_client
    from xworkflow.cli.serving import serve
    from xworkflow.cli.stopping import stop_requested

    client = await open_client(configured.address)
    await serve(configured, client, stop_requested())
    return ExitCode.OK


async def run_processes(served: Served, count: int) -> int:
    """Keep worker processes running. Exit code 0 after a stop that was asked for.

    A stop ends all of them at once, each in its own order, also while they start.
    """
    from xworkflow.cli.place import open_client
    from xworkflow.cli.stopping import stop_requested

    # what is wrong with the server or its name is said here, once, and not by each process
    configured = served.configured()
    await open_client(served.address if configured is None else configured.address)
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
    async with start_workers(command, count, crashed=_print_crash) as workers:
        if served.config is not None:
            loop = asyncio.get_running_loop()
            loop.add_signal_handler(signal.SIGHUP, workers.send, signal.SIGHUP)
        print_text(READY_LINE.decode(), flush=True)
        await asyncio.Event().wait()


def _print_crash(code: int) -> None:
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    print_note(f"a worker process {how}; another takes its place")
