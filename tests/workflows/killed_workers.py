"""Worker processes that are killed at chosen moments, and replaced at once."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from xworkflow.embedded.worker_process import READY_LINE

ROOT = Path(__file__).resolve().parents[2]


def seeded() -> tuple[int, random.Random]:
    """What chooses the moments. Its seed is printed, and set with ``XWORKFLOW_KILL_SEED``."""
    seed = int(os.environ.get("XWORKFLOW_KILL_SEED") or time.time_ns() % 10**6)
    sys.stdout.write(f"XWORKFLOW_KILL_SEED={seed}\n")
    return seed, random.Random(seed)  # noqa: S311 - moments, not secrets


class Workers:
    """So many processes of one command. ``kills`` has the times before and after each kill."""

    def __init__(self, command: Sequence[str], count: int = 2) -> None:
        self.kills: list[float] = []
        self._command = command
        self._count = count
        self._alive: list[subprocess.Popen[bytes]] = []

    def kill(self, chosen: random.Random) -> None:
        """Kill one of them, and start another."""
        victim = self._alive.pop(chosen.randrange(len(self._alive)))
        self.kills.append(time.time())
        _end(victim)
        self.kills.append(time.time())
        self._start()

    @contextmanager
    def running(self) -> Generator[None]:
        try:
            for _ in range(self._count):
                self._start()
            for worker in self._alive:
                _wait_ready(worker)
            yield
        finally:
            for worker in self._alive:
                _end(worker)

    def _start(self) -> None:
        self._alive.append(
            subprocess.Popen(
                self._command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd=ROOT
            )
        )


def _wait_ready(worker: subprocess.Popen[bytes]) -> None:
    assert worker.stdout is not None
    while line := worker.stdout.readline():
        if line.strip().endswith(READY_LINE):
            return
    raise AssertionError("a worker does not start")


def _end(worker: subprocess.Popen[bytes]) -> None:
    worker.send_signal(signal.SIGKILL)
    worker.wait()
    if worker.stdout is not None:
        worker.stdout.close()
