"""``xworkflow runs fork``: as a user gives it, against a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli import flows
from tests.cli.command import Command
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal

TWO_CALLS = """
version: 0.1.0
nodes:
  - id: start
    data: { type: start, title: Begin, variables: [{ variable: name, type: string }] }
  - id: ask
    data: { type: http-request, title: Ask, method: GET, url: "URL/ask" }
  - id: tell
    data:
      type: http-request
      title: Tell
      method: GET
      url: "URL/LAST"
      fail_on_error_status: true
  - id: end
    data:
      type: end
      title: Finish
      outputs:
        - { variable: name, value_selector: [start, name] }
        - { variable: asked, value_selector: [ask, body] }
        - { variable: told, value_selector: [tell, body] }
edges:
  - { source: start, target: ask }
  - { source: ask, target: tell }
  - { source: tell, target: end }
"""


@pytest.fixture
def web() -> Iterator[MockServer]:
    answers = tuple(MockResponse("GET", f"/{p}", response_body=p) for p in ("ask", "tell", "other"))
    broken = MockResponse("GET", "/broken", response_status=500)
    with MockServer((*answers, broken)) as server:
        yield server


def calls(web: MockServer) -> list[str]:
    return [request.path for request in web.requests]


def drawn(command: Command, web: MockServer, name: str, last: str = "tell") -> Path:
    text = TWO_CALLS.replace("URL", web.url).replace("LAST", last)
    return flows.write(command.folder, name, text)


@pytest.fixture
def failed(at_server: Command, web: MockServer, run_id: str) -> str:
    """The id of a run that has failed at its second call."""
    path = drawn(at_server, web, "two.yml", "broken")
    ended = at_server("run", path, "-q", "-i", "name=Ada", "--id", run_id)
    assert ended.code == 1
    return run_id


def test_a_failed_run_goes_on_with_the_mended_file(
    at_server: Command, web: MockServer, failed: str
) -> None:
    mended = drawn(at_server, web, "mended.yml")
    ended = at_server("runs", "fork", failed, "--file", mended, "--json")
    assert ended.code == 0, ended.err
    assert ended.object["status"] == "completed"
    assert ended.object["outputs"] == {"name": "Ada", "asked": "ask", "told": "tell"}
    assert ended.object["forked_from"] == failed
    assert ended.object["from_node"] is None
    assert ended.object["reused"] == ["start", "ask"]
    assert calls(web) == ["/ask", "/broken", "/tell"]
    assert "reuses 2 nodes, starts with 'Tell'" in ended.err
    assert "▶ Tell" in ended.err
    shown = at_server("runs", "show", ended.object["workflow_id"], "--json")
    assert [(node["node_id"], node["state"]) for node in shown.object["nodes"]] == [
        ("start", "reused"),
        ("ask", "reused"),
        ("tell", "succeeded"),
        ("end", "succeeded"),
    ]


def test_what_is_set_is_text_where_it_replaces_text_and_else_json(
    at_server: Command, web: MockServer, failed: str
) -> None:
    mended = drawn(at_server, web, "mended.yml")
    sets = ("--set", "start.name=5", "--set", "ask.body=[1]", "--set", "ask.status_code=7")
    ended = at_server("runs", "fork", failed, "--file", mended, "-q", "--json", *sets)
    assert ended.code == 0, ended.err
    assert ended.object["outputs"] == {"name": "5", "asked": "[1]", "told": "tell"}
    shown = at_server("runs", "events", ended.object["workflow_id"])
    assert json.loads(shown.out.splitlines()[1])["type"] == "checkpoint_resumed"


def test_all_reasons_against_a_fork_are_given_at_once_and_nothing_is_started(
    at_server: Command, web: MockServer, failed: str
) -> None:
    ended = at_server("runs", "fork", failed, "--from", "tel", "--set", "nobody.x=1")
    assert (ended.code, ended.out) == (2, "")
    assert "F001 the fork, node 'tel': there is no node 'tel'; did you mean 'tell'?" in ended.err
    assert "F006 the fork: 'nobody.x' cannot be set: there is no node 'nobody'" in ended.err
    ended = at_server("runs", "fork", failed, "--from", "tel", "--json")
    assert ended.code == 2
    assert (ended.object["status"], ended.object["workflow_id"]) == ("refused", None)
    assert [found["code"] for found in ended.object["diagnostics"]] == ["F001"]
    assert calls(web) == ["/ask", "/broken"]


def test_a_changed_node_that_has_finished_is_refused_unless_it_is_forced(
    at_server: Command, web: MockServer, failed: str
) -> None:
    text = TWO_CALLS.replace("URL/ask", f"{web.url}/other").replace("URL", web.url)
    changed = flows.write(at_server.folder, "changed.yml", text.replace("LAST", "tell"))
    ended = at_server("runs", "fork", failed, "--file", changed)
    assert ended.code == 2
    assert "F013 the fork, node 'ask'" in ended.err
    ended = at_server("runs", "fork", failed, "--file", changed, "--force", "--json")
    assert ended.code == 0
    assert ended.object["outputs"]["asked"] == "ask"
    assert "F013" in ended.err
    ended = at_server("runs", "fork", failed, "--file", changed, "--from", "ask", "-q", "--json")
    assert ended.object["outputs"]["asked"] == "other"


def test_a_dry_run_says_what_would_be_reused_and_starts_nothing(
    at_server: Command, failed: str
) -> None:
    ended = at_server("runs", "fork", failed, "--from", "ask", "--dry-run", "--id", "dry")
    assert (ended.code, ended.err) == (0, "")
    words = [line.split()[1:] for line in ended.out.splitlines()[1:]]
    assert words == [
        ["Begin", "start", "start", "reused"],
        ["Ask", "ask", "http-request", "starts"],
        ["Tell", "tell", "http-request", "when", "it", "is", "reached"],
        ["Finish", "end", "end", "when", "it", "is", "reached"],
    ]
    as_json = at_server("runs", "fork", failed, "--from", "Ask", "--dry-run", "--json")
    assert as_json.object == {
        "forked_from": failed,
        "from_node": "ask",
        "reused": ["start"],
        "starts": ["ask"],
    }
    assert at_server("runs", "show", "dry").code == 2


def test_a_detached_fork_is_left_alone_and_ends_by_itself(
    at_server: Command, web: MockServer, failed: str
) -> None:
    mended = drawn(at_server, web, "mended.yml")
    new_id = f"{failed}-fork"
    ended = at_server(
        "runs", "fork", failed, "--file", mended, "--detach", "--json", "--id", new_id
    )
    assert ended.code == 0
    assert (ended.object["status"], ended.object["workflow_id"]) == ("detached", new_id)
    followed = at_server("runs", "events", new_id, "--follow")
    assert json.loads(followed.out.splitlines()[-1])["type"] == "graph_run_succeeded"


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--set", "x=1"), "--set 'x=1' is not of the form node.variable=value"),
        (("--set", "start.name"), "--set 'start.name' is not of the form node.variable=value"),
        (("--file", "none.yml"), "none.yml: there is no such file"),
        (("--id", ""), "--id is empty"),
    ],
)
def test_what_cannot_be_read_ends_with_2_and_one_sentence(
    at_server: Command, failed: str, arguments: tuple[str, ...], text: str
) -> None:
    ended = at_server("runs", "fork", failed, *arguments)
    assert (ended.code, ended.out, ended.err) == (2, "", f"error: {text}\n")


def test_an_unknown_run_ends_with_2(at_server: Command, worker: str, run_id: str) -> None:
    ended = at_server("runs", "fork", run_id)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == f"error: there is no run '{run_id}' at {worker}\n"


def test_a_run_of_the_embedded_server_is_forked_by_a_later_command(
    command: Command, web: MockServer
) -> None:
    path = drawn(command, web, "two.yml", "broken")
    assert command("run", path, "-q", "--id", "one").code == 1
    ended = command("runs", "fork", "one", "--file", drawn(command, web, "mended.yml"), "--json")
    assert ended.code == 0, ended.err
    assert calls(web) == ["/ask", "/broken", "/tell"]
