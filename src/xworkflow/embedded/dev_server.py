"""The command line of the dev server, with the settings that were measured, and its readiness."""

from __future__ import annotations

import asyncio
import socket
from datetime import timedelta
from pathlib import Path

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import (
    AddSearchAttributesRequest,
    ListSearchAttributesRequest,
)
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest, UpdateNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from xworkflow.domain.wire import SEARCH_ATTRIBUTES

HOST = "127.0.0.1"
NAMESPACE = "default"
RETENTION = timedelta(days=30)  # the dev server's own default is 24 hours

# By default one history shard is polled 20 times a second at most, and four partitions per task
# queue forward to one another at 10 a second: 10 activities in a row take 1,050 ms, tuned 100 ms.
DYNAMIC_CONFIG = (
    "history.transferProcessorMaxPollRPS=10000",
    "matching.numTaskqueueReadPartitions=1",
    "matching.numTaskqueueWritePartitions=1",
    "system.enableActivityEagerExecution=true",
    # polls of one kind that a namespace may have open: 1,200 are those of 600 groups
    "frontend.namespaceCount=100000",
)
# A server reads the namespace again every 2 s, and a run keeps the retention that was known when it
# ended. The first server of a directory reads more often (1.6 % of a core), or the first runs of
# all would be lost after 24 hours.
_FIRST_REFRESH = timedelta(milliseconds=100)
# a database file with SQLite's defaults costs a flush for each event
SQLITE_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")


def free_port() -> int:
    """A port that nobody listens on now. Somebody may take it first: the caller tries again."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def command(cli: Path, port: int, *, database: Path | None, ui_port: int | None) -> tuple[str, ...]:
    """``temporal server start-dev`` as it is always started; no database means in memory."""
    settings = DYNAMIC_CONFIG
    if database is not None and not database.exists():
        milliseconds = _FIRST_REFRESH // timedelta(milliseconds=1)
        settings += (f'system.namespaceCacheRefreshInterval="{milliseconds}ms"',)
    arguments = [str(cli), "server", "start-dev", "--ip", HOST, "--port", str(port)]
    arguments += ["--headless"] if ui_port is None else ["--ui-port", str(ui_port)]
    for value in settings:
        arguments += ["--dynamic-config-value", value]
    for name in SEARCH_ATTRIBUTES:
        arguments += ["--search-attribute", f"{name}=Keyword"]
    if database is not None:
        arguments += ["--db-filename", str(database)]
        for pragma in SQLITE_PRAGMAS:
            arguments += ["--sqlite-pragma", pragma]
    return tuple(arguments)


async def answers(address: str) -> bool:
    """Whether a Temporal server is ready at ``host:port``."""
    host, port = address.rsplit(":", 1)
    try:
        # the SDK's own attempt at a closed port costs more, and this is asked in a loop
        _, writer = await asyncio.open_connection(host, int(port))
        writer.close()
        client = await Client.connect(address)
        await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace=NAMESPACE)
        )
    except (OSError, RuntimeError, RPCError):
        return False
    return True


async def know_search_attributes(address: str) -> None:
    """Have the server know our search attributes. Raises RPCError.

    It is told of them by its command line, too; a database that is older than an attribute does not
    take it from there (Server 1.29). Costs one call where nothing is missing.
    """
    client = await Client.connect(address)
    operator = client.operator_service
    listed = await operator.list_search_attributes(ListSearchAttributesRequest(namespace=NAMESPACE))
    missing = [name for name in SEARCH_ATTRIBUTES if name not in listed.custom_attributes]
    if missing:
        keyword = IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD
        await operator.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=NAMESPACE, search_attributes=dict.fromkeys(missing, keyword)
            )
        )


async def keep_finished_runs(address: str) -> None:
    """Have the namespace keep finished runs for 30 days. Raises RPCError.

    Returns when the first server of a directory knows it; a later one knew from its start.
    """
    client = await Client.connect(address)
    described = await client.workflow_service.describe_namespace(
        DescribeNamespaceRequest(namespace=NAMESPACE)
    )
    if described.config.workflow_execution_retention_ttl.ToTimedelta() == RETENTION:
        return
    request = UpdateNamespaceRequest(namespace=NAMESPACE)
    request.config.workflow_execution_retention_ttl.FromTimedelta(RETENTION)
    await client.workflow_service.update_namespace(request)
    await asyncio.sleep(2 * _FIRST_REFRESH.total_seconds())
