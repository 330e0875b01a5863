"""``xworkflow validate``, and what it costs."""

from __future__ import annotations

import pytest

from tests.cli import flows
from tests.cli.command import Command


def test_a_valid_file_ends_with_0_and_says_so(command: Command) -> None:
    path = flows.write(command.folder, "greet.toml", flows.GREET)
    ended = command("validate", path)
    assert (ended.code, ended.out, ended.err) == (0, f"valid {path}\n", "")


def test_each_problem_is_a_row_with_its_file_line_code_node_and_sentence(command: Command) -> None:
    flows.write(command.folder, "beam.yml", flows.UNKNOWN_TYPE)
    ended = command("validate", "beam.yml")
    assert ended.code == 2
    header, row, verdict = ended.out.splitlines()
    assert header.split() == ["file", "code", "node", "field", "problem"]
    file, code, node = row.split()[:3]
    assert (file, code, node) == ("beam.yml:6", "E009", "beam")
    assert "teleport" in row
    assert verdict == "not valid beam.yml"


def test_a_row_is_one_line_however_long_it_is_when_nobody_looks_at_a_terminal(
    command: Command,
) -> None:
    flows.write(command.folder, "beam.yml", flows.UNKNOWN_TYPE.replace("teleport", "t" * 400))
    rows = command("validate", "beam.yml").out.splitlines()
    assert len(rows) == 3
    assert "t" * 400 in rows[1]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("broken.yml", "kind: app\n  a: [\n", "broken.yml:2"),
        ("broken.toml", "a = = 3", "broken.toml:1"),
        ("broken.json", '{"a": ', "broken.json:1"),
        ("empty.yml", "", "the text is empty"),
        ("list.json", "[1, 2]", "must be an object"),
        ("binary.yml", b"\xff\xfe\x00", "not UTF-8"),
        ("wrong.yml", "version: 0.1.0\nnodes: 3\nedges: []\n", "nodes must be an array"),
    ],
)
def test_what_cannot_be_read_is_a_problem_with_its_place(
    command: Command, name: str, content: str | bytes, problem: str
) -> None:
    flows.write(command.folder, name, content)
    ended = command("validate", name)
    assert ended.code == 2
    assert problem in ended.out
    assert "E001" in ended.out
    assert ended.err == ""


def test_a_missing_file_and_a_folder_are_named(command: Command) -> None:
    ended = command("validate", "missing.yml", ".")
    assert ended.code == 2
    assert "missing.yml  E001               there is no such file" in ended.out
    assert "Is a directory" in ended.out


def test_json_is_one_object_with_a_report_for_each_file(command: Command) -> None:
    flows.write(command.folder, "greet.toml", flows.GREET)
    flows.write(command.folder, "beam.yml", flows.UNKNOWN_TYPE)
    ended = command("validate", "greet.toml", "beam.yml", "--json")
    assert ended.code == 2
    assert ended.object["greet.toml"] == {"is_valid": True, "diagnostics": []}
    (found,) = ended.object["beam.yml"]["diagnostics"]
    assert found.keys() >= {"level", "code", "message", "node_id", "line"}


@pytest.mark.parametrize("arguments", [["--help"], ["validate", "greet.toml"]])
def test_help_and_validation_do_not_load_the_sdk(command: Command, arguments: list[str]) -> None:
    """It alone takes longer than both may: half a second on a slow machine."""
    flows.write(command.folder, "greet.toml", flows.GREET)
    script = (
        "import sys\n"
        "from xworkflow.cli.app import invoke\n"
        f"code = invoke({arguments!r})\n"
        "slow = {'temporalio', 'httpx', 'xworkflow.runtime_group'} & set(sys.modules)\n"
        "sys.exit(code or ', '.join(sorted(slow)) or 0)\n"
    )
    ended = command.python(script)
    assert (ended.code, ended.err) == (0, "")
