"""Where a command's runs live: the server that was named, or the embedded one of this machine."""

from __future__ import annotations

import contextlib
import functools
import logging
import re
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.runtime import LoggingConfig, Runtime, TelemetryConfig, TelemetryFilter
from temporalio.service import RPCError, RPCStatusCode

from xworkflow.cli.printing import working
from xworkflow.client.connection import configured_address, connect
from xworkflow.client.handle import WorkflowHandle
from xworkflow.domain.wire import GRAPH_WORKFLOW, task_queue
from xworkflow.errors import EngineError, InfrastructureError, InputError

_ADDRESS = re.compile(r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\]]+):\d{1,5}")


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

    @property
    def as_option(self) -> str:
        """What another command needs to find the same server; with a space before it."""
        return "" if self.embedded else f" --address {self.address}"

    async def require_answer(self) -> None:
        """Raises InfrastructureError when the server has ended."""
        try:
            await self.client.service_client.check_health()
        except RPCError as error:
            raise unusable(self.address, error) from None

    async def find(self, execution_id: str) -> WorkflowHandle | None:
        """A run that is there, open or closed. InputError when the id is another workflow's."""
        try:
            found = await self.client.get_workflow_handle(execution_id).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise unusable(self.address, error) from None
        if found.workflow_type != GRAPH_WORKFLOW:
            text = f"'{execution_id}' is no run, but a workflow of type '{found.workflow_type}'"
            raise InputError((text,))
        first = found.raw_description.workflow_execution_info.first_run_id
        return WorkflowHandle(self.client, execution_id, run_id=first or found.run_id)

    async def get(self, execution_id: str) -> WorkflowHandle:
        """As ``find``; InputError also when there is no such run."""
        found = await self.find(execution_id)
        if found is None:
            raise InputError((f"there is no run '{execution_id}' at {self.address}",))
        return found


@contextlib.asynccontextmanager
async def worker_at(address: str, *, stream_store: str | None = None) -> AsyncGenerator[None]:
    """A worker as a child process; what it prints goes to ``worker.log``. It serves the groups of
    this directory's configuration, or the default group where there is none."""
    from xworkflow.cli.configured import configuration_file
    from xworkflow.embedded.data_dir import default_data_dir
    from xworkflow.embedded.worker_process import start_worker, worker_command

    file = configuration_file()
    command = worker_command(
        address,
        task_queue(None),
        stream_store=stream_store,
        config=None if file is None else file.absolute(),
    )
    async with contextlib.AsyncExitStack() as stack:
        with working("starting a worker"):
            log = default_data_dir() / "worker.log"
            await stack.enter_async_context(start_worker(command, log=log))
        yield


@contextlib.asynccontextmanager
async def server_place(address: str | None, *, ui: bool = True) -> AsyncGenerator[Place]:
    """Connect to the address, else to the environment's server, else to the embedded one.

    The embedded server is started when no command of this machine runs one, and ends with this one.
    """
    named = address or configured_address()
    if named is not None:
        yield Place(await open_client(address), named, None, embedded=False)
        return
    from xworkflow.embedded.data_dir import default_data_dir
    from xworkflow.embedded.server import start_server

    async with contextlib.AsyncExitStack() as stack:
        with working("starting the Temporal server of this machine"):
            server = await stack.enter_async_context(start_server(default_data_dir(), ui=ui))
            client = await open_client(server.address)
        yield Place(client, server.address, server.ui_url, embedded=True)


async def open_client(address: str | None) -> Client:
    """A client of a server that answers and has our namespace.

    Raises InputError for what is no address, and InfrastructureError.
    """
    if address is not None and not _ADDRESS.fullmatch(address):
        raise InputError((f"--address '{address}' is not of the form HOST:PORT",))
    _set_sdk_log("INFO" if logging.getLogger().isEnabledFor(logging.INFO) else "ERROR")
    client = await connect(address)
    await _require_namespace(client)
    return client


async def _require_namespace(client: Client) -> None:
    try:
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=client.namespace)
        )
    except RPCError as error:
        where = client.service_client.config.target_host
        if error.status is RPCStatusCode.NOT_FOUND:
            text = f"the server at {where} has no namespace '{client.namespace}'"
            raise InfrastructureError(text) from None
        raise unusable(where, error) from None


def unusable(address: str, error: RPCError) -> EngineError:
    """What is wrong when a server answers a call of ours with an error, or not at all."""
    if error.status is RPCStatusCode.INVALID_ARGUMENT:
        return InputError((f"the server at {address} refuses: {error.message}",))
    verb = "has gone away" if error.status is RPCStatusCode.UNAVAILABLE else "refuses"
    return InfrastructureError(f"the server at {address} {verb}: {error.message}")


@functools.cache
def _set_sdk_log(level: str) -> None:
    """The SDK's core logs by itself; under load it would flood the terminal with its warnings."""
    log_filter = TelemetryFilter(core_level=level, other_level=level)
    runtime = Runtime(telemetry=TelemetryConfig(logging=LoggingConfig(log_filter)))
    Runtime.set_default(runtime, error_if_already_set=False)
