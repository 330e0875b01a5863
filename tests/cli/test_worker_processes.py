"""``xworkflow worker --processes``: real processes at a real server."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.cli import flows
from tests.cli.command import Child, Command, line_with, the_rest_of
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.domain.loading import load
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

RUNS = 12


def children(pid: int) -> set[int]:
    """The process ids of a process's own children."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()}


def arguments(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")


@contextmanager
def workers(command: Command, *options: str) -> Generator[Child]:
    """``xworkflow worker`` with options, ready."""
    child = command.start("worker", *options)
    try:
        line_with(child.stdout, "worker ready")
        yield child
    finally:
        child.kill()
        child.communicate()


async def all_but(old: set[int], parent: int) -> set[int]:
    """Wait until the parent has as many children as before, and another than these."""
    async with asyncio.timeout(20):
        while len(now := children(parent)) < len(old) or now == old:
            await asyncio.sleep(0.05)
    return now - old


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_all_processes_end_with_the_command_in_order(
    command: Command, temporal_server: str, task_queue: str, number: signal.Signals
) -> None:
    options = ("--address", temporal_server, "--task-queue", task_queue, "--sandbox")
    with workers(command, *options, "--processes", "2") as parent:
        pids = children(parent.pid)
        assert len(pids) == 2
        for pid in pids:
            assert {f"--task-queue={task_queue}", "--sandbox"} < set(arguments(pid))
        parent.send_signal(number)
        out, err = the_rest_of(parent)
    assert (parent.returncode, out) == (0, "")
    assert err == f"polling {task_queue} at {temporal_server}\n" * 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_a_stop_while_the_processes_start_ends_them_too(
    command: Command, temporal_server: str, task_queue: str
) -> None:
    parent = command.start(
        "worker", "--address", temporal_server, "--task-queue", task_queue, "--processes", "2"
    )
    deadline = time.monotonic() + 30
    while len(pids := children(parent.pid)) < 2:
        assert time.monotonic() < deadline
    parent.send_signal(signal.SIGTERM)
    out, _ = the_rest_of(parent)
    assert (parent.returncode, out) == (0, "")
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_a_killed_process_is_replaced_and_its_runs_go_on(
    command: Command, temporal_server: str, temporal_client: Client, task_queue: str
) -> None:
    answers = MockResponse("GET", "/slow", response_body="done", delay_secs=0.5)
    options = ("--address", temporal_server, "--task-queue", task_queue, "--processes", "2")
    with MockServer((answers,)) as server, workers(command, *options) as parent:
        before = children(parent.pid)
        schema = load(flows.asking(f"{server.url}/slow").encode(), "toml")
        builder = WorkflowRunner.builder(schema).options(heartbeat_timeout_secs=2)
        builder = builder.client(temporal_client, task_queue=task_queue)
        handles = [await builder.run() for _ in range(RUNS)]
        os.kill(min(before), signal.SIGKILL)
        new = await all_but(before, parent.pid)
        assert line_with(parent.stderr, "worker process").startswith(
            "a worker process was killed by signal 9"
        )
        line_with(parent.stderr, "polling")
        os.kill(max(before), signal.SIGKILL)  # what the replacement cannot do nobody does, for now
        handles.append(await builder.run())
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        assert all(isinstance(status, Completed) for status in statuses), statuses
        assert new < children(parent.pid)


def test_what_is_wrong_with_the_server_is_said_once(command: Command) -> None:
    ended = command("worker", "--address", "127.0.0.1:1", "--processes", "3")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err.startswith("error: no Temporal server answers at 127.0.0.1:1")
    assert ended.err.count("\n") == 1


def test_no_process_at_all_is_refused(command: Command) -> None:
    ended = command("worker", "--processes", "0")
    assert (ended.code, ended.out) == (2, "")
    assert "--processes" in ended.err
