"""``xworkflow worker`` and ``run`` with an ``xworkflow.toml``: real processes at a real server."""

from __future__ import annotations

import signal
from collections.abc import Generator
from contextlib import contextmanager

import pytest

from tests.cli import flows
from tests.cli.command import Child, Command, line_with, the_rest_of
from tests.cli.test_worker_processes import children

pytestmark = [pytest.mark.temporal, pytest.mark.slow]


@contextmanager
def workers(command: Command, *options: str) -> Generator[Child]:
    child = command.start("worker", *options)
    try:
        line_with(child.stdout, "worker ready")
        yield child
    finally:
        child.send_signal(signal.SIGTERM)
        the_rest_of(child)


def lines_until(child: Child, text: str, times: int) -> list[str]:
    """What a command writes to stderr until a text has come so often; the lines of several
    processes come in any order."""
    assert child.stderr is not None
    lines: list[str] = []
    while sum(text in line for line in lines) < times:
        lines.append(child.stderr.readline())
        assert lines[-1], lines
    return lines


@pytest.fixture
def here(command: Command, temporal_server: str) -> Command:
    return Command(command.folder, {"TEMPORAL_ADDRESS": temporal_server})


def test_all_groups_of_the_file_are_served(here: Command, task_queue: str) -> None:
    one, two = f"{task_queue}-1", f"{task_queue}-2"
    file = flows.write(here.folder, "greet.toml", flows.GREET)
    flows.write(here.folder, "xworkflow.toml", f"groups = {{ {one} = {{}}, {two} = {{}} }}")
    with workers(here) as child:
        line = line_with(child.stderr, "serving")
        assert line.startswith(f"serving groups {one}, {two} of xworkflow.toml at ")
        for group in (one, two):
            ended = here("run", file, "--input", "name=Ada", "--group-id", group, "-q")
            assert (ended.code, ended.out) == (0, "Ada\n"), ended.err


def test_one_group_may_be_named(here: Command, task_queue: str) -> None:
    text = f"groups = {{ {task_queue} = {{}}, other = {{}} }}"
    flows.write(here.folder, "xworkflow.toml", text)
    with workers(here, "--group-id", task_queue) as child:
        assert line_with(child.stderr, "serving").startswith(f"serving group {task_queue} of ")
    ended = here("worker", "--group-id", "othr")
    assert (ended.code, ended.err) == (
        2,
        "error: xworkflow.toml has no [groups.othr]; did you mean 'other'?\n",
    )


def test_a_hangup_has_the_file_read_again_in_all_processes(here: Command, task_queue: str) -> None:
    """Both processes tell of it; what is wrong changes nothing."""
    file = flows.write(here.folder, "greet.toml", flows.GREET)
    flows.write(here.folder, "xworkflow.toml", f"worker.processes = 2\ngroups.{task_queue} = {{}}")
    with workers(here) as child:
        assert len(children(child.pid)) == 2
        flows.write(here.folder, "xworkflow.toml", f"worker.processes = 2\ngroups.{task_queue} = 1")
        child.send_signal(signal.SIGHUP)
        told = lines_until(child, "xworkflow.toml is not taken: the worker goes on as before", 2)
        problem = f"error: xworkflow.toml:2: groups.{task_queue}: should be a table, not 1\n"
        assert told.count(problem) == 2
        added = f"{task_queue}-n"
        flows.write(
            here.folder,
            "xworkflow.toml",
            f"worker.processes = 3\ngroups = {{ {task_queue}.level = 'strict', {added} = {{}} }}",
        )
        child.send_signal(signal.SIGHUP)
        told = lines_until(child, "[worker] is for the process", 2)
        changes = f"xworkflow.toml read again: group {added} added; group {task_queue} changed\n"
        assert told.count(changes) == 2
        ended = here("run", file, "--input", "name=Ada", "--group-id", added, "-q")
        assert (ended.code, ended.out) == (0, "Ada\n"), ended.err


def test_a_key_that_is_not_there_ends_the_command_with_its_name(here: Command) -> None:
    flows.write(
        here.folder, "xworkflow.toml", 'providers.x = { api_key = { env = "NO_SUCH_KEY" } }'
    )
    ended = here("worker")
    assert (ended.code, ended.err) == (
        2,
        "error: providers.x.api_key: the environment variable NO_SUCH_KEY is not set\n",
    )


def test_a_queue_of_its_own_goes_without_a_file(here: Command, task_queue: str) -> None:
    flows.write(here.folder, "xworkflow.toml", "groups.acme = {}")
    with workers(here, "--task-queue", task_queue) as child:
        assert line_with(child.stderr, "polling").startswith(f"polling {task_queue} at ")
    ended = here("worker", "--task-queue", task_queue, "--config", "xworkflow.toml")
    assert ended.code == 2
    assert "--task-queue does not go with xworkflow.toml" in ended.err


def test_a_run_of_this_machine_uses_the_file_of_its_directory(command: Command) -> None:
    """The embedded server's worker serves its groups; a run has to be of one of them."""
    file = flows.write(command.folder, "greet.toml", flows.GREET)
    flows.write(command.folder, "xworkflow.toml", "groups.acme.level = 'strict'")
    ended = command("run", file, "--input", "name=Ada", "--group-id", "acme", "-q")
    assert (ended.code, ended.out) == (0, "Ada\n"), ended.err
    without = command("run", file, "--input", "name=Ada", "-q")
    assert without.code == 2
    assert "xworkflow.toml has no [groups.default]; name a group with --group-id" in without.err
