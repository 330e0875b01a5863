"""What a process sends is read with care."""

from __future__ import annotations

import json
from typing import Any

import pytest

from xworkflow.errors import SandboxError
from xworkflow.runtime_group.sandbox import failures
from xworkflow.runtime_group.sandbox.replies import MAX_DEPTH, read_reply, result_of


def nested(depth: int) -> bytes:
    return b'{"value":' + b"[" * depth + b"]" * depth + b"}"


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 500_000])
def test_values_nested_too_deeply_are_refused(depth: int) -> None:
    assert read_reply(nested(MAX_DEPTH))
    with pytest.raises(SandboxError, match="nested too deeply"):
        read_reply(nested(depth))


def test_many_values_side_by_side_are_not_deep() -> None:
    value: list[list[dict[str, int]]] = [[{}] for _ in range(1000)]
    assert read_reply(json.dumps({"value": value}).encode()) == {"value": value}


@pytest.mark.parametrize(
    ("text", "number"),
    [("9223372036854775807", 2**63 - 1), ("9223372036854775808", 2.0**63), ("-1", -1)],
)
def test_whole_numbers_keep_to_64_bits(text: str, number: float) -> None:
    value = read_reply(b'{"value":%s}' % text.encode())["value"]
    assert value == number
    assert type(value) is type(number)


def test_half_surrogates_become_replacement_characters() -> None:
    frame = rb'{"value":{"k\ud83d":["\ude00x","\ud83d\ude00"]}}'
    assert read_reply(frame)["value"] == {"k\ufffd": ["\ufffdx", "😀"]}


@pytest.mark.parametrize("frame", [b"", b"[]", b"nonsense", b"1", b"\xff"])
def test_what_is_no_object_is_refused(frame: bytes) -> None:
    with pytest.raises(ValueError, match=r"JSON|Expecting|decode"):
        read_reply(frame)


@pytest.mark.parametrize(
    "reply",
    [{}, {"value": 1, "stdout": {}}, {"value": 1, "stdout": "", "chunks": 5}, {"stdout": ""}],
)
def test_a_reply_that_holds_no_result_is_an_error_of_the_sandbox(reply: dict[str, Any]) -> None:
    with pytest.raises(SandboxError, match="the v8 process gave no answer"):
        result_of(reply, "v8")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("sandbox_timeout", "sandbox_timeout"),
        ("template_error", "template_error"),
        ("resource_limit_exceeded", "sandbox_execution_error"),
        ("x" * 1_000_000, "sandbox_execution_error"),
        ({"a": []}, "sandbox_execution_error"),
    ],
)
def test_a_process_reports_its_own_errors_and_no_others(code: Any, told: str) -> None:
    error = failures.reported({"error": code, "text": "x" * 1_000_000})
    assert error.code == told
    assert len(str(error)) < 5_000
