"""Commands without any server: the one of this machine is started, joined and ended."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import flows
from tests.cli.command import Child, Command, line_with, the_rest_of

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


@pytest.fixture
def alone(tmp_path: Path, temporal_binary: Path) -> Command:
    """Commands that find no configuration, and keep their runs in a folder of their own."""
    return Command(tmp_path, {"TEMPORAL_CLI": str(temporal_binary)})


@contextmanager
def dev(command: Command) -> Generator[Child]:
    """``xworkflow dev``, ready."""
    child = command.start("dev")
    try:
        line_with(child.stderr, "worker ready")
        yield child
    finally:
        child.kill()
        child.communicate()


def test_a_run_needs_no_server_and_is_there_for_the_next_command(
    alone: Command, run_id: str
) -> None:
    path = flows.write(alone.folder, "greet.toml", flows.GREET)
    ended = alone("run", path, "-q", "--json", "-i", "name=Ada", "--id", run_id)
    assert (ended.code, ended.err) == (0, "")
    assert ended.object["outputs"] == {"greeting": "Ada"}
    assert ended.object["ui_url"].startswith("http://127.0.0.1:")
    assert f"/workflows/{run_id}/{ended.object['run_id']}/" in ended.object["ui_url"]
    assert not (alone.folder / "data" / "server.json").exists()
    shown = alone("runs", "show", run_id)
    assert (shown.code, shown.err) == (0, "")
    assert "completed" in shown.out


def test_dev_is_joined_by_other_commands_and_ends_with_ctrl_c(alone: Command) -> None:
    path = flows.write(alone.folder, "greet.toml", flows.GREET)
    with dev(alone) as child:
        record = json.loads((alone.folder / "data" / "server.json").read_text())
        ended = alone("run", path, "-i", "name=Ada", "--address", record["address"])
        assert (ended.code, ended.out) == (0, "Ada\n")
        child.send_signal(signal.SIGINT)
        _, err = the_rest_of(child)
    assert (child.returncode, err) == (0, "")
    assert not (alone.folder / "data" / "server.json").exists()


def test_dev_says_when_its_server_has_ended(alone: Command) -> None:
    with dev(alone) as child:
        record = json.loads((alone.folder / "data" / "server.json").read_text())
        os.kill(record["server_pid"], signal.SIGKILL)
        _, err = the_rest_of(child)
    assert child.returncode == 3
    assert err.startswith(f"error: the server at {record['address']} has gone away")
    assert err.count("\n") == 1


def test_a_server_that_cannot_be_started_ends_with_3(command: Command) -> None:
    path = flows.write(command.folder, "greet.toml", flows.GREET)
    command = Command(command.folder, {"XWORKFLOW_DATA": "/proc/none"})
    ended = command("run", path, "-i", "name=Ada")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: the data directory cannot be made")
    assert ended.err.count("\n") == 1
