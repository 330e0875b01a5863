"""Commands as users give them: alone, or at the session's server with a worker beside it."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.command import Command, line_with


@pytest.fixture
def command(tmp_path: Path) -> Command:
    """Commands that are told of no server."""
    return Command(tmp_path)


@pytest.fixture
def at_server(tmp_path: Path, worker: str) -> Command:
    """Commands whose environment names the session's server, where a worker polls."""
    return Command(tmp_path, {"TEMPORAL_ADDRESS": worker})


@pytest.fixture(scope="session")
def worker(temporal_server: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the session's server, with ``xworkflow worker`` for the default group."""
    command = Command(tmp_path_factory.mktemp("worker"))
    child = command.start("worker", "--address", temporal_server)
    try:
        line_with(child.stdout, "worker ready")
        yield temporal_server
    finally:
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)


@pytest.fixture
def run_id() -> str:
    """An id that no other run has."""
    return f"run-{uuid.uuid4()}"
