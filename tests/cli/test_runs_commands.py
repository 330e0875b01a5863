"""What runs are told from the command line, lists of them, and the tree of one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from temporalio.client import Client

from tests.cli import flows
from tests.cli.command import Child, Command, line_with, the_rest_of
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def shop() -> Iterator[ExitStack]:
    """Closes the server of the slow request, which answers it."""
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def running(at_server: Command, shop: ExitStack, run_id: str) -> Iterator[Child]:
    """A run that has come to its slow request, being watched."""
    late = MockResponse("GET", "/", response_body="late", delay_secs=300)
    server = shop.enter_context(MockServer((late,)))
    path = flows.write(at_server.folder, "asking.toml", flows.asking(f"{server.url}/"))
    child = at_server.start("run", path, "--id", run_id)
    line_with(child.stderr, "▶ Ask")
    yield child
    child.kill()
    child.communicate()


def test_a_run_is_stopped(at_server: Command, running: Child, run_id: str) -> None:
    ended = at_server("runs", "stop", run_id)
    assert (ended.code, ended.err) == (0, f"stopped: {run_id}\n")
    assert running.wait(timeout=30) == 4


def test_a_run_is_aborted_with_a_reason(at_server: Command, running: Child, run_id: str) -> None:
    ended = at_server("runs", "abort", run_id, "--reason", "the customer has left")
    assert (ended.code, ended.err) == (0, f"stopped: {run_id}\n")
    the_rest_of(running)
    shown = at_server("runs", "show", run_id, "--json").object
    assert shown["error"] == "Workflow aborted: the customer has left"


def test_a_paused_run_starts_nothing_new_until_it_is_resumed(
    at_server: Command, running: Child, shop: ExitStack, run_id: str, worker: str
) -> None:
    ended = at_server("runs", "pause", run_id)
    way = f"paused; go on with: xworkflow runs resume {run_id} --address {worker}\n"
    assert (ended.code, ended.err) == (0, way)
    shop.close()  # the request is answered
    _, err = the_rest_of(running)
    assert running.returncode == 5
    assert "‖ paused" in err
    assert "Finish" not in err
    assert at_server("runs", "show", run_id, "--json").object["status"] == "paused"
    resumed = at_server("runs", "resume", run_id, "--wait")
    assert resumed.code == 0
    assert resumed.err.splitlines()[0] == "▶ resumed"
    assert "▶ Finish" in resumed.err


async def test_a_run_is_stopped_safely(
    at_server: Command,
    temporal_client: Client,
    running: Child,
    shop: ExitStack,
    run_id: str,
) -> None:
    stopping = at_server.start("runs", "safe-stop", run_id)
    handle = temporal_client.get_workflow_handle(run_id)
    async for event in handle.fetch_history_events(wait_new_event=True):
        if event.HasField("workflow_execution_signaled_event_attributes"):
            break
    shop.close()
    _, err = the_rest_of(stopping)
    assert (stopping.returncode, err) == (0, f"safe_stopped: {run_id}\n")
    assert running.wait(timeout=30) == 4


def test_variables_of_a_run_are_written(at_server: Command, tmp_path: Path, run_id: str) -> None:
    path = flows.write(tmp_path, "approval.yml", flows.APPROVAL)
    at_server("run", path, "-q", "-i", "name=Ada", "--id", run_id)
    ended = at_server("runs", "set", run_id, "start.name=Bob", "env.limits=[1, 2]")
    assert (ended.code, ended.err) == (0, "written: start.name, env.limits\n")
    events = at_server("runs", "events", run_id).out.splitlines()
    assert json.loads(events[-1])["data"] == {"data": {"updated": ["start.name", "env.limits"]}}


@pytest.mark.parametrize(
    ("verb", "more"),
    [
        ("stop", ()), ("abort", ()), ("safe-stop", ()), ("pause", ()), ("resume", ()),
        ("set", ("a.b=1",)), ("answer", ()),
    ],
)  # fmt: skip
def test_what_is_not_there_or_over_can_be_told_nothing(
    at_server: Command, worker: str, run_id: str, verb: str, more: tuple[str, ...]
) -> None:
    ended = at_server("runs", verb, run_id, *more)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: there is no run '{run_id}' at {worker}\n"
    path = flows.write(at_server.folder, "greet.toml", flows.GREET)
    at_server("run", path, "-q", "-i", "name=Ada", "--id", run_id)
    ended = at_server("runs", verb, run_id, *more)
    assert (ended.code, ended.err) == (2, f"error: run '{run_id}' is over\n")


def test_a_variable_that_is_misnamed_is_bad_input(command: Command) -> None:
    for pair in ("name=1", "start.name", "=1"):
        ended = command("runs", "set", "any", pair)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"error: '{pair}' is not of the form node.variable=value\n"


# ---- the list


def test_runs_are_listed_and_narrowed(at_server: Command, run_id: str) -> None:
    name = f"app-{run_id}"
    greet = flows.write(at_server.folder, f"{name}.toml", flows.GREET)
    at_server("run", greet, "-q", "-i", "name=Ada", "--id", run_id)
    failing = flows.write(at_server.folder, f"{name}/{name}.toml", flows.FAILING)
    at_server("run", failing, "-q", "--id", f"{run_id}-b")

    def listed(*arguments: str) -> list[dict[str, object]]:
        ended = at_server("runs", "list", "--json", *arguments)
        assert (ended.code, ended.err) == (0, "")
        return [json.loads(line) for line in ended.out.splitlines()]

    both = listed("--app", name)
    assert [(run["workflow_id"], run["status"], run["app"]) for run in both] == [
        (f"{run_id}-b", "failed", name),
        (run_id, "completed", name),
    ]
    assert listed("--app", name, "--status", "failed") == both[:1]
    assert listed("--app", name, "--limit", "1") == both[:1]
    assert listed("--query", f"WorkflowId = '{run_id}'") == both[1:]
    assert listed("--app", f"{name}' OR 'a'='a") == []


def test_a_list_for_people_is_a_table(at_server: Command, run_id: str) -> None:
    path = flows.write(at_server.folder, "greet.toml", flows.GREET)
    at_server("run", path, "-q", "-i", "name=Ada", "--id", run_id)
    header, row = at_server("runs", "list", "--query", f"WorkflowId = '{run_id}'").out.splitlines()
    assert header.split() == ["run", "app", "status", "started", "seconds"]
    assert row.split()[:3] == [run_id, "greet", "completed"]


def test_a_filter_that_is_none_is_refused_in_one_sentence(at_server: Command, worker: str) -> None:
    ended = at_server("runs", "list", "--status", "sleeping")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        "error: --status 'sleeping' is none of running, completed, failed, stopped\n"
    )
    ended = at_server("runs", "list", "--query", "no filter (")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: the server at {worker} refuses: ")
    assert ended.err.count("\n") == 1


# ---- the tree


def test_items_stand_below_their_node_and_those_that_failed_are_shown(
    at_server: Command, run_id: str
) -> None:
    path = flows.write(at_server.folder, "each.yml", flows.EACH)
    ended = at_server("run", path, "-i", "list=[2,4,6,8,-10,12]", "--id", run_id)
    assert ended.code == 0
    assert "  #2 ✓ Halve" in ended.err
    assert "#3 ✓" not in ended.err
    assert "#4 ✗ Halve" in ended.err
    lines = [line.split() for line in at_server("runs", "show", run_id).out.splitlines()]
    marks = [line[:2] for line in lines if len(line) > 1 and line[1].startswith("#")]
    assert marks == [["✓", "#0"], ["✓", "#1"], ["✗", "#4"]]
    assert ["…", "3", "more:", "3", "succeeded"] in lines
    every = at_server("runs", "show", run_id, "--all").out
    assert [f"#{index}" in every for index in range(7)] == [True] * 6 + [False]
    nodes = at_server("runs", "show", run_id, "--json").object["nodes"]
    states = [item["state"] for item in nodes[1]["items"]]
    assert states == ["succeeded"] * 4 + ["failed", "succeeded"]
    assert [row["node_id"] for row in nodes[1]["items"][4]["nodes"]] == ["in", "halve"]


def test_events_go_on_after_a_cursor(at_server: Command, run_id: str) -> None:
    path = flows.write(at_server.folder, "each.yml", flows.EACH)
    at_server("run", path, "-q", "-i", "list=[2,4]", "--id", run_id)
    lines = at_server("runs", "events", run_id).out.splitlines()
    for place in (0, len(lines) // 2, len(lines) - 2):
        cursor = json.loads(lines[place])["cursor"]
        rest = at_server("runs", "events", run_id, "--after", cursor).out.splitlines()
        assert rest == lines[place + 1 :]
    ended = at_server("runs", "events", run_id, "--after", "no cursor")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "error: 'no cursor' is no cursor of a run's events\n"
