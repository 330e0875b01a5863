"""Worker processes that are killed at chosen moments, and replaced at once."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from xworkflow.embedded.worker_process import READY_LINE, worker_command

ROOT = Path(__file__).resolve().parents[2]
WORKERS = 2


class Workers:
    """A few worker processes; one that is killed is replaced at once."""

    def __init__(self, address: str, queue: str) -> None:
        self._command = worker_command(address, queue)
        self.alive: list[subprocess.Popen[bytes]] = []
        self.kills: list[float] = []

    def start(self) -> None:
        self.alive.append(
            subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
            )
        )

    def wait_ready(self, worker: subprocess.Popen[bytes]) -> None:
        assert worker.stdout is not None
        while line := worker.stdout.readline():
            if line.strip().endswith(READY_LINE):
                return
        raise AssertionError("a worker does not start")

    def kill(self, chosen: random.Random) -> None:
        victim = self.alive.pop(chosen.randrange(len(self.alive)))
        self.kills.append(time.time())
        victim.send_signal(signal.SIGKILL)
        victim.wait()
        self.kills.append(time.time())
        if victim.stdout is not None:
            victim.stdout.close()
        self.start()

    @contextmanager
    def running(self) -> Generator[None]:
        try:
            for _ in range(WORKERS):
                self.start()
            for worker in self.alive:
                self.wait_ready(worker)
            yield
        finally:
            for worker in self.alive:
                worker.kill()
                worker.wait()
                if worker.stdout is not None:
                    worker.stdout.close()
