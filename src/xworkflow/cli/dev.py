"""``xworkflow dev``: server and worker together, with the Web UI."""

from __future__ import annotations

import typer

from xworkflow.cli.app import run_async
from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.printing import print_note

EXAMPLES = """
Start a Temporal server and a worker on this machine, until Ctrl-C. Other commands join them.

With a server in Temporal's environment configuration it is a worker for that one.

**Example**

    xworkflow dev
"""

HEALTH_SECS = 2.0


def register(app: typer.Typer) -> None:
    @app.command("dev", help=EXAMPLES)
    def command() -> int:
        return run_async(run())


async def run() -> int:
    """Exit code 0 after a stop that was asked for, 3 when the server has ended by itself."""
    from xworkflow.cli.place import server_place, worker_at
    from xworkflow.cli.stopping import set_within, stop_requested
    from xworkflow.cli.streams import stream_store_url

    streams = stream_store_url()
    async with (
        server_place(None) as place,
        worker_at(place.address, stream_store=streams),
    ):
        stop = stop_requested()
        print_note(f"Temporal server: {place.address}")
        if place.ui_url is not None:
            print_note(f"Web UI:          {place.ui_url}")
        print_note("worker ready; stop with Ctrl-C")
        while not await set_within(stop, HEALTH_SECS):
            await place.require_answer()
    return ExitCode.OK
