"""The conversation of a sandbox process with its worker.

One socket, given as stdin and stdout, carries frames both ways: 4 bytes of length, big endian, then
JSON. The child sends ``READY`` when the next call can start; then come one request and one reply.
The end of the stream means that the worker is gone, and ends the process.
"""

import json
import os
import struct
from typing import Any, NoReturn, Protocol

from . import lockdown

READY = b"{}"
_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18


class Engine(Protocol):
    """Runs scripts; nothing of one call may be seen by the next."""

    def prepare(self) -> None:
        """Make a clean place for the next call, and drop that of the last one."""
        ...

    def run(self, request: dict[str, Any]) -> bytes:
        """Run one script; the reply is a JSON object, see ``reply`` and ``failure``."""
        ...


def reply(value_json: str, stdout: str) -> bytes:
    """A result whose value is JSON text already."""
    return f'{{"value":{value_json},"stdout":{json.dumps(stdout)}}}'.encode()


def failure(code: str, text: str) -> bytes:
    """A failed call: one of the codes of spec/runtime.md 2.6, and its text."""
    return json.dumps({"error": code, "text": text}).encode()


def serve(engine: Engine) -> NoReturn:
    """Answer calls until the worker goes away."""
    channel = _private_channel()
    lockdown.die_with_parent()
    lockdown.forbid_files()
    while True:
        engine.prepare()
        _send(channel, READY)
        request = json.loads(_receive(channel))
        lockdown.allow(cpu_secs=request["timeout_secs"], memory_bytes=request["memory_bytes"])
        _send(channel, engine.run(request))


def _private_channel() -> int:
    """Move the socket away from stdin and stdout, so that nothing printed can look like a frame."""
    channel = os.dup(0)
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.close(nothing)
    return channel


def _send(channel: int, frame: bytes) -> None:
    rest = memoryview(_LENGTH.pack(len(frame)) + frame)
    while rest:
        rest = rest[os.write(channel, rest) :]


def _receive(channel: int) -> bytes:
    (length,) = _LENGTH.unpack(_read(channel, _LENGTH.size))
    return _read(channel, length)


def _read(channel: int, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = os.read(channel, min(count, _CHUNK))
        if not part:
            os._exit(0)  # at once: tearing an engine down may hang or crash
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
