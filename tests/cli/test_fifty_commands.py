"""Fifty commands in a row end with fifty right exit codes.

The Temporal SDK aborts about every sixth interpreter that ends in the ordinary way after its loop
(sdk-python#300): whatever leaves past ``exit_codes.leave`` shows here.
"""

from __future__ import annotations

import pytest

from tests.cli import flows
from tests.cli.command import Command

pytestmark = [pytest.mark.temporal, pytest.mark.slow]

ROUND = (
    (0, ("run", "greet.toml", "-q", "-i", "name=Ada")),
    (1, ("run", "failing.toml", "-q")),
    (0, ("validate", "greet.toml")),
    (2, ("run", "beam.yml")),
    (0, ("run", "greet.toml", "--json", "-i", "name=Ada")),
    (2, ("run", "greet.toml", "--fast")),
    (3, ("run", "greet.toml", "-i", "name=Ada", "--address", "127.0.0.1:1")),
    (2, ("run", "greet.toml")),
    (2, ("runs", "show", "no-such-run")),
    (2, ("validate", "beam.yml")),
)


@pytest.mark.timeout(300)
def test_fifty_commands_end_with_fifty_right_exit_codes(at_server: Command) -> None:
    flows.write(at_server.folder, "greet.toml", flows.GREET)
    flows.write(at_server.folder, "failing.toml", flows.FAILING)
    flows.write(at_server.folder, "beam.yml", flows.UNKNOWN_TYPE)
    wrong: list[object] = []
    for number in range(50):
        code, arguments = ROUND[number % len(ROUND)]
        ended = at_server(*arguments)
        if ended.code != code or "Traceback" in ended.err:
            wrong.append((arguments, ended))
    assert wrong == []
