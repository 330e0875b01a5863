"""``xworkflow config``, as users give it."""

from __future__ import annotations

import json
from typing import Any

from jsonschema import Draft202012Validator

from tests.cli import flows
from tests.cli.command import Command

GOOD = """
[providers.own]
base_url = "http://10.0.0.5/v1"
[groups.acme]
name = "Acme"
level = "strict"
usage.concurrent_runs = 3
[groups.default]
"""


def test_a_good_file_is_shown_as_a_table(command: Command) -> None:
    flows.write(command.folder, "xworkflow.toml", GOOD)
    ended = command("config", "check")
    assert (ended.code, ended.err) == (0, "")
    rows = [" ".join(line.split()) for line in ended.out.splitlines()]
    assert rows == [
        "group name level providers quota placement",
        "acme Acme strict own concurrent_runs auto",
        "default standard own auto",
        "valid xworkflow.toml",
    ]


def test_for_machines_it_is_one_object_with_the_defaults_filled_in(command: Command) -> None:
    file = flows.write(command.folder, "other.toml", GOOD)
    ended = command("config", "check", file, "--json")
    assert ended.code == 0
    assert ended.object["groups"]["acme"]["usage"]["concurrent_runs"] == 3
    assert ended.object["groups"]["acme"]["pools"]["max_js_vms"] == 8


def test_every_problem_is_a_line_with_its_place(command: Command) -> None:
    flows.write(command.folder, "xworkflow.toml", "[groups.a]\nlevle = 1\nslots.pollers = 0\n")
    ended = command("config", "check")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines() == [
        "error: xworkflow.toml:2: groups.a.levle: there is no such key; did you mean 'level'?",
        "error: xworkflow.toml:3: groups.a.slots.pollers: should be greater than 0, not 0",
    ]


def test_without_a_file_it_asks_for_one(command: Command) -> None:
    ended = command("config", "check")
    assert (ended.code, ended.err) == (2, "error: there is no xworkflow.toml here: name a file\n")


def test_the_environment_names_a_file(command: Command) -> None:
    flows.write(command.folder, "there.toml", GOOD)
    named = Command(command.folder, {"XWORKFLOW_CONFIG": "there.toml"})
    assert named("config", "check").out.endswith("valid there.toml\n")


def test_the_schema_is_one_that_editors_can_use(command: Command) -> None:
    schema = command("config", "schema").object
    Draft202012Validator.check_schema(schema)
    validator: Any = Draft202012Validator(schema)
    good = {"groups": {"a": {"level": "strict", "slots": {"pollers": 1}}}}
    assert validator.is_valid(good)
    assert not validator.is_valid(json.loads('{"groups": {"a": {"level": "hard"}}}'))
    assert not validator.is_valid({"groups": {"a": {"levle": "strict"}}})
