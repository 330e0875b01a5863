"""``xworkflow new``: what it writes is valid, runs, and passes its own test."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import Command


@pytest.fixture
def project(command: Command) -> Path:
    """A fresh example project."""
    ended = command("new", "project")
    assert ended.code == 0, ended.err
    return command.folder / "project"


def test_the_example_is_valid_without_a_warning(command: Command, project: Path) -> None:
    ended = command("validate", project / "greet" / "workflow.yml", "--json")
    assert ended.code == 0
    (report,) = ended.object.values()
    assert report["diagnostics"] == []


@pytest.mark.temporal
def test_the_example_passes_its_own_test(
    command: Command, project: Path, temporal_server: str
) -> None:
    ended = command("test", project, "--address", temporal_server)
    assert ended.code == 0, ended.err
    assert ended.out.strip().endswith("1 passed, 0 failed, 0 skipped")


def test_a_folder_that_holds_something_is_left_as_it_is(command: Command, project: Path) -> None:
    (project / "README.md").write_text("mine")
    ended = command("new", "project")
    assert ended.code == 2
    assert "there is something already" in ended.err
    assert (project / "README.md").read_text() == "mine"
