"""``xworkflow run``, ``runs waiting`` and ``runs answer`` where a run asks a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import flows
from tests.cli.command import Command, line_with, the_rest_of

pytestmark = pytest.mark.temporal


@pytest.fixture
def approval(tmp_path: Path) -> Path:
    return flows.write(tmp_path, "approval.yml", flows.APPROVAL)


@pytest.fixture
def waiting(at_server: Command, approval: Path, run_id: str) -> str:
    """The id of a run that waits for its approval."""
    assert at_server("run", approval, "-q", "-i", "name=Ada", "--id", run_id).code == 5
    return run_id


def test_a_script_hears_that_the_run_waits_and_how_to_answer(
    at_server: Command, approval: Path, run_id: str, worker: str
) -> None:
    ended = at_server("run", approval, "-i", "name=Ada", "--id", run_id)
    assert (ended.code, ended.out) == (5, "")
    values = "--node ask --set comment=… --decision approve|reject"
    question = ended.err[ended.err.index("? Ask the boss") :].splitlines()
    assert question[:5] == [
        "? Ask the boss (ask) waits",
        "  May Ada have a day off?",
        "  comment text; required",
        "  days number; default 1",
        f"  answer with: xworkflow runs answer {run_id} {values} --address {worker}",
    ]


def test_the_object_of_a_run_that_waits_has_the_questions(
    at_server: Command, approval: Path, run_id: str
) -> None:
    ended = at_server("run", approval, "-q", "-i", "name=Ada", "--id", run_id, "--json")
    assert ended.code == 5
    assert ended.object["status"] == "waiting"
    (question,) = ended.object["waiting"]
    assert (question["node_id"], question["prompt_text"]) == ("ask", "May Ada have a day off?")
    again = at_server("run", approval, "-q", "-i", "name=Ada", "--id", run_id, "--json")
    assert again.object["waiting"] == [question]


def test_a_run_that_is_to_be_watched_on_ends_with_the_answer(
    at_server: Command, approval: Path, run_id: str
) -> None:
    child = at_server.start("run", approval, "-i", "name=Ada", "--id", run_id, "--wait", "--json")
    line_with(child.stderr, "answer with:")
    answer = ("runs", "answer", run_id, "--set", "comment=fine", "--decision", "approve")
    assert at_server(*answer).code == 0
    out, err = the_rest_of(child)
    assert child.returncode == 0
    assert '"outputs": {"comment": "fine", "days": 1}' in out
    assert "? ask: answered" in err


def test_the_questions_of_a_run_are_shown(at_server: Command, waiting: str) -> None:
    ended = at_server("runs", "waiting", waiting)
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("? Ask the boss (ask) waits\n  May Ada have a day off?\n")
    (question,) = at_server("runs", "waiting", waiting, "--json").object
    assert [field["variable"] for field in question["form_schema"]] == ["comment", "days"]
    shown = at_server("runs", "show", waiting)
    assert "\nwaiting\n" in shown.out
    assert "answer with: xworkflow runs answer" in shown.err
    rows = at_server("runs", "show", waiting, "--json").object["nodes"]
    assert [row["state"] for row in rows] == ["succeeded", "waiting", "pending", "pending"]


def test_an_answer_is_typed_by_its_form_and_can_be_watched(
    at_server: Command, waiting: str
) -> None:
    values = ("--set", "comment=12", "--set", "days=2.5")
    ended = at_server("runs", "answer", waiting, *values, "--decision", "approve", "--wait")
    assert ended.code == 0
    assert ended.object == {"comment": "12", "days": 2.5}
    assert ended.err.splitlines()[:2] == ["answered: Ask the boss", "? ask: answered"]
    assert "▶ Begin" not in ended.err
    assert at_server("runs", "waiting", waiting).err == f"run '{waiting}' waits for nobody\n"


@pytest.mark.parametrize(
    ("arguments", "sentences"),
    [
        (
            ("--decision", "maybe"),
            ["required field is missing: comment", "approval mode requires decision"],
        ),
        (("--set", "comment=x", "--set", "days=many"), ["--set days: 'many' is not JSON"]),
        (("--set", "comment"), ["--set 'comment' is not of the form field=value"]),
        (("--set", 'days="2"', "--set", "comment=x", "--decision", "approve"), ["invalid type"]),
        (("--node", "end"), ["waits for nobody at 'end'; it does at ask"]),
        (("--token", "stale"), ["waits for nobody with this token; it does at ask"]),
    ],
    ids=" ".join,
)
def test_a_refused_answer_says_why_and_the_run_waits_on(
    at_server: Command, waiting: str, arguments: tuple[str, ...], sentences: list[str]
) -> None:
    ended = at_server("runs", "answer", waiting, *arguments)
    assert (ended.code, ended.out) == (2, "")
    lines = ended.err.splitlines()
    assert len(lines) == len(sentences)
    for line, sentence in zip(lines, sentences, strict=True):
        assert line.startswith("error: ")
        assert sentence in line
    assert at_server("runs", "show", waiting, "--json").object["status"] == "waiting"


def test_an_answer_to_a_run_that_is_over_is_refused(at_server: Command, waiting: str) -> None:
    answer = ("runs", "answer", waiting, "--set", "comment=no", "--decision", "reject")
    assert at_server(*answer, "--wait").code == 0
    ended = at_server(*answer)
    assert (ended.code, ended.err) == (2, f"error: run '{waiting}' is over\n")


def test_the_server_of_this_machine_is_brought_back_for_an_answer(
    command: Command, temporal_binary: Path, approval: Path
) -> None:
    """Between the two commands nothing of it runs: the answer is the first thing it hears."""
    here = Command(command.folder, {"TEMPORAL_CLI": str(temporal_binary)})
    assert here("run", approval, "-q", "-i", "name=Ada", "--id", "mine").code == 5
    ended = here("runs", "answer", "mine", "--set", "comment=ok", "--decision", "approve")
    assert ended.code == 0
    assert ended.object == {"comment": "ok", "days": 1}
