"""Ids that a run makes, as a pure function of where it stands (spec/graph.md 5.8).

A reader of a history makes the same ids again, so events carry ids that never had to be stored.
"""

from __future__ import annotations

import hashlib
import uuid
from dataclasses import dataclass

_NAMESPACE = uuid.UUID("6f2d5c0e-6a0e-5d0c-9c4b-7a8e2f1d3b10").bytes


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
        return _uuid5(f"{self.base}:{count}")


def derived_id(name: str) -> str:
    """An id for something that has a name of its own in a run, outside of its sequence."""
    return _uuid5(name)


def _uuid5(name: str) -> str:
    """As ``str(uuid.uuid5(_NAMESPACE, name))``, at a fifth of its cost: two for each node."""
    digest = hashlib.sha1(_NAMESPACE + name.encode(), usedforsecurity=False).hexdigest()
    variant = "89ab"[int(digest[16], 16) & 3]
    return f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-{variant}{digest[17:20]}-{digest[20:32]}"
