"""The conversation of a sandbox process with its worker.

One socket, given as stdin and stdout, carries frames both ways: 4 bytes of length, big endian, then
JSON. The child says what it gave up when the first call can start, and before each later one that
it is ``READY``, or ``GROWN``: ready, but holding so much memory that a new one is better. Between
these come one request and one reply.
The end of the stream means that the worker is gone, and ends the process.
"""

import gc
import json
import os
import select
import signal
import struct
from threading import Thread
from typing import Any, ClassVar, NoReturn, Protocol

from . import lockdown

READY = b"{}"
GROWN = b'{"grown":true}'
_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 18


class Engine(Protocol):
    """Runs scripts; nothing of one call may be seen by the next.

    ``reads_to_start`` and ``reads_to_run`` are the files and directories that it needs for that,
    ``executes`` the programs that it starts before its first call. One that ``forks`` for each call
    runs on nothing but the kernel's walls, and does not run without them. ``may_keep_bytes`` is
    what it may hold between calls beyond what it held before the first.
    """

    reads_to_start: ClassVar[tuple[str, ...]]
    reads_to_run: ClassVar[tuple[str, ...]]
    executes: ClassVar[tuple[str, ...]]
    forks: ClassVar[bool]
    may_keep_bytes: ClassVar[int]

    def prepare(self) -> None:
        """Make a clean place for the next call, and drop that of the last one."""
        ...

    def run(self, request: dict[str, Any]) -> bytes:
        """Run one script; the reply is a JSON object, see ``reply`` and ``failure``."""
        ...


def reply(value_json: str, stdout: str) -> bytes:
    """A result whose value is JSON text already."""
    printed = json.dumps(stdout, ensure_ascii=False)
    return f'{{"value":{value_json},"stdout":{printed}}}'.encode(errors="replace")


def failure(code: str, text: str) -> bytes:
    """A failed call: one of the codes of spec/runtime.md 2.6, and its text."""
    return json.dumps({"error": code, "text": text}).encode()


def serve(kind: type[Engine]) -> NoReturn:
    """Lock the process down, start the engine, and answer calls until the worker goes away."""
    channel = _private_channel()
    if not kind.executes:
        lockdown.die_with_parent()
    given_up = lockdown.isolate(kind.reads_to_start, kind.executes)
    if kind.executes:
        Thread(target=_end_group_with_worker, args=(channel,), daemon=True).start()
    engine = kind()
    engine.prepare()
    given_up += lockdown.seal(kind.reads_to_run, forks=kind.forks)
    if kind.forks and not {"seccomp", "landlock"} <= {*given_up}:
        os._exit(1)
    gc.freeze()  # what is there now stays: no collection needs to look at it
    _send(channel, json.dumps({"lockdown": given_up}).encode())
    answer(engine, channel)


def answer(engine: Engine, channel: int) -> NoReturn:
    """Answer calls until the worker goes away."""
    most = lockdown.held_bytes() + engine.may_keep_bytes
    while True:
        request = json.loads(_receive(channel))
        lockdown.allow(cpu_secs=request["timeout_secs"], memory_bytes=request["memory_bytes"])
        _send(channel, engine.run(request))
        engine.prepare()
        _send(channel, GROWN if lockdown.held_bytes() > most else READY)


def _end_group_with_worker(channel: int) -> None:
    """Kill this process and its own ones when the worker is gone: the kernel would kill one."""
    gone = select.poll()
    gone.register(channel, getattr(select, "POLLRDHUP", select.POLLHUP))
    gone.poll()
    os.kill(0, signal.SIGKILL)


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
