"""Reading what a sandbox process sends: it is not trusted, nor is the script behind it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from xworkflow.domain.foreign_json import NestedTooDeeply, read_json
from xworkflow.domain.values import MAX_DEPTH, JsonValue
from xworkflow.ports import CodeResult
from xworkflow.runtime_group.sandbox import failures

__all__ = ["MAX_DEPTH", "read_reply", "result_of"]


def read_reply(frame: bytes) -> dict[str, Any]:
    """The JSON object in a frame, with values as the variable pool holds them.

    Raises SandboxError when it is nested too deeply, ValueError when it is no such object.
    """
    try:
        reply: JsonValue = read_json(frame, max_depth=MAX_DEPTH + 1)  # a value lies inside of it
    except NestedTooDeeply:
        raise failures.nested_too_deeply() from None
    if not isinstance(reply, dict):
        raise ValueError("a reply is a JSON object")  # noqa: TRY004 - bad data, not a bad call
    return cast("dict[str, Any]", reply)


def result_of(reply: Mapping[str, Any], engine: str) -> CodeResult:
    """The result in a reply without an error. Raises SandboxError for one that holds none: a script
    can change what its engine answers."""
    stdout: JsonValue = reply.get("stdout", "")
    chunks: JsonValue = reply.get("chunks")
    if "value" not in reply or not isinstance(stdout, str):
        raise failures.unreadable(engine)
    if chunks is not None and not isinstance(chunks, list):
        raise failures.unreadable(engine)
    return CodeResult(
        value=reply["value"],
        stdout=stdout,
        engine=engine,
        chunks=None if chunks is None else tuple(cast("list[Any]", chunks)),
    )
