"""Locks between processes, held on a file.

The kernel drops them when their owner dies, whatever way it dies. So nobody has to judge by a
process id whether an owner still lives.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path


class FileLock:
    """One holder's lock on ``path``; owned by the process and never inherited by a child."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None

    def try_acquire(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody is in the way; False otherwise.

        A holder may ask for the other mode. When that is refused it has lost what it held.
        """
        held = self._file
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600) if held is None else held
        mode = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        try:
            fcntl.flock(file, mode | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            self._file = None
            return False
        self._file = file
        return True

    async def acquire(self, *, shared: bool = False, poll_secs: float = 0.02) -> None:
        """Wait for the lock. Polls, so that a cancel leaves no thread behind in the kernel."""
        while not self.try_acquire(shared=shared):
            await asyncio.sleep(poll_secs)

    def wait(self) -> None:
        """Block the whole process until the lock is held alone; for one with nothing else to do."""
        self.release()
        file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        self._file = file
        fcntl.flock(file, fcntl.LOCK_EX)

    def release(self) -> None:
        """Let go. Harmless when not held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


@asynccontextmanager
async def exclusive(path: Path) -> AsyncGenerator[None]:
    """Hold ``path`` alone for the length of a block."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path)
    await lock.acquire()
    try:
        yield
    finally:
        lock.release()
