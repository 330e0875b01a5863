"""``xworkflow test``: verdicts, exit codes, and the report for CI."""

from __future__ import annotations

import os
import pty
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from tests.cli import flows
from tests.cli.command import PROGRAM, Command
from xworkflow.cli.junit import write_junit
from xworkflow.testing.cases import Verdict

RIGHT = '[outputs]\ngreeting = "Ada"\n'
WRONG = '[outputs]\ngreeting = "Grace"\n'


def add_case(folder: Path, name: str, *, out: str, more: Sequence[tuple[str, str]] = ()) -> None:
    """A case of the workflow that greets Ada."""
    texts = {"workflow.toml": flows.GREET, "in.toml": 'name = "Ada"\n', "out.toml": out}
    for file, text in {**texts, **dict(more)}.items():
        flows.write(folder / name, file, text)


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    """One case of each kind, and one that is broken."""
    folder = tmp_path / "cases"
    add_case(folder, "01_right", out=RIGHT)
    add_case(folder, "02_wrong", out=WRONG)
    add_case(folder, "03_plugins", out=RIGHT, more=[("state.toml", "[plugin_system]\n")])
    add_case(folder, "04_broken", out='status = "fine"\n')
    return folder


@pytest.mark.temporal
def test_a_folder_of_cases_is_judged_case_by_case(at_server: Command, cases: Path) -> None:
    ended = at_server("test", cases, "--junit", "report.xml")
    assert (ended.code, ended.err) == (1, "")
    *lines, last = ended.out.splitlines()
    assert last == "1 passed, 2 failed, 1 skipped"
    failed = sorted(line for line in lines if line.startswith("FAILED"))
    assert failed[0] == 'FAILED 02_wrong: output greeting: expected "Grace", got "Ada"'
    assert failed[1].startswith(f"FAILED 04_broken: {cases}/04_broken/out.toml, 'status': ")
    assert [line for line in lines if line not in failed] == ["skipped 03_plugins: needs plugins"]
    report = ET.parse(at_server.folder / "report.xml").getroot()  # noqa: S314 - our own file
    assert report.attrib.items() >= {("tests", "4"), ("failures", "2"), ("skipped", "1")}
    assert [(case.get("name"), [child.tag for child in case]) for case in report] == [
        ("01_right", []),
        ("02_wrong", ["failure"]),
        ("03_plugins", ["skipped"]),
        ("04_broken", ["failure"]),
    ]


@pytest.mark.temporal
def test_chosen_cases_that_all_pass_end_with_0(at_server: Command, cases: Path) -> None:
    ended = at_server("test", cases, "--case", "01*")
    assert (ended.code, ended.out) == (0, "1 passed, 0 failed, 0 skipped\n")


def test_no_cases_and_no_place_for_a_report_are_bad_input(command: Command, cases: Path) -> None:
    (command.folder / "empty").mkdir()
    for arguments, sentence in (
        (["nowhere"], "nowhere: there is no such folder"),
        (["empty"], "empty: there is no case"),
        ([cases, "--case", "x*"], f"{cases}: there is no case that matches 'x*'"),
        ([cases, "--junit", "no/where.xml"], "--junit no/where.xml: No such file or directory"),
    ):
        ended = command("test", *arguments)
        assert (ended.code, ended.out, ended.err) == (2, "", f"error: {sentence}\n")


@pytest.mark.temporal
def test_a_terminal_sees_how_far_the_cases_are(at_server: Command, tmp_path: Path) -> None:
    for number in range(48):
        add_case(tmp_path / "many", f"{number:02}", out=RIGHT if number else WRONG)
    seen = on_a_terminal(at_server, "test", tmp_path / "many")
    counts = [int(found) for found in re.findall(r"(\d+)/48", seen)]
    assert counts == sorted(counts)
    assert {0, 48} < set(counts)
    assert "1 failed" in seen
    assert "47 passed, 1 failed, 0 skipped" in seen


def on_a_terminal(command: Command, *arguments: str | Path) -> str:
    """What a command shows on a terminal."""
    ours, theirs = pty.openpty()
    environment = {**command.environment(), "TERM": "xterm", "COLUMNS": "100"}
    with subprocess.Popen([PROGRAM, *arguments], stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        seen = b""
        while more := _read(ours):
            seen += more
    os.close(ours)
    return seen.decode()


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 4096)
    except OSError:  # the other side is closed: Linux's way to say that this is the end
        return b""


def test_a_report_is_valid_whatever_the_problems_hold(tmp_path: Path) -> None:
    """XML has no way to write most control characters, nor half of a surrogate pair."""
    problems = ("<&\"'> \x00\x1b[31m\x0b \ud800", "ünï 😀\nsecond line")
    verdicts = [Verdict("a<b>\x07", "failed", problems, 1.5), Verdict("ok", "passed")]
    write_junit(tmp_path / "report.xml", verdicts)
    suite = ET.parse(tmp_path / "report.xml").getroot()  # noqa: S314 - our own file
    failure = suite[0][0]
    assert suite[0].get("name") == "a<b>\ufffd"
    assert failure.text == "<&\"'> \ufffd\ufffd[31m\ufffd \ufffd\nünï 😀\nsecond line"
    assert failure.get("message", "").startswith("<&\"'> \ufffd")
    assert suite.get("time") == "1.500"
