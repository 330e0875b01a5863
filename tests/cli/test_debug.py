"""``xworkflow debug``: from a pipe, at a terminal, and back again."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli import flows
from tests.cli.command import PROGRAM, Command, Ended
from xworkflow.cli.debug_commands import NodeNames, Typed, assignment, parse
from xworkflow.errors import InputError


@pytest.fixture
def greet(tmp_path: Path) -> Path:
    return flows.write(tmp_path, "greet.toml", flows.GREET)


def debugged(command: Command, *arguments: str | Path, say: str) -> Ended:
    """A sitting whose commands come from a pipe, one after another."""
    return command("debug", *arguments, given=say.replace(" / ", "\n") + "\n" if say else "")


# ---- from a pipe


@pytest.mark.temporal
def test_a_script_steps_through_a_run(at_server: Command, greet: Path) -> None:
    ended = debugged(at_server, greet, "-i", "name=Ada", say="s / s / s / s")
    assert (ended.code, ended.out) == (0, "Ada\n")
    stops = [line for line in ended.err.splitlines() if line.startswith("‖")]
    assert stops == [
        "‖ before Begin (start, start, initial)",
        "‖ after Begin (start, start)",
        "‖ before Finish (end, end)",
        "‖ after Finish (end, end)",
    ]
    assert '    start.name = "Ada"\n' in ended.err


@pytest.mark.temporal
def test_breakpoints_go_by_titles_and_continue_runs_to_them(
    at_server: Command, greet: Path
) -> None:
    ended = debugged(at_server, greet, "-i", "name=Ada", "--break", "Finish", say="b / d / c")
    assert ended.code == 0
    assert ended.out.splitlines() == ["breakpoints: end", "breakpoints: none", "Ada"]
    assert "‖ before Finish (end, end, breakpoint)" in ended.err
    assert ended.err.index("✓ Begin") < ended.err.index("‖ before Finish")


@pytest.mark.temporal
def test_the_paused_node_sees_what_is_set_and_the_run_stays(
    at_server: Command, greet: Path
) -> None:
    say = 'p start.name / set start.name="Bob" / p Begin.name / w / c'
    ended = debugged(at_server, greet, "-i", "name=Ada", "-b", "end", say=say)
    assert ended.code == 0
    assert ended.out.splitlines() == ['"Ada"', "written: start.name", '"Bob"', "Bob"]
    assert ended.err.count("‖ before Finish") == 2
    assert '    start.name = "Bob"\n' in ended.err


@pytest.mark.temporal
def test_the_nodes_are_listed_with_breakpoints_and_the_place(
    at_server: Command, greet: Path
) -> None:
    ended = debugged(at_server, greet, "-i", "name=Ada", say="b fin / l / p / c / c")
    lines = ended.out.splitlines()
    assert lines[2].split() == ["·", "Begin", "‖", "here", "start"]
    assert lines[3].split() == ["·", "Finish", "●", "breakpoint", "end"]
    assert ["start.name", '"Ada"'] in [line.split() for line in lines]


@pytest.mark.temporal
def test_what_is_not_understood_costs_nothing(at_server: Command, greet: Path) -> None:
    say = "fly / b nix / p nix / p start.nix / set x / # a comment /  / c"
    ended = debugged(at_server, greet, "-i", "name=Ada", say=say)
    assert (ended.code, ended.out) == (0, "Ada\n")
    assert [line for line in ended.err.splitlines() if line.startswith("✗")] == [
        "✗ 'fly' is no command; h shows them",
        "✗ there is no node 'nix'",
        "✗ 'nix' has no variables",
        "✗ 'start' has no variable 'nix'; it has name",
        "✗ write: set node.var=value",
    ]


@pytest.mark.temporal
def test_an_aborted_run_ends_with_4(at_server: Command, greet: Path) -> None:
    ended = debugged(at_server, greet, "-i", "name=Ada", say="q wrong file")
    assert (ended.code, ended.out) == (4, "")
    assert "Workflow aborted: wrong file" in ended.err


@pytest.mark.temporal
def test_when_the_commands_end_the_run_is_left_and_found_again(
    at_server: Command, greet: Path, run_id: str, worker: str
) -> None:
    ended = debugged(at_server, greet, "-i", "name=Ada", "--id", run_id, say="s")
    assert (ended.code, ended.out) == (5, "")
    way = f"Come back with: xworkflow debug --attach {run_id} --address {worker}"
    assert way in ended.err
    assert at_server("runs", "show", run_id, "--json").object["status"] == "paused"
    again = debugged(at_server, "--attach", run_id, "--break", "Finish", say="w / c / c")
    assert (again.code, again.out) == (0, "Ada\n")
    assert [line for line in again.err.splitlines() if line.startswith(("‖", "▶"))] == [
        "‖ after Begin (start, start)",
        "‖ after Begin (start, start)",
        "‖ before Finish (end, end, breakpoint)",
        "▶ Finish (end)",
    ]


@pytest.mark.temporal
def test_for_programs_everything_is_a_line_of_json(at_server: Command, greet: Path) -> None:
    say = "p start.name / l / b end / nix / c / c"
    ended = debugged(at_server, greet, "-i", "name=Ada", "--json", say=say)
    assert (ended.code, ended.err) == (0, "")
    lines: list[dict[str, Any]] = [json.loads(line) for line in ended.out.splitlines()]
    replies = [line for line in lines if "reply" in line]
    assert [line["reply"] for line in replies] == [
        "where", "print", "list", "breakpoints", "error", "where",
    ]  # fmt: skip
    assert replies[0]["value"]["node_id"] == "start"
    assert (replies[1]["name"], replies[1]["value"]) == ("start.name", "Ada")
    assert replies[3]["value"] == ["end"]
    events = [line["type"] for line in lines if "type" in line]
    assert events[:2] == ["graph_run_started", "debug_paused"]
    assert events[-1] == "graph_run_succeeded"
    assert lines[-1]["outputs"] == {"greeting": "Ada"}


@pytest.mark.temporal
def test_a_run_without_a_debugger_gets_one(at_server: Command, tmp_path: Path, run_id: str) -> None:
    approval = flows.write(tmp_path, "approval.yml", flows.APPROVAL)
    assert at_server("run", approval, "-q", "-i", "name=Ada", "--id", run_id).code == 5
    left = debugged(at_server, "--attach", run_id, "--break", "Finish", say="")
    assert left.code == 5
    assert "? Ask the boss (ask) waits" in left.err
    answer = ("runs", "answer", run_id, "--set", "comment=x", "--decision", "approve", "--wait")
    assert at_server(*answer).code == 5
    ended = debugged(at_server, "--attach", run_id, say="p ask.comment / c")
    assert ended.code == 0
    assert ended.out.startswith('"x"\n')


@pytest.mark.temporal
def test_what_cannot_be_debugged_is_refused(
    at_server: Command, greet: Path, run_id: str, worker: str
) -> None:
    at_server("run", greet, "-q", "-i", "name=Ada", "--id", run_id)
    for arguments, sentence in (
        ((), "give a workflow FILE, or --attach ID"),
        ((greet, "--attach", run_id), "give a workflow FILE, or --attach ID"),
        (("--attach", run_id), f"run '{run_id}' is over"),
        (("--attach", "nobody"), f"there is no run 'nobody' at {worker}"),
        ((greet, "-i", "name=Ada", "-b", "nix"), "there is no node 'nix'"),
        ((greet,), f"{greet}: input 'name' is required"),
        (
            (greet, "-i", "name=Ada", "--id", run_id),
            f"run '{run_id}' is there already: debug it with --attach",
        ),
    ):
        ended = debugged(at_server, *arguments, say="")
        assert (ended.code, ended.out) == (2, "")
        assert ended.err == f"error: {sentence}\n"


# ---- at a terminal


class Terminal:
    """A command at a terminal of its own, for somebody who types."""

    def __init__(self, command: Command, *arguments: str | Path) -> None:
        self._ours, theirs = pty.openpty()
        self.child = subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=command.folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**command.environment(), "TERM": "xterm", "COLUMNS": "120"},
            start_new_session=True,
        )
        os.close(theirs)
        self._seen = ""

    def see(self, text: str) -> str:
        """Wait until a text is on the screen; returns what was shown up to it."""
        while text not in self._seen:
            more = self._read()
            assert more, f"{text!r} never came: {self._seen!r}"
            self._seen += more
        shown, _, self._seen = self._seen.partition(text)
        return shown

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def end(self) -> str:
        """Wait for the command's end; returns the rest that it has shown."""
        while more := self._read():
            self._seen += more
        self.child.wait(timeout=30)
        return self._seen

    def close(self) -> None:
        self.child.kill()
        self.child.wait()
        os.close(self._ours)

    def _read(self) -> str:
        try:
            return os.read(self._ours, 4096).decode(errors="replace")
        except OSError:  # Linux's way to say that the other side is closed
            return ""


@contextmanager
def terminal(command: Command, *arguments: str | Path) -> Generator[Terminal]:
    shown = Terminal(command, *arguments)
    try:
        yield shown
    finally:
        shown.close()


@pytest.mark.temporal
def test_somebody_at_a_terminal_steps_with_colours_and_repeats_with_enter(
    at_server: Command, greet: Path
) -> None:
    with terminal(at_server, "debug", greet, "-i", "name=Ada") as screen:
        assert "\x1b[" in screen.see("(debug) ")
        screen.type("s\n")
        screen.see("after")
        screen.see("(debug) ")
        screen.type("\n")
        screen.see("before")
        screen.see("(debug) ")
        screen.type("c\n")
        assert "Ada" in screen.end()
        assert screen.child.returncode == 0


@pytest.mark.temporal
def test_ctrl_c_leaves_the_run_where_it_stands(
    at_server: Command, greet: Path, run_id: str
) -> None:
    with terminal(at_server, "debug", greet, "-i", "name=Ada", "--id", run_id) as screen:
        screen.see("(debug) ")
        screen.type("half a li")
        screen.see("half a li")
        screen.child.send_signal(signal.SIGINT)
        assert f"Come back with: xworkflow debug --attach {run_id}" in screen.end()
        assert screen.child.returncode == 130
    with terminal(at_server, "debug", "--attach", run_id) as screen:
        screen.see("(debug) ")
        screen.type("\x04")
        assert "the run waits for you" in screen.end()
        assert screen.child.returncode == 5
    assert debugged(at_server, "--attach", run_id, say="c").out == "Ada\n"


# ---- what is typed


def test_every_command_has_a_letter_and_a_word() -> None:
    for letter, word in (("s", "step"), ("c", "continue"), ("b", "break"), ("q", "quit")):
        assert parse(letter) == parse(word) == parse(f"  {word.upper()} ")
    assert parse("b  the node ") == Typed("break", "the node")
    assert parse("") is None
    assert parse("# nothing") is None


def test_values_are_json_or_text() -> None:
    assert assignment("a.b=1") == ("a.b", 1)
    assert assignment('a.b = {"x": [true]}') == ("a.b", {"x": [True]})
    assert assignment("a.b=x=y") == ("a.b", "x=y")
    for wrong in ("a=1", "a.b", ""):
        with pytest.raises(InputError):
            assignment(wrong)


def test_nodes_go_by_id_title_or_a_part_that_no_other_has() -> None:
    names = NodeNames({"1711": "Fetch", "1712": "Fetch the order", "end": "Finish"})
    assert names.find("1711") == "1711"
    assert names.find("fetch") == "1711"
    assert names.find("order") == "1712"
    with pytest.raises(InputError, match=r"'171' may be Fetch \(1711\), Fetch the order \(1712\)"):
        names.find("171")
    with pytest.raises(InputError, match=r"no node 'Finnish'; is it Finish \(end\)\?"):
        names.find("Finnish")


def test_variables_go_by_node_and_name_and_other_namespaces_by_theirs() -> None:
    names = NodeNames({"1711": "Dr. No", "a": "A"})
    assert names.variable("1711.body.x") == ("1711", "body.x")
    assert names.variable("Dr. No.body") == ("1711", "body")
    assert names.variable("a") == ("a", "")
    assert names.variable("sys.query") == ("sys", "query")
