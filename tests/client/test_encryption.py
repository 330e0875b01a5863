"""Payloads encrypted on their way to the server, and read again: by clients, workers, the UI."""

from __future__ import annotations

import base64
import http.client
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from tests.workflows.bench import Bench, history, read
from tests.workflows.drawing import chain, code, end, start
from xworkflow.client.codec_endpoint import CodecServer, Endpoint
from xworkflow.client.encryption import (
    FILE_VARIABLE,
    KEYS_VARIABLE,
    EncryptionCodec,
    KeyRing,
    data_converter,
    keys_of,
    new_key,
)
from xworkflow.client.status import Completed, Failed
from xworkflow.errors import InfrastructureError

OLD, NEW = f"old:{new_key()}", f"new:{new_key()}"
PAYLOAD = Payload(metadata={"encoding": b"json/plain"}, data=b'"s3cret"')


def codec(*keys: str) -> EncryptionCodec:
    return EncryptionCodec(KeyRing.parse(",".join(keys)))


@given(st.binary(max_size=2000), st.dictionaries(st.text(max_size=9), st.binary(max_size=9)))
async def test_what_is_encrypted_comes_back_as_it_was(
    data: bytes, metadata: dict[str, bytes]
) -> None:
    payload = Payload(metadata=metadata, data=data)
    ring = codec(NEW)
    (sealed,) = await ring.encode([payload])
    assert sealed.metadata["encoding"] == b"binary/encrypted"
    assert await ring.decode([sealed]) == [payload]


async def test_two_encryptions_of_one_payload_differ_and_hide_it() -> None:
    one, other = await codec(NEW).encode([PAYLOAD, PAYLOAD])
    assert one.data != other.data
    assert b"s3cret" not in one.SerializeToString()


async def test_after_a_rotation_old_payloads_are_read_and_new_ones_have_the_new_key() -> None:
    (before,) = await codec(OLD).encode([PAYLOAD])
    rotated = codec(NEW, OLD)
    assert await rotated.decode([before]) == [PAYLOAD]
    (after,) = await rotated.encode([PAYLOAD])
    assert after.metadata["encryption-key-id"] == b"new"
    with pytest.raises(InfrastructureError, match="there is no codec key 'new'; there are: old"):
        await codec(OLD).decode([after])


async def test_payloads_from_before_there_was_a_key_are_read() -> None:
    assert await codec(NEW).decode([PAYLOAD]) == [PAYLOAD]


@pytest.mark.parametrize("change", ["data", "cut", "key"])
async def test_a_payload_that_was_changed_is_refused(change: str) -> None:
    ring = codec(NEW, OLD)
    (sealed,) = await ring.encode([PAYLOAD])
    if change == "data":
        sealed.data = sealed.data[:-1] + bytes([sealed.data[-1] ^ 1])
    elif change == "cut":
        sealed.data = sealed.data[:5]
    else:
        sealed.metadata["encryption-key-id"] = b"old"
    with pytest.raises(InfrastructureError, match="cannot be decrypted"):
        await ring.decode([sealed])


# --- keys


def test_keys_come_from_one_variable_or_from_a_private_file(tmp_path: Path) -> None:
    assert keys_of({}) is None
    given = keys_of({KEYS_VARIABLE: f"{NEW}, {OLD}"})
    assert given is not None
    assert (given.current, list(given.keys)) == ("new", ["new", "old"])
    file = tmp_path / "keys"
    file.write_text(f"# rotated in November\n{NEW}\n\n{OLD}\n")
    file.chmod(0o600)
    assert keys_of({FILE_VARIABLE: str(file)}) == given
    file.chmod(0o644)
    with pytest.raises(InfrastructureError, match="can be read by others"):
        keys_of({FILE_VARIABLE: str(file)})


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (" ", "there is no codec key"),
        ("c2VjcmV0", "codec key 1 has no id"),
        (f"{NEW},{NEW}", "codec key 2 has no id of its own"),
        ("a:c2VjcmV0", "the codec key 'a' has 6 bytes"),
        ("a:s3cret!", "the codec key 'a' is no Base64"),
    ],
    ids=["none", "no name", "twice", "short", "no Base64"],
)
def test_keys_that_cannot_be_used_are_refused_without_being_quoted(text: str, problem: str) -> None:
    with pytest.raises(InfrastructureError) as caught:
        KeyRing.parse(text)
    assert problem in str(caught.value)
    assert "c2VjcmV0" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_ring_shows_no_key() -> None:
    assert NEW.partition(":")[2] not in repr(KeyRing.parse(NEW))


# --- on a server


@pytest.mark.temporal
async def test_the_history_of_an_encrypted_run_is_unreadable_and_its_run_is_not(
    temporal_server: str, task_queue: str
) -> None:
    converter = data_converter({KEYS_VARIABLE: f"{NEW},{OLD}"})
    client = await Client.connect(temporal_server, data_converter=converter)
    bench = Bench(client, task_queue)
    script = "function main({ n }) { return { n: n + '-s3cret' } }"
    schema = chain("sealed", start("n"), code("plus", script=script), end(n="plus.n"))
    failing = chain(
        "failing",
        start("n"),
        code("plus", script="function main() { throw Error('s3cret') }"),
        end(),
    )
    async with bench.worker():
        done = await bench.start(schema, {"n": "in-s3cret"})
        assert await done.wait() == Completed({"n": "in-s3cret-s3cret"})
        failed = await bench.start(failing, {"n": "in-s3cret"})
        status = await failed.wait()
    await bench.group.aclose()
    assert isinstance(status, Failed)
    assert "s3cret" in str(status)
    for handle in (done, failed):
        raw = b"".join(event.SerializeToString() for event in await history(handle, client))
        assert b"binary/encrypted" in raw
        assert b"s3cret" not in raw
        assert b"function main" not in raw
    assert any("s3cret" in str(event) for event in await read(done))
    # a reader with the rotated keys still reads it, one without does not
    rotated = data_converter({KEYS_VARIABLE: f"newest:{new_key()},{NEW}"})
    later = await Client.connect(temporal_server, data_converter=rotated)
    assert await later.get_workflow_handle(done.execution_id).result()
    blind = await Client.connect(temporal_server, data_converter=pydantic_data_converter)
    with pytest.raises(Exception, match="encrypted"):
        await blind.get_workflow_handle(done.execution_id).result()


# --- the endpoint


@pytest.fixture
def served() -> Iterator[CodecServer]:
    server = CodecServer(("127.0.0.1", 0), Endpoint(codec(NEW), "http://ui.example", "t0ken"))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def ask(
    server: CodecServer, path: str, body: bytes | str, method: str = "POST", **headers: str
) -> tuple[int, dict[str, Any], dict[str, str]]:
    connection = http.client.HTTPConnection(*server.server_address[:2], timeout=5)  # type: ignore[arg-type]
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    response = connection.getresponse()
    content = response.read()
    told = {name.lower(): value for name, value in response.getheaders()}
    connection.close()
    return response.status, json.loads(content) if content else {}, told


def body_of(*payloads: Payload) -> str:
    return json_format.MessageToJson(Payloads(payloads=payloads))


def test_the_endpoint_decodes_and_encodes_as_temporal_asks(served: CodecServer) -> None:
    status, encoded, _ = ask(served, "/t0ken/encode", body_of(PAYLOAD))
    assert status == 200
    assert base64.b64decode(encoded["payloads"][0]["metadata"]["encoding"]) == b"binary/encrypted"
    status, decoded, headers = ask(
        served, "/decode", json.dumps(encoded), authorization="Bearer t0ken"
    )
    assert json_format.ParseDict(decoded, Payloads()).payloads[0] == PAYLOAD
    assert headers["cache-control"] == "no-store"


@pytest.mark.parametrize("path", ["/decode", "/wrong/decode", "//decode", "/t0ken"])
def test_who_does_not_know_the_token_is_refused(served: CodecServer, path: str) -> None:
    assert ask(served, path, body_of(PAYLOAD))[0] == 401
    assert ask(served, path, body_of(PAYLOAD), authorization="Bearer wrong")[0] == 401


def test_pages_of_the_web_ui_may_ask_and_no_others(served: CodecServer) -> None:
    status, _, headers = ask(served, "/t0ken/decode", "", "OPTIONS", origin="http://ui.example")
    assert status == 204
    assert headers["access-control-allow-origin"] == "http://ui.example"
    assert "x-namespace" in headers["access-control-allow-headers"]
    for origin in ("http://evil.example", "null", "http://ui.example.evil.example"):
        _, _, headers = ask(served, "/t0ken/decode", "", "OPTIONS", origin=origin)
        assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/t0ken/decode", "no json", 400),
        ("/t0ken/decode", b"\xff\xfe", 400),
        ("/t0ken/decode", "[" * 100_000, 400),
        ("/t0ken/decode", '{"payloads": 5}', 400),
        ("/t0ken/other", "{}", 404),
    ],
)
def test_a_bad_request_is_answered_in_a_sentence(
    served: CodecServer, path: str, body: bytes | str, status: int
) -> None:
    got, answer, _ = ask(served, path, body)
    assert got == status
    assert answer["message"]
    assert ask(served, "/t0ken/encode", body_of(PAYLOAD))[0] == 200


def test_a_key_that_is_not_there_is_said(served: CodecServer) -> None:
    other = Payload(metadata={"encoding": b"binary/encrypted", "encryption-key-id": b"x"}, data=b"")
    status, answer, _ = ask(served, "/t0ken/decode", body_of(other))
    assert (status, answer["message"]) == (400, "there is no codec key 'x'; there are: new")
