"""Log lines name the run and the node that they are about."""

from __future__ import annotations

import asyncio
import json
import logging
import signal
from pathlib import Path

import pytest
from temporalio.client import Client, WorkflowFailureError

from tests.cli import flows
from tests.cli.command import Command, line_with, the_rest_of
from tests.cli.conftest import command, run_id
from xworkflow.telemetry.logs import IdsFilter, JsonFormatter, about, handler_of

__all__ = ["command", "run_id"]


def record(message: str, *arguments: object) -> logging.LogRecord:
    """A record as a handler with our filter gets it."""
    made = logging.LogRecord("xworkflow.x", logging.INFO, "x.py", 1, message, arguments, None)
    assert IdsFilter().filter(made)
    return made


def line(made: logging.LogRecord) -> dict[str, str]:
    text = JsonFormatter().format(made)
    assert "\n" not in text
    return json.loads(text)


def test_a_record_is_one_json_object_with_the_ids() -> None:
    with about("run-1", "node-1"):
        told = line(record("two\nlines of %s", "Ada"))
    assert told.pop("time").endswith("+00:00")
    assert told == {
        "level": "info",
        "logger": "xworkflow.x",
        "message": "two\nlines of Ada",
        "run_id": "run-1",
        "node_id": "node-1",
    }


def test_outside_of_a_run_the_ids_are_empty() -> None:
    with about("run-1", "node-1"):
        pass
    told = line(record("x"))
    assert (told["run_id"], told["node_id"]) == ("", "")


def test_an_exception_is_in_the_same_line() -> None:
    error = ValueError("boom")
    made = record("failed")
    made.exc_info = (ValueError, error, None)
    assert "ValueError: boom" in line(made)["error"]


async def test_runs_that_are_carried_at_once_do_not_mix_their_ids() -> None:
    both_in = asyncio.Barrier(2)

    async def work(name: str) -> str:
        with about(name, "n"):
            await both_in.wait()
            return line(record("x"))["run_id"]

    assert await asyncio.gather(work("a"), work("b")) == ["a", "b"]


def test_text_has_the_ids_too() -> None:
    handler = handler_of("text")
    with about("run-1", "node-1"):
        assert handler.format(record("hello")).endswith("INFO xworkflow.x [run-1 node-1] hello")


@pytest.mark.temporal
def test_a_worker_writes_json_lines_about_each_node(
    command: Command, run_id: str, temporal_server: str, task_queue: str
) -> None:
    file = flows.write(command.folder, "failing.toml", flows.FAILING)
    compiled = command("compile", file, "--id", run_id)
    (command.folder / "run.json").write_text(compiled.out)
    child = command.start(
        "worker", "--address", temporal_server, "--task-queue", task_queue, "--log-format", "json"
    )
    try:
        line_with(child.stdout, "worker ready")
        asyncio.run(_run(temporal_server, task_queue, run_id, command.folder / "run.json"))
    finally:
        child.send_signal(signal.SIGTERM)
        _, err = the_rest_of(child)
    told = [json.loads(each) for each in err.splitlines() if each.startswith("{")]
    (about_node,) = (each for each in told if each["node_id"] == "node")
    assert about_node["run_id"] == run_id
    assert (about_node["level"], about_node["logger"]) == ("info", "xworkflow.node")
    assert about_node["message"].startswith("code failed: ")


async def _run(address: str, queue: str, run_id: str, run_input: Path) -> None:
    client = await Client.connect(address)
    given = json.loads(run_input.read_text())
    with pytest.raises(WorkflowFailureError):
        await client.execute_workflow("GraphWorkflow", given, id=run_id, task_queue=queue)
