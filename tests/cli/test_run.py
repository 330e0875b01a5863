"""``xworkflow run`` on a real server: what it prints where, and how it ends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.service import RPCError

from tests.cli import flows
from tests.cli.command import Command

pytestmark = pytest.mark.temporal

KEYS = {
    "run_id",
    "workflow_id",
    "status",
    "outputs",
    "error",
    "elapsed_seconds",
    "steps",
    "ui_url",
}

FILES = {
    "greet.toml": flows.GREET,
    "list.json": "[]",
    "nan.json": '{"name": NaN}',
    "half.json": r'{"name": "\ud800"}',
    "deep.json": "[" * 100_000,
    "big.json": json.dumps({"name": "x" * 3_000_000}),
}


@pytest.fixture
def greet(at_server: Command) -> Path:
    return flows.write(at_server.folder, "greet.toml", flows.GREET)


@pytest.fixture
def failing(at_server: Command) -> Path:
    return flows.write(at_server.folder, "failing.toml", flows.FAILING)


def test_a_single_text_is_printed_as_it_is_and_the_progress_beside_it(
    at_server: Command, greet: Path, run_id: str
) -> None:
    ended = at_server("run", greet, "--input", "name=Ada [bold]:smile:", "--id", run_id)
    assert (ended.code, ended.out) == (0, "Ada [bold]:smile:\n")
    lines = ended.err.splitlines()
    assert lines[0] == f"run {run_id} of greet"
    assert [line.split(" 0.")[0] for line in lines[1:5]] == [
        "▶ Begin (start)",
        "✓ Begin",
        "▶ Finish (end)",
        "✓ Finish",
    ]
    assert lines[5].startswith("completed in 0.")
    assert lines[5].endswith("s, 2 steps")
    assert len(lines) == 6


def test_several_outputs_are_one_json_object(at_server: Command) -> None:
    path = flows.write(at_server.folder, "both.toml", flows.BOTH)
    ended = at_server("run", path, "-q", "-i", "name=Ada", "-i", "count=3")
    assert ended.code == 0
    assert ended.object == {"greeting": "Ada", "count": 3}
    assert "▶" not in ended.err


def test_inputs_come_from_a_file_and_pairs_win(at_server: Command) -> None:
    path = flows.write(at_server.folder, "both.toml", flows.BOTH)
    inputs = flows.write(at_server.folder, "in.json", json.dumps({"name": "Ada", "count": 1}))
    ended = at_server("run", path, "--inputs", inputs, "--input", "name=Grace")
    assert ended.object == {"greeting": "Grace", "count": 1}


def test_query_is_the_text_of_a_chat(at_server: Command) -> None:
    chat = flows.GREET.replace('["start", "name"]', '["sys", "query"]')
    path = flows.write(at_server.folder, "chat.toml", chat)
    assert at_server("run", path, "-i", "name=x", "--query", "Who?").out == "Who?\n"


def test_json_is_one_object_with_the_keys_of_the_contract(
    at_server: Command, greet: Path, run_id: str
) -> None:
    ended = at_server("run", greet, "-i", "name=Ada", "--json", "--id", run_id)
    assert ended.code == 0
    result = ended.object
    assert result.keys() == KEYS
    assert result["workflow_id"] == run_id
    assert result["run_id"]
    assert (result["status"], result["outputs"]) == ("completed", {"greeting": "Ada"})
    assert (result["error"], result["steps"], result["ui_url"]) == (None, 2, None)
    assert result["elapsed_seconds"] >= 0


def test_a_failed_run_ends_with_1_and_its_error(at_server: Command, failing: Path) -> None:
    ended = at_server("run", failing)
    assert (ended.code, ended.out) == (1, "")
    assert "✗ Boom" in ended.err
    assert "error: Node execution error: node=node, error=Execution error: Error: boom" in ended.err


def test_a_failed_run_is_one_json_object_too(at_server: Command, failing: Path) -> None:
    ended = at_server("run", failing, "--json", "--quiet")
    assert (ended.code, ended.err) == (1, "")
    assert ended.object.keys() == KEYS
    assert ended.object["status"] == "failed"
    assert "boom" in ended.object["error"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "greet.toml: input 'name' is required"),
        (["--input", "name"], "--input 'name' is not of the form key=value"),
        (["-i", "name=x", "-i", "count=many"], "--input count: 'many' is not JSON"),
        (["--inputs", "none.json"], "none.json: there is no such file"),
        (["--inputs", "greet.toml"], "greet.toml: not JSON"),
        (["--inputs", "list.json"], "list.json: the inputs are a JSON object"),
        (["--inputs", "nan.json"], "nan.json: not JSON: NaN is no JSON value"),
        (["--inputs", "half.json"], "half.json: not JSON: 'utf-8' codec can't encode"),
        (["--inputs", "deep.json"], "deep.json: not JSON: it nests too deep"),
        (
            ["--inputs", "big.json"],
            "the run cannot be started: Temporal takes 2 MB for its file, packed",
        ),
        (["-i", "name=x", "--address", "nowhere"], "--address 'nowhere' is not of the form"),
    ],
)
async def test_bad_input_is_one_sentence_and_starts_nothing(
    at_server: Command,
    temporal_client: Client,
    run_id: str,
    arguments: Sequence[str],
    sentence: str,
) -> None:
    for name, text in FILES.items():
        flows.write(at_server.folder, name, text)
    ended = at_server("run", "greet.toml", "--id", run_id, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"error: {sentence}")
    assert ended.err.count("\n") == 1
    with pytest.raises(RPCError, match="not found"):
        await temporal_client.get_workflow_handle(run_id).describe()


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("beam.yml", flows.UNKNOWN_TYPE, "E009 beam.yml, line 6, node 'beam', field 'type': "),
        ("broken.yml", "a: [\n", "E001 broken.yml, line "),
    ],
)
def test_a_refused_workflow_ends_with_2_and_the_place_of_each_problem(
    command: Command, name: str, text: str, sentence: str
) -> None:
    flows.write(command.folder, name, text)
    ended = command("run", name)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(sentence)


def test_a_refused_workflow_is_one_json_object_with_its_diagnostics(command: Command) -> None:
    flows.write(command.folder, "beam.yml", flows.UNKNOWN_TYPE)
    ended = command("run", "beam.yml", "--json")
    assert ended.code == 2
    result = ended.object
    assert result.keys() == KEYS | {"diagnostics"}
    assert (result["status"], result["workflow_id"]) == ("refused", None)
    assert result["error"] == "beam.yml: refused by validation, 1 error"
    assert [found["code"] for found in result["diagnostics"]] == ["E009"]


def test_bad_input_is_one_json_object_too(command: Command) -> None:
    flows.write(command.folder, "greet.toml", flows.GREET)
    result = command("run", "greet.toml", "--json").object
    assert (result["status"], result["diagnostics"]) == ("refused", [])
    assert result["error"] == "greet.toml: input 'name' is required"


def test_an_unreachable_server_ends_with_3_and_one_short_sentence(command: Command) -> None:
    path = flows.write(command.folder, "greet.toml", flows.GREET)
    ended = command("run", path, "-i", "name=x", "--address", "127.0.0.1:1", "--json")
    sentence = "no Temporal server answers at 127.0.0.1:1: Connection refused"
    assert ended.code == 3
    assert ended.err == f"error: {sentence}\n"
    assert (ended.object["status"], ended.object["error"]) == ("error", sentence)


def test_an_unknown_namespace_ends_with_3(temporal_server: str, tmp_path: Path) -> None:
    settings = {"TEMPORAL_ADDRESS": temporal_server, "TEMPORAL_NAMESPACE": "elsewhere"}
    command = Command(tmp_path, settings)
    path = flows.write(tmp_path, "greet.toml", flows.GREET)
    ended = command("run", path, "-i", "name=x")
    assert ended.code == 3
    assert ended.err == f"error: the server at {temporal_server} has no namespace 'elsewhere'\n"


def test_the_same_id_is_the_same_run_and_the_command_says_so(
    at_server: Command, greet: Path, run_id: str
) -> None:
    first = at_server("run", greet, "-i", "name=Ada", "--id", run_id, "--json").object
    again = at_server("run", greet, "-i", "name=Grace", "--id", run_id, "--json")
    assert again.code == 0
    assert again.object == first
    assert f"run {run_id} is there already: joined" in again.err


def test_a_title_cannot_command_the_terminal_or_write_markup(at_server: Command) -> None:
    flow = flows.GREET.replace("Begin", r"[red]\u001b[31m\nnext")
    path = flows.write(at_server.folder, "loud.toml", flow)
    ended = at_server("run", path, "-i", "name=x")
    assert ended.code == 0
    assert r"▶ [red]\x1b[31m next (start)" in ended.err
