"""Help texts, completion, and the frame around all verbs."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from collections.abc import Iterator
from itertools import takewhile
from typing import Any

import pytest
import typer

from tests.cli.command import Command
from xworkflow.cli import verbs
from xworkflow.cli.app import app

VERBS = ["new", "run", "debug", "compile", "validate", "test", "runs", "worker", "dev", "config"]


def tree() -> Any:
    """The parser of the whole command line."""
    verbs.register(app)
    return typer.main.get_command(app)


def leaves(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command that does something, with the words that lead to it."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from leaves(command, *path, name)
        else:
            yield (*path, name), command


LEAVES = dict(leaves(tree()))


def examples(help_text: str) -> list[list[str]]:
    """The arguments of each example, up to where its output goes to a file or a program."""
    lines = (line.strip() for line in help_text.splitlines())
    commands = (shlex.split(line) for line in lines if line.startswith("xworkflow "))
    return [list(takewhile(lambda word: word not in {"<", ">", "|"}, c))[1:] for c in commands]


@pytest.mark.parametrize("path", LEAVES, ids=" ".join)
def test_the_help_of_every_verb_has_examples_that_parse(path: tuple[str, ...]) -> None:
    command = LEAVES[path]
    found = examples(command.help)
    assert found
    for arguments in found:
        assert tuple(arguments[: len(path)]) == path
        context = command.make_context(" ".join(path), arguments[len(path) :])
        assert not context.args


def test_an_example_that_does_not_parse_would_be_found() -> None:
    with pytest.raises(typer.exceptions.TyperException):
        LEAVES["run",].make_context("run", ["app.yml", "--inptu", "x=y"])


def test_every_verb_has_help_and_the_program_lists_them(command: Command) -> None:
    ended = command("--help")
    assert ended.code == 0
    assert all(f"│ {verb} " in ended.out for verb in VERBS)
    for path in LEAVES:
        ended = command(*path, "-h")
        assert (ended.code, ended.err) == (0, "")
        assert "Usage: xworkflow " + " ".join(path) in ended.out


def test_without_a_verb_the_help_is_shown_and_nothing_is_called_an_error(command: Command) -> None:
    for arguments in ([], ["runs"]):
        ended = command(*arguments)
        assert (ended.code, ended.err) == (2, "")
        assert "Usage: xworkflow" in ended.out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["fly"], "No such command 'fly'"),
        (["run"], "Missing argument 'FILE'"),
        (["run", "app.yml", "--fast"], "No such option: --fast"),
        (["run", "app.yml", "--id"], "Option '--id' requires an argument"),
        (["runs", "show"], "Missing argument 'ID'"),
    ],
)
def test_a_command_line_that_is_not_understood_ends_with_2_and_one_sentence(
    command: Command, arguments: list[str], sentence: str
) -> None:
    ended = command(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {sentence}")
    assert ended.err.endswith("See: xworkflow --help\n")
    assert ended.err.count("\n") == 1


def test_the_version_is_that_of_the_package(command: Command) -> None:
    ended = command("--version")
    assert (ended.code, ended.out.split()[0]) == (0, "xworkflow")


def test_a_fault_of_our_own_is_one_sentence_that_asks_for_a_report(command: Command) -> None:
    script = (
        "import xworkflow.cli.validate as verb\n"
        "verb.report_of = lambda path: 1 / 0\n"
        "from xworkflow.cli import main\n"
        "main({arguments})\n"
    )
    ended = command.python(script.format(arguments=["validate", "app.yml"]))
    assert (ended.code, ended.out) == (1, "")
    assert ended.err.startswith("error: internal error: ZeroDivisionError")
    assert ended.err.count("\n") == 1
    loud = command.python(script.format(arguments=["-v", "validate", "app.yml"]))
    assert "Traceback" in loud.err


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_shown_and_complete_verbs(command: Command, shell: str) -> None:
    settings = {"_XWORKFLOW_COMPLETE": f"source_{shell}"}
    ended = Command(command.folder, settings)()
    assert ended.code == 0
    assert "_XWORKFLOW_COMPLETE" in ended.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_bash_completes_verbs_and_options(command: Command) -> None:
    def completed(*words: str) -> list[str]:
        settings = {
            "_XWORKFLOW_COMPLETE": "complete_bash",
            "COMP_WORDS": " ".join(("xworkflow", *words)),
            "COMP_CWORD": str(len(words)),
        }
        return Command(command.folder, settings)().out.split()

    assert completed("ru") == ["run", "runs"]
    assert {"list", "show", "events", "fork", "answer"} <= set(completed("runs", ""))
    assert set(completed("run", "--in")) == {"--input", "--inputs"}


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
def test_the_script_of_bash_is_valid(command: Command) -> None:
    script = Command(command.folder, {"_XWORKFLOW_COMPLETE": "source_bash"})().out
    subprocess.run(["bash", "-n", "-c", script], check=True)
