"""Ids that a run makes, as a pure function of where it stands (spec/graph.md 5.8).

A reader of a history makes the same ids again, so events carry ids that never had to be stored.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass

_NAMESPACE = uuid.UUID("6f2d5c0e-6a0e-5d0c-9c4b-7a8e2f1d3b10")


@dataclass(frozen=True, slots=True)
class IdSequence:
    """The next id. ``fake_prefix`` gives ``prefix-0``, ``prefix-1``, …; else UUIDs from
    ``base``."""

    base: str
    fake_prefix: str | None = None
    count: int = 0

    def take(self) -> tuple[str, IdSequence]:
        """The next id, and the sequence after it."""
        return self._at(self.count), IdSequence(self.base, self.fake_prefix, self.count + 1)

    def _at(self, count: int) -> str:
        if self.fake_prefix is not None:
            return f"{self.fake_prefix}-{count}"
        return str(uuid.uuid5(_NAMESPACE, f"{self.base}:{count}"))
