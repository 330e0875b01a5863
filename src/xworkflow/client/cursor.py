"""The place in the log of a run, as text: how much of each of its workflows was read.

Opaque to everybody else. Events of a workflow are counted, and chunks for each value that came in
pieces, as their place among the events is another when they are read live. A sub-graph whose end
lies before the last event that was read of its parent needs no count: it was read whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from dataclasses import dataclass, field
from typing import Any, Final

from xworkflow.errors import InputError

ROOT: Final = ""
"""The key of the run itself; sub-graphs have the rest of their workflow id after it."""

_MAX_BYTES: Final = 4_000_000
_MAX_DIGITS: Final = 12


@dataclass(slots=True)
class Place:
    """What was read. ``chunks`` of each workflow and value: (times it began again, chunks since
    then)."""

    events: dict[str, int] = field(default_factory=dict[str, int])
    chunks: dict[str, dict[str, tuple[int, int]]] = field(
        default_factory=dict[str, dict[str, tuple[int, int]]]
    )

    def forget(self, key: str) -> None:
        """Drop the counts of a workflow that was read whole, and of those inside of it."""
        for counts in (self.events, self.chunks):
            for known in [k for k in counts if k == key or k.startswith(f"{key}/")]:
                del counts[known]

    def encode(self) -> str:
        """As text."""
        if not self.chunks and self.events.keys() <= {ROOT}:
            return str(self.events.get(ROOT, 0))
        packed = zlib.compress(
            json.dumps([self.events, self.chunks], separators=(",", ":")).encode()
        )
        return "t" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(cursor: str) -> Place:
    """The place that a cursor names. Raises InputError for what is none."""
    if cursor.isdecimal() and len(cursor) <= _MAX_DIGITS:
        return Place({ROOT: int(cursor)})
    try:
        packed = base64.urlsafe_b64decode(cursor[1:] + "=" * (-(len(cursor) - 1) % 4))
        events, chunks = json.loads(zlib.decompressobj().decompress(packed, _MAX_BYTES))
        return Place(
            {str(key): int(count) for key, count in events.items()},
            {str(key): _counts(counted) for key, counted in chunks.items()},
        )
    except (ValueError, binascii.Error, zlib.error, AttributeError, TypeError):
        raise InputError((f"'{cursor[:40]}' is no cursor of a run's events",)) from None


def _counts(counted: dict[str, Any]) -> dict[str, tuple[int, int]]:
    return {str(name): (int(again), int(count)) for name, (again, count) in counted.items()}
