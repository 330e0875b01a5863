"""Folders of cases: what is found, what is read, and what is broken."""

from __future__ import annotations

from pathlib import Path

import pytest

from xworkflow.errors import InputError
from xworkflow.testing.cases import find_cases, read_case

WORKFLOW = 'version = "0.1.0"\nnodes = []\nedges = []\n'


def case(folder: Path, **files: str) -> Path:
    """A folder with a workflow and these TOML files."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "workflow.toml").write_text(WORKFLOW)
    for name, text in files.items():
        (folder / f"{name.rstrip('_')}.toml").write_text(text)
    return folder


def test_cases_are_the_folders_with_a_workflow_at_any_depth_and_sorted(tmp_path: Path) -> None:
    for name in ("b/2", "b/1", "a"):
        case(tmp_path / name)
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "workflow.yml").write_text("")
    (tmp_path / "not_a_case").mkdir()
    found = [str(folder.relative_to(tmp_path)) for folder in find_cases(tmp_path)]
    assert found == ["a", "b/1", "b/2", "c"]


def test_a_case_may_be_a_workflow_alone(tmp_path: Path) -> None:
    read = read_case(case(tmp_path / "bare"))
    assert (read.name, read.inputs, read.needs) == ("bare", {}, None)
    assert read.expectation.status == "completed"


def test_everything_of_a_case_is_read_and_unknown_keys_are_ignored(tmp_path: Path) -> None:
    state = """
    engine_config = "ignored"
    [config]
    max_steps = 7
    [fake_time]
    fixed_timestamp = 1700000000
    [fake_id]
    prefix = "t"
    [system_variables]
    when = 2026-01-02T03:04:05Z
    [[mock_server]]
    method = "GET"
    path = "/a?b=1"
    colour = "ignored"
    [mock_nodes.llm.outputs]
    text = "hello"
    """
    read = read_case(case(tmp_path, in_="name = 'Ada'", state=state, out="status = 'failed'"))
    assert read.inputs == {"name": "Ada"}
    assert read.state.config is not None
    assert read.state.config.max_steps == 7
    assert read.state.system_variables == {"when": "2026-01-02 03:04:05+00:00"}
    assert [mock.path for mock in read.state.mock_server] == ["/a?b=1"]
    assert read.state.mock_nodes["llm"].outputs == {"text": "hello"}
    assert read.expectation.status == "failed"


def test_a_case_names_what_it_needs_and_is_not_there(tmp_path: Path) -> None:
    assert read_case(case(tmp_path, state="[plugin_system]\n")).needs == "plugins"


def test_the_debuggers_part_is_read(tmp_path: Path) -> None:
    debug = """
    [config]
    breakpoints = ["a"]
    auto_snapshot = true
    [[steps]]
    expect_node = "a"
    action = "update_variables"
    [steps.variables]
    "start.n" = 10
    """
    assert read_case(case(tmp_path / "bare")).debug is None
    script = read_case(case(tmp_path, debug=debug)).debug
    assert script is not None
    assert script.config.breakpoints == ("a",)
    assert script.steps[0].variables == {"start.n": 10}


@pytest.mark.parametrize(
    ("file", "text", "problem"),
    [
        ("in_", "a = = 1", "in.toml: Invalid value"),
        ("state", "[config]\nmax_steps = 'many'", "state.toml, 'config.max_steps': "),
        ("state", "[fake_time]", "state.toml, 'fake_time.fixed_timestamp': Field required"),
        ("state", "mock_server = 3", "state.toml, 'mock_server': "),
        ("state", "[[mock_server]]\npath = '/'", "state.toml, 'mock_server.0.method': "),
        (
            "state",
            "[[mock_server]]\nmethod = 'GET'\npath = '/'\nmatch_body = '('",
            "match_body is no regular expression",
        ),
        ("state", "[mock_nodes]\nllm = 'hello'", "state.toml, 'mock_nodes.llm': "),
        ("state", "system_variables = []", "state.toml, 'system_variables': "),
        ("debug", "[[steps]]\naction = 'fly'", "debug.toml, 'steps.0.action': "),
        ("debug", "[[steps]]\nexpect_phase = 'amid'", "debug.toml, 'steps.0.expect_phase': "),
        ("out", "status = 'fine'", "out.toml, 'status': "),
        ("out", "outputs_json = '{'", "out.toml, 'outputs_json': "),
        ("out", "outputs_json = '[]'", "outputs_json must be the text of a JSON object"),
        ("out", "outputs = 3", "out.toml, 'outputs': "),
    ],
)
def test_what_is_broken_is_one_sentence_with_the_file_and_the_field(
    tmp_path: Path, file: str, text: str, problem: str
) -> None:
    folder = case(tmp_path, **{file: text})
    with pytest.raises(InputError) as caught:
        read_case(folder)
    (sentence,) = caught.value.problems
    assert sentence.startswith(str(folder))
    assert problem in sentence


def test_all_that_is_wrong_with_a_file_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_case(case(tmp_path, out="status = 'fine'\npartial_match = 'very'"))
    assert len(caught.value.problems) == 2


def test_a_file_that_is_no_text_and_a_folder_without_a_workflow_are_broken_too(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"there is no workflow\.toml or"):
        read_case(tmp_path)
    case(tmp_path)
    (tmp_path / "in.toml").write_bytes(b"\xff")
    with pytest.raises(InputError, match=r"in\.toml: cannot be read"):
        read_case(tmp_path)
