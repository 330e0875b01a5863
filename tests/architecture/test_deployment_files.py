"""``docker-compose.yml`` and ``Dockerfile``: valid, and what they promise about safety holds.

Nothing here starts a container; ``tests/deployment`` runs the same topology without any.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
COMPOSE_FILE = ROOT / "docker-compose.yml"
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_FILE.read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
WORKER = SERVICES["worker"]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
TEMPORALS_OWN = {"TEMPORAL_ADDRESS", "TEMPORAL_NAMESPACE"}
"""What the SDK's environment configuration reads; the code asks for it as a whole."""
_OURS = re.compile(r"(XWORKFLOW|OPENAI|OTEL|TEMPORAL|XDG)_[A-Z_]+")


def sources() -> Iterator[Path]:
    """The package's Python files, by the paths at which they really are."""
    yield ROOT / "worker.py"
    for room in ("src", "workflows", "activities", "runtime_group"):
        yield from (ROOT / room).rglob("*.py")


def variables_that_the_code_names() -> set[str]:
    """Environment variables: string constants that are spelled like ours."""
    return {
        node.value
        for path in sources()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and _OURS.fullmatch(node.value)
    }


def test_the_compose_file_follows_the_compose_specification() -> None:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ended = subprocess.run([*command, COMPOSE_FILE], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_a_compose_file_with_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(COMPOSE_FILE.read_text().replace("healthcheck:", "healthchek:"))
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    ended = subprocess.run([*command, wrong], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "healthchek" in ended.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_no_service_may_gain_rights_or_be_reached_from_another_machine(name: str) -> None:
    service = SERVICES[name]
    assert not {"privileged", "cap_add", "devices", "network_mode", "pid", "ipc"} & set(service)
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert all(not volume.startswith(("/", ".", "~")) for volume in service.get("volumes", ()))


@pytest.mark.parametrize("name", SERVICES)
def test_every_image_names_its_version(name: str) -> None:
    assert re.search(r":\d+\.\d+(\.\d+)?$", SERVICES[name]["image"])


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_until_what_it_needs_is_healthy(name: str) -> None:
    for needed, condition in SERVICES[name].get("depends_on", {}).items():
        assert condition == {"condition": "service_healthy"}
        assert SERVICES[needed]["healthcheck"]["test"][0] == "CMD"


def test_the_worker_is_an_ordinary_user_with_nothing_but_its_files() -> None:
    assert WORKER["user"] == "10001:10001"
    assert WORKER["read_only"] is True
    assert WORKER["cap_drop"] == ["ALL"]
    last_stage = DOCKERFILE.rsplit("\nFROM ", 1)[1]
    assert "--uid 10001 " in last_stage
    assert re.findall(r"^USER (.*)$", last_stage, re.MULTILINE) == [WORKER["user"]]


def test_the_worker_is_told_only_what_the_code_reads() -> None:
    assert set(WORKER["environment"]) <= variables_that_the_code_names() | TEMPORALS_OWN
    folder = WORKER["environment"]["XWORKFLOW_FILE_DIRECTORY"]
    assert any(volume.endswith(f":{folder}") for volume in WORKER["volumes"])
    assert folder in DOCKERFILE


def test_the_worker_has_longer_to_stop_than_its_processes_take() -> None:
    from xworkflow.embedded.worker_process import STOP_SECS

    assert float(WORKER["stop_grace_period"].removesuffix("s")) > STOP_SECS


def test_the_operations_page_explains_every_variable_that_the_code_names() -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    explained = set(re.findall(r"`([A-Z][A-Z_]+)`", page))
    assert variables_that_the_code_names() - explained == set()


def entries(lock: str) -> set[str]:
    """A lock's packages, each with its version and hashes."""
    return set(re.split(r"\n(?=\S)", (ROOT / lock).read_text().strip()))


def test_the_image_has_the_versions_that_are_tested_and_no_tools() -> None:
    of_worker, of_desk = entries("requirements-worker.lock"), entries("requirements.lock")
    assert of_worker < of_desk
    names = {entry.split("==")[0] for entry in of_worker}
    assert {"temporalio", "pydantic-monty", "mini-racer"} < names
    assert not {"pytest", "pyright", "hatchling"} & names
    assert "--require-hashes -r requirements-worker.lock" in DOCKERFILE


def test_every_base_image_is_the_same_and_names_its_version() -> None:
    bases = re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE)
    assert len(set(bases)) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases[0])
