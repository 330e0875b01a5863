"""Ctrl-C at a run that takes long, with real signals, and stops that come from elsewhere."""

from __future__ import annotations

import signal
import socket
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.cli import flows
from tests.cli.command import Child, Command, line_with, the_rest_of
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def endless(tmp_path: Path) -> Iterator[Path]:
    """A workflow that waits for an answer which comes too late for any test."""
    late = MockResponse("GET", "/", response_body="late", delay_secs=300)
    with MockServer((late,)) as server:
        yield flows.write(tmp_path, "endless.toml", flows.asking(f"{server.url}/"))


@contextmanager
def asking(command: Command, *arguments: str | Path) -> Generator[Child]:
    """A run that has come to its endless request."""
    child = command.start("run", *arguments)
    try:
        line_with(child.stderr, "▶ Ask")
        yield child
    finally:
        child.kill()
        child.communicate()


def interrupt(child: Child) -> None:
    child.send_signal(signal.SIGINT)


def test_the_first_ctrl_c_detaches_and_says_how_to_come_back(
    at_server: Command, endless: Path, run_id: str
) -> None:
    with asking(at_server, endless, "--id", run_id, "--json") as child:
        interrupt(child)
        line = line_with(child.stderr, "detached")
        out, err = the_rest_of(child)
    assert f"Come back with: xworkflow runs show {run_id}" in line
    assert "Ctrl-C again within 2 s stops the run." in err
    assert child.returncode == 130
    assert f'"workflow_id": "{run_id}", "status": "detached"' in out
    shown = at_server("runs", "show", run_id, "--json").object
    assert shown["status"] == "running"
    assert [(n["node_id"], n["state"]) for n in shown["nodes"]] == [
        ("start", "succeeded"),
        ("node", "running"),
        ("end", "pending"),
    ]


def test_the_second_ctrl_c_stops_the_run(at_server: Command, endless: Path, run_id: str) -> None:
    with asking(at_server, endless, "--id", run_id) as child:
        interrupt(child)
        line_with(child.stderr, "Ctrl-C again")
        interrupt(child)
        out, err = the_rest_of(child)
    assert (child.returncode, out) == (4, "")
    assert err.splitlines()[0] == "stopping the run"
    assert err.splitlines()[1].startswith("stopped in ")
    shown = at_server("runs", "show", run_id, "--json").object
    assert shown["status"] == "stopped"
    assert [n["state"] for n in shown["nodes"]] == ["succeeded", "stopped", "pending"]


async def test_a_run_that_ends_after_the_first_ctrl_c_ends_the_command_as_ever(
    at_server: Command, temporal_client: Client, endless: Path, run_id: str
) -> None:
    with asking(at_server, endless, "--id", run_id) as child:
        interrupt(child)
        line_with(child.stderr, "Ctrl-C again")
        await temporal_client.get_workflow_handle(run_id).terminate(reason="enough")
        _, err = the_rest_of(child)
    assert child.returncode == 4
    assert err == "stopped: enough\n"


@pytest.mark.parametrize("how", ["cancel", "terminate"])
async def test_a_run_that_is_stopped_from_elsewhere_shows_as_stopped(
    at_server: Command, temporal_client: Client, endless: Path, run_id: str, how: str
) -> None:
    with asking(at_server, endless, "--id", run_id, "--json") as child:
        handle = temporal_client.get_workflow_handle(run_id)
        await (handle.cancel() if how == "cancel" else handle.terminate(reason="enough"))
        out, _ = the_rest_of(child)
    assert child.returncode == 4
    assert '"status": "stopped"' in out
    assert at_server("runs", "show", run_id, "--json").object["status"] == "stopped"
    assert at_server("run", endless, "--id", run_id).code == 4


def test_ctrl_c_before_the_run_began_says_so(command: Command, run_id: str) -> None:
    path = flows.write(command.folder, "greet.toml", flows.GREET)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        arguments = (path, "-i", "name=x", "--address", address, "--id", run_id, "--json")
        child = command.start("run", *arguments)
        connection, _ = silent.accept()
        with connection:
            interrupt(child)
            out, err = the_rest_of(child)
    assert (child.returncode, err) == (130, "interrupted before the run began\n")
    assert f'"workflow_id": "{run_id}", "status": "detached"' in out


def test_ctrl_c_and_sigterm_end_a_worker_with_0(command: Command, temporal_server: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM):
        child = command.start("worker", "--address", temporal_server, "--task-queue", "nobody's")
        line_with(child.stdout, "worker ready")
        child.send_signal(number)
        _, err = the_rest_of(child)
        assert child.returncode == 0
        assert err == f"polling nobody's at {temporal_server}\n"
