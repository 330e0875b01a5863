"""Secrets at the command line: those of a file, and the keys of the codec."""

from __future__ import annotations

import json
import signal
import urllib.request
from pathlib import Path

import pytest

from tests.cli.command import Command, line_with
from xworkflow.testing.mock_server import MockResponse, MockServer

FLOW = """
version = "0.1.0"
[[environment_variables]]
name = "KEY"
value_type = "secret"
value = "cli-s3cret"
[[nodes]]
id = "start"
data = { type = "start", title = "Start" }
[[nodes]]
id = "ask"
[nodes.data]
type = "http-request"
title = "Ask"
method = "GET"
url = "%s/ok"
headers = [{ key = "X-Key", value = "{{#env.KEY#}}" }]
[[nodes]]
id = "end"
[nodes.data]
type = "end"
title = "End"
outputs = [{ variable = "body", value_selector = ["ask", "body"] }]
[[edges]]
source = "start"
target = "ask"
[[edges]]
source = "ask"
target = "end"
"""


@pytest.mark.temporal
@pytest.mark.slow
def test_a_secret_of_a_file_reaches_the_worker_of_this_machine_and_no_history(
    tmp_path: Path, temporal_binary: Path
) -> None:
    command = Command(tmp_path, {"TEMPORAL_CLI": str(temporal_binary)})
    responses = (MockResponse("GET", "/ok", response_body="it is cli-s3cret"),)
    with MockServer(responses) as web:
        (tmp_path / "flow.toml").write_text(FLOW % web.url)
        ended = command("run", tmp_path / "flow.toml", "--json", "--id", "r1")
        assert ended.code == 0, ended.err
        assert web.requests[0].headers["x-key"] == "cli-s3cret"
    assert ended.object["outputs"] == {"body": "it is ***"}
    shown = command("runs", "show", "r1", "--json")
    assert "cli-s3cret" not in ended.out + ended.err + shown.out + shown.err
    database = next((tmp_path / "data").glob("temporal.db"))
    stored = b"".join(p.read_bytes() for p in (tmp_path / "data").glob("temporal.db*"))
    assert database.exists()
    assert b"cli-s3cret" not in stored
    (kept,) = (tmp_path / "data" / "secrets").iterdir()
    assert kept.stat().st_mode & 0o777 == 0o600


def test_a_file_that_reads_a_secret_elsewhere_is_refused(tmp_path: Path) -> None:
    text = (FLOW % "http://x").replace('["ask", "body"]', '["env", "KEY"]')
    (tmp_path / "flow.toml").write_text(text)
    ended = Command(tmp_path)("validate", tmp_path / "flow.toml")
    assert ended.code == 2, ended
    assert "E070" in ended.out + ended.err
    assert "cli-s3cret" not in ended.out + ended.err


def test_the_codec_server_makes_keys_serves_and_ends_in_order(tmp_path: Path) -> None:
    made = Command(tmp_path)("codec-server", "--new-key", "2026-11")
    assert made.code == 0
    keys = tmp_path / "keys"
    keys.write_text(made.out)
    keys.chmod(0o600)
    child = Command(tmp_path, {"XWORKFLOW_CODEC_KEYS_FILE": str(keys)}).start(
        "codec-server", "--port", "0"
    )
    try:
        endpoint = line_with(child.stdout, "http://").strip()
        body = json.dumps({"payloads": [{"data": "InMi"}]}).encode()
        with urllib.request.urlopen(  # noqa: S310 - our own server
            urllib.request.Request(f"{endpoint}/encode", body)  # noqa: S310
        ) as answer:
            assert "payloads" in json.loads(answer.read())
        child.send_signal(signal.SIGTERM)
        assert child.wait(10) == 0
    finally:
        child.kill()
        child.communicate()


def test_without_keys_there_is_no_codec_server(tmp_path: Path) -> None:
    ended = Command(tmp_path)("codec-server")
    assert ended.code == 3
    assert "XWORKFLOW_CODEC_KEYS" in ended.err


def test_keys_that_cannot_be_read_are_one_sentence(tmp_path: Path) -> None:
    command = Command(tmp_path, {"XWORKFLOW_CODEC_KEYS": "s3cret", "TEMPORAL_ADDRESS": "x:1"})
    for ended in (command("codec-server"), command("runs", "show", "r")):
        assert ended.code == 3
        assert "codec key 1 has no id of its own" in ended.err
        assert "s3cret" not in ended.err
        assert "Traceback" not in ended.err
