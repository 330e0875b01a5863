"""Where a command's runs live: the server that was named, or the embedded one of this machine."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from temporalio.client import Client

from xworkflow.client.connection import configured_address, connect
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.wire import task_queue


@dataclass(frozen=True, slots=True)
class Place:
    """A connected server. ``ui_url`` is known for the embedded one only."""

    client: Client
    address: str
    ui_url: str | None
    embedded: bool

    def run_url(self, execution_id: str, run_id: str | None) -> str | None:
        """The address of a run in the Temporal Web UI."""
        if self.ui_url is None:
            return None
        tail = f"/{run_id}/history" if run_id else ""
        return f"{self.ui_url}/namespaces/{self.client.namespace}/workflows/{execution_id}{tail}"

    def handle(self, execution_id: str) -> WorkflowHandle:
        return WorkflowHandle(self.client, execution_id)


@contextlib.asynccontextmanager
async def worker_at(address: str) -> AsyncIterator[None]:
    """A worker of the default group as a child process; what it prints goes to ``worker.log``."""
    from xworkflow.embedded.data_dir import default_data_dir
    from xworkflow.embedded.worker_process import start_worker, worker_command

    command = worker_command(address, task_queue(None))
    async with start_worker(command, log=default_data_dir() / "worker.log"):
        yield


@contextlib.asynccontextmanager
async def server_place(address: str | None, *, ui: bool = True) -> AsyncIterator[Place]:
    """Connect to the address, else to the environment's server, else to the embedded one.

    The embedded server is started when no command of this machine runs one, and ends with this one.
    """
    named = address or configured_address()
    if named is not None:
        yield Place(await connect(address), named, None, embedded=False)
        return
    from xworkflow.embedded.data_dir import default_data_dir
    from xworkflow.embedded.server import start_server

    async with start_server(default_data_dir(), ui=ui) as server:
        client = await connect(server.address)
        yield Place(client, server.address, server.ui_url, embedded=True)
