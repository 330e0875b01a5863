"""The production Temporal server on PostgreSQL, with the settings of ``docker-compose.yml``.

The programs are built once, outside of tests (docs/operations.md says how).
"""

from __future__ import annotations

import asyncio
import os
import random
import socket
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.deployment.postgresql import USER
from xworkflow.embedded.cache import binary_dir
from xworkflow.embedded.dev_server import HOST, NAMESPACE, RETENTION, answers

COMPOSE: dict[str, Any] = yaml.safe_load(
    (Path(__file__).resolve().parents[2] / "docker-compose.yml").read_text()
)
START_SECS = 90.0


@dataclass(frozen=True)
class Programs:
    """The server, and the tool that makes its tables."""

    server: Path
    sql_tool: Path

    @classmethod
    def in_cache(cls) -> Programs | None:
        folder = binary_dir(os.environ)
        found = cls(folder / "temporal-server", folder / "temporal-sql-tool")
        return found if found.server.is_file() and found.sql_tool.is_file() else None


def make_tables(programs: Programs, port: int) -> None:
    """Both databases, as the container's set-up makes them."""
    login = ["--plugin", "postgres12", "--ep", HOST, "-p", str(port), "-u", USER]
    for database, schema in (("temporal", "temporal"), ("temporal_visibility", "visibility")):
        tool = [programs.sql_tool, *login, "--db", database]
        for step in (
            ("create",),
            ("setup-schema", "-v", "0.0"),
            ("update-schema", "--schema-name", f"postgresql/v12/{schema}"),
        ):
            subprocess.run([*tool, *step], check=True, capture_output=True)


@contextmanager
def temporal_cluster(programs: Programs, postgresql_port: int, folder: Path) -> Generator[str]:
    """The address of a server with its namespace; the tables are there."""
    port = _port()
    (folder / "config").mkdir()
    (folder / "dynamic.yaml").write_text(COMPOSE["configs"]["temporal"]["content"])
    configuration = _configuration(port, postgresql_port, folder / "dynamic.yaml")
    (folder / "config" / "development.yaml").write_text(yaml.safe_dump(configuration))
    command = [programs.server, "--root", folder, "--config", "config", "--env", "development"]
    with (folder / "server.log").open("wb") as log:
        child = subprocess.Popen(
            [*command, "--allow-no-auth", "start"], cwd=folder, stdout=log, stderr=log
        )
        try:
            asyncio.run(_make_namespace(f"{HOST}:{port}", child, folder / "server.log"))
            yield f"{HOST}:{port}"
        finally:
            child.terminate()
            try:
                child.wait(timeout=30)
            finally:
                child.kill()


async def _make_namespace(address: str, child: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server answers, make the namespace, and wait until all services know it."""
    deadline = time.monotonic() + START_SECS
    made = False
    while not await answers(address):
        if child.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text(errors="replace")[-4000:])
        if not made:
            made = await _register(address)
        await asyncio.sleep(0.2)


async def _register(address: str) -> bool:
    request = RegisterNamespaceRequest(namespace=NAMESPACE)
    hours = int(COMPOSE["services"]["temporal"]["environment"]["DEFAULT_NAMESPACE_RETENTION"][:-1])
    assert timedelta(hours=hours) == RETENTION
    request.workflow_execution_retention_period.FromTimedelta(RETENTION)
    try:
        client = await Client.connect(address)
        await client.workflow_service.register_namespace(request)
    except (RuntimeError, RPCError):  # no answer yet
        return False
    return True


def _port() -> int:
    """A free port below 32768: the server keeps its ports in a smallint column of PostgreSQL."""
    while True:
        port = random.randrange(20_000, 32_768)  # noqa: S311 - a port is no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def _configuration(port: int, postgresql_port: int, dynamic: Path) -> dict[str, Any]:
    shards = int(COMPOSE["services"]["temporal"]["environment"]["NUM_HISTORY_SHARDS"])
    return {
        "log": {"stdout": True, "level": "warn"},
        "persistence": {
            "defaultStore": "default",
            "visibilityStore": "visibility",
            "numHistoryShards": shards,
            "datastores": {
                "default": _store("temporal", postgresql_port),
                "visibility": _store("temporal_visibility", postgresql_port),
            },
        },
        "global": {"membership": {"maxJoinDuration": "30s", "broadcastAddress": HOST}},
        "services": {
            "frontend": _service(port),
            **{name: _service(_port()) for name in ("history", "matching", "worker")},
        },
        "clusterMetadata": {
            "enableGlobalNamespace": False,
            "failoverVersionIncrement": 10,
            "masterClusterName": "active",
            "currentClusterName": "active",
            "clusterInformation": {
                "active": {
                    "enabled": True,
                    "initialFailoverVersion": 1,
                    "rpcName": "frontend",
                    "rpcAddress": f"{HOST}:{port}",
                }
            },
        },
        "dcRedirectionPolicy": {"policy": "noop"},
        "publicClient": {"hostPort": f"{HOST}:{port}"},
        "dynamicConfigClient": {"filepath": str(dynamic), "pollInterval": "60s"},
    }


def _store(database: str, port: int) -> dict[str, Any]:
    return {
        "sql": {
            "pluginName": "postgres12",
            "databaseName": database,
            "connectAddr": f"{HOST}:{port}",
            "connectProtocol": "tcp",
            "user": USER,
            "password": "",
            "maxConns": 20,
            "maxIdleConns": 20,
            "maxConnLifetime": "1h",
        }
    }


def _service(port: int) -> dict[str, Any]:
    return {
        "rpc": {"grpcPort": port, "membershipPort": _port(), "bindOnLocalHost": True},
    }
