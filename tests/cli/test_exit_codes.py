"""Which error, and which status of a run, ends a command with which code."""

from __future__ import annotations

import asyncio
import socket

import pytest

from tests.test_errors import KINDS
from xworkflow.cli.exit_codes import CODES, ExitCode, code_of
from xworkflow.cli.run_result import Watched
from xworkflow.client import connection
from xworkflow.client.status import (
    Completed,
    ExecutionStatus,
    Failed,
    FailedWithRecovery,
    Running,
    Stopped,
)
from xworkflow.errors import EngineError, InfrastructureError, InputError, SandboxError


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_error_has_a_branch_with_an_exit_code(kind: type[EngineError]) -> None:
    assert any(branch in CODES for branch in kind.__mro__)


def test_errors_end_a_command_with_the_code_of_their_branch() -> None:
    assert code_of(InputError(("x",))) == 2
    assert code_of(SandboxError("sandbox_timeout", "x")) == 1
    assert code_of(InfrastructureError("x")) == 3
    assert code_of(KeyError("a fault of ours")) == 1


@pytest.mark.parametrize(
    ("status", "word", "code"),
    [
        (Completed({}), "completed", 0),
        (Completed({}, exceptions=1), "completed", 0),
        (FailedWithRecovery("boom"), "failed_with_recovery", 0),
        (Failed("boom"), "failed", 1),
        (Stopped("enough"), "stopped", 4),
        (Running(), "waiting", 5),
        (None, "detached", 130),
    ],
)
def test_statuses_end_a_run_with_their_word_and_code(
    status: ExecutionStatus | None, word: str, code: int
) -> None:
    watched = Watched("id", None, None, status)
    assert (watched.to_json()["status"], watched.exit_code) == (word, ExitCode(code))


async def test_a_server_that_says_nothing_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "CONNECT_SECS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(InfrastructureError, match=f"no Temporal server answers at {address}"):
            async with asyncio.timeout(30):
                await connection.connect(address)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"TEMPORAL_PROFILE": "none"}, "the Temporal configuration cannot be read"),
        ({"TEMPORAL_TLS_CLIENT_CERT_PATH": "/none"}, "the Temporal configuration cannot be read"),
        ({"TEMPORAL_ADDRESS": "127.0.0.1:1"}, "no Temporal server answers at 127.0.0.1:1"),
    ],
)
async def test_the_ecosystems_own_configuration_is_read(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], sentence: str
) -> None:
    for name, value in {"TEMPORAL_CONFIG_FILE": "/none.toml", **settings}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(InfrastructureError, match=sentence):
        await connection.connect()
