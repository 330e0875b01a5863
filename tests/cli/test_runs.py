"""``xworkflow runs``: what a history tells, without a worker."""

from __future__ import annotations

import json

import pytest
from temporalio.client import Client

from tests.cli import flows
from tests.cli.command import Command, line_with, the_rest_of
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def finished(at_server: Command, run_id: str) -> str:
    """The id of a run that is over."""
    path = flows.write(at_server.folder, "greet.toml", flows.GREET)
    assert at_server("run", path, "-q", "-i", "name=Ada", "--id", run_id).code == 0
    return run_id


def test_a_run_is_shown_with_its_nodes_and_its_result(at_server: Command, finished: str) -> None:
    ended = at_server("runs", "show", finished)
    assert (ended.code, ended.err) == (0, "")
    header, begin, finish, status, *outputs = ended.out.splitlines()
    assert header.split() == ["node", "type", "seconds", "attempts", "error"]
    assert begin.split()[:3] == ["✓", "Begin", "start"]
    assert finish.split()[:3] == ["✓", "Finish", "end"]
    assert status.startswith("completed in 0.")
    assert json.loads("".join(outputs)) == {"greeting": "Ada"}


def test_a_failed_run_is_shown_with_its_errors_and_ends_with_0(
    at_server: Command, run_id: str
) -> None:
    path = flows.write(at_server.folder, "failing.toml", flows.FAILING)
    at_server("run", path, "--id", run_id)
    ended = at_server("runs", "show", run_id, "--json")
    assert ended.code == 0
    assert ended.object["status"] == "failed"
    assert "boom" in ended.object["error"]
    assert [(n["state"], n["attempts"]) for n in ended.object["nodes"]] == [
        ("succeeded", 1),
        ("failed", 1),
        ("pending", 0),
    ]


def test_the_event_log_is_a_line_of_json_for_each_event(at_server: Command, finished: str) -> None:
    ended = at_server("runs", "events", finished)
    assert (ended.code, ended.err) == (0, "")
    events = [json.loads(line) for line in ended.out.splitlines()]
    assert [event["seq"] for event in events] == list(range(6))
    assert [event["type"] for event in events] == [
        "graph_run_started",
        "node_run_started",
        "node_run_succeeded",
        "node_run_started",
        "node_run_succeeded",
        "graph_run_succeeded",
    ]


def test_events_are_followed_to_the_end(at_server: Command, run_id: str) -> None:
    late = MockResponse("GET", "/", response_body="late", delay_secs=300)
    with MockServer((late,)) as server:
        path = flows.write(at_server.folder, "asking.toml", flows.asking(f"{server.url}/"))
        run = at_server.start("run", path, "--id", run_id)
        line_with(run.stderr, "▶ Ask")
        follower = at_server.start("runs", "events", run_id, "--follow")
        line_with(follower.stdout, '"node_id": "node"')
    # the server is closed, so the request is answered and the run goes on
    out, _ = the_rest_of(follower)
    the_rest_of(run)
    assert follower.returncode == 0
    assert json.loads(out.splitlines()[-1])["type"] == "graph_run_succeeded"


def test_a_reader_that_has_seen_enough_is_no_failure(at_server: Command, finished: str) -> None:
    child = at_server.start("runs", "events", finished, "--follow")
    assert child.stdout is not None
    child.stdout.close()
    child.stdout = None
    _, err = child.communicate(timeout=60)
    assert (child.returncode, err) == (0, "")


@pytest.mark.parametrize("verb", ["show", "events"])
def test_an_unknown_run_ends_with_2_and_one_sentence(
    at_server: Command, worker: str, run_id: str, verb: str
) -> None:
    ended = at_server("runs", verb, run_id)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: there is no run '{run_id}' at {worker}\n"


async def test_a_workflow_of_somebody_else_is_no_run(
    at_server: Command, temporal_client: Client, run_id: str
) -> None:
    await temporal_client.start_workflow("Invoice", id=run_id, task_queue="nobody's")
    path = flows.write(at_server.folder, "greet.toml", flows.GREET)
    for arguments in (("runs", "show", run_id), ("run", path, "-i", "name=x", "--id", run_id)):
        ended = at_server(*arguments)
        assert ended.code == 2
        assert ended.err == f"error: '{run_id}' is no run, but a workflow of type 'Invoice'\n"
