"""One sandbox process, seen from the worker."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Literal

from xworkflow.errors import SandboxError
from xworkflow.runtime_group.sandbox import failures, metrics
from xworkflow.runtime_group.sandbox.replies import read_reply

Engine = Literal["javascript", "python", "cpython", "wasm", "wasm_compiler", "template"]

_SCRIPT: Final = Path(__file__).parent / "child_process" / "start.py"
_LENGTH: Final = struct.Struct(">I")
_CHUNK: Final = 1 << 18
_START_SECS: Final = 30.0
_RESET_SECS: Final = 2.0
_GRACE_SECS: Final = 0.25
_READY_BYTES: Final = 4096


class _ProcessGoneError(Exception):
    """The stream ended: the process died, or was killed."""


class SandboxProcess:
    """A child process that runs one script at a time, and the framed talk with it.

    ``child_process/serving.py`` is the other side. Any call that does not end with a reply leaves
    the process killed and ``broken``: time limit, death, an oversized reply, cancellation. It
    belongs to the event loop that started it; whoever started it ends it with ``aclose``.
    """

    def __init__(self, engine: Engine, arguments: Sequence[str] = ()) -> None:
        """Start the process, in a session of its own: Ctrl-C at a terminal does not reach it.

        Blocks for the 1 to 2 ms that starting a program takes. Raises SandboxError when the machine
        refuses.
        """
        self.engine: Final = engine
        self.uses = 0
        self.broken = False
        self.grown = False
        self.idle_since = 0.0
        self.lockdown: tuple[str, ...] = ()
        self._ran_secs = 0.0
        self._ready = False
        self._closing = False
        self._talk = asyncio.Lock()
        self._socket, theirs = socket.socketpair()
        self._socket.setblocking(False)
        with theirs:
            try:
                self._process = _start(engine, theirs.fileno(), arguments)
            except OSError as error:
                self._socket.close()
                raise failures.unavailable(f"no process can be started: {error.strerror}") from None

    @property
    def process_id(self) -> int:
        return self._process.pid

    def is_sound(self) -> bool:
        """Whether an idle process still lives and has sent nothing that nobody asked for."""
        if self.broken:
            return False
        try:
            self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    def take_ran_secs(self) -> float:
        """The time of all calls since this was asked last."""
        ran, self._ran_secs = self._ran_secs, 0.0
        return ran

    async def wait_started(self) -> None:
        """Wait until the engine is loaded. Raises SandboxError when it does not start."""
        async with self._talk:
            if not await self._ready_within(_START_SECS):
                raise failures.unavailable(f"the {self.engine} process did not start")

    async def wait_reset(self) -> bool:
        """Whether the process made itself clean for the next call in time; else it is killed.

        A script may leave work behind (a timer that spins) that only shows after its reply.
        """
        async with self._talk:
            return await self._ready_within(_RESET_SECS)

    async def call(
        self, request: dict[str, Any], *, timeout_secs: float, max_reply_bytes: int
    ) -> dict[str, Any]:
        """Send one request and return its reply, JSON objects both.

        Raises SandboxError: time limit, death of the process (taken as out of memory, its usual
        cause), a reply that is too large, or nested too deeply.
        """
        async with self._talk:
            if not await self._ready_within(_RESET_SECS):
                raise self._death()
            self._ready = False
            self.uses += 1
            began = time.monotonic()
            try:
                frame = await self._exchange(request, timeout_secs, max_reply_bytes)
            finally:
                self._count_time(time.monotonic() - began)
        reply = self._parsed(frame)
        if failures.is_out_of_memory(reply):
            self.kill()  # it lives, but what it holds is not worth keeping (spec/runtime.md 2.7)
        return reply

    def kill(self) -> None:
        """End the process and what it started, at once; harmless when it is dead already."""
        self.broken = True
        if self._process.returncode is None:  # not reaped yet, so the id is still its own
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)

    async def aclose(self) -> None:
        """Kill the process and wait until it is gone; a call in progress fails."""
        self._closing = True
        self.kill()
        await asyncio.to_thread(self._process.wait)
        async with self._talk:
            self._socket.close()

    def abandon(self) -> None:
        """As ``aclose``, for a process whose event loop is closed; blocks until it is gone."""
        self.kill()
        self._socket.close()
        self._process.wait()

    def _count_time(self, secs: float) -> None:
        self._ran_secs += secs
        metrics.ran(self.engine, secs)

    async def _exchange(self, request: dict[str, Any], secs: float, max_reply_bytes: int) -> bytes:
        try:
            async with asyncio.timeout(secs + _GRACE_SECS):
                await self._send(json.dumps(request, ensure_ascii=False).encode("utf-8", "replace"))
                return await self._receive(max_reply_bytes)
        except TimeoutError:
            self.kill()
            raise failures.timed_out() from None
        except (_ProcessGoneError, OSError):
            self.kill()
            raise self._death() from None
        except BaseException:
            self.kill()
            raise

    def _parsed(self, frame: bytes) -> dict[str, Any]:
        try:
            return read_reply(frame)
        except ValueError:
            self.kill()  # whatever it is by now, it is not our engine
            raise failures.unreadable(self.engine) from None

    def _death(self) -> SandboxError:
        if self._closing:
            return failures.unavailable("the pool was closed")
        return failures.out_of_memory()

    async def _ready_within(self, seconds: float) -> bool:
        if self.broken or self._ready:
            return not self.broken
        try:
            async with asyncio.timeout(seconds):
                ready = json.loads(await self._receive(_READY_BYTES))
        except (TimeoutError, _ProcessGoneError, OSError, ValueError, TypeError, SandboxError):
            self.kill()
            return False
        except BaseException:
            self.kill()
            raise
        if "lockdown" in ready and self.uses == 0:
            self.lockdown = tuple(map(str, ready["lockdown"]))
        self.grown = "grown" in ready
        self._ready = True
        return True

    async def _send(self, frame: bytes) -> None:
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(self._socket, _LENGTH.pack(len(frame)) + frame)

    async def _receive(self, max_bytes: int) -> bytes:
        (length,) = _LENGTH.unpack(await self._read(_LENGTH.size))
        if length > max_bytes:
            raise failures.output_too_large(max_bytes, length)
        return await self._read(length)

    async def _read(self, count: int) -> bytes:
        loop = asyncio.get_running_loop()
        data = bytearray()
        while len(data) < count:
            part = await loop.sock_recv(self._socket, min(count - len(data), _CHUNK))
            if not part:
                raise _ProcessGoneError
            data += part
        return bytes(data)


def _start(engine: Engine, channel: int, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - our own script
        [sys.executable, "-I", str(_SCRIPT), engine, _import_path(), *arguments],
        stdin=channel,
        stdout=channel,
        stderr=subprocess.DEVNULL,
        env={},
        cwd="/",
        start_new_session=True,
    )


def _import_path() -> str:
    """What the worker can import, as an argument: the child has no environment."""
    return json.dumps([str(Path(entry).absolute()) for entry in sys.path if entry])
