"""The two providers of a run, time and ids: real ones, and fakes for tests (spec/runtime.md
1.2)."""

from __future__ import annotations

import time
import uuid


class RealTimeProvider:
    """The system's clock. Never inside a workflow: there the run's own clock is Temporal's."""

    def now_timestamp(self) -> int:
        """Unix seconds."""
        return int(time.time())

    def now_millis(self) -> int:
        """Unix milliseconds."""
        return int(time.time() * 1000)

    def elapsed_secs(self, since: int) -> int:
        """Whole seconds since a Unix time, never below 0."""
        return max(0, self.now_timestamp() - since)


class FakeTimeProvider:
    """A clock that stands still. Travels with a run as its timestamp (``RunOptions``)."""

    def __init__(self, fixed_timestamp: int) -> None:
        self.fixed_timestamp = fixed_timestamp

    def now_timestamp(self) -> int:
        return self.fixed_timestamp

    def now_millis(self) -> int:
        return self.fixed_timestamp * 1000

    def elapsed_secs(self, since: int) -> int:
        return max(0, self.fixed_timestamp - since)


class RealIdGenerator:
    """Random UUIDs (version 4)."""

    def next_id(self) -> str:
        return str(uuid.uuid4())


class FakeIdGenerator:
    """``prefix-0``, ``prefix-1``, …; travels with a run as its prefix (``RunOptions``)."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self._count = 0

    def next_id(self) -> str:
        taken = f"{self.prefix}-{self._count}"
        self._count += 1
        return taken
