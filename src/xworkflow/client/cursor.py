"""The place in the log of a run, as text: how many events of each of its workflows were read.

Opaque to everybody else. A sub-graph whose end lies before the last event that was read of its
parent needs no number: it was read whole.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from collections.abc import Mapping
from typing import Final

from xworkflow.errors import InputError

ROOT: Final = ""
"""The key of the run itself; sub-graphs have the rest of their workflow id after it."""

_MAX_BYTES: Final = 1_000_000


def encode(counts: Mapping[str, int]) -> str:
    """The cursor of these counts of events."""
    if counts.keys() <= {ROOT}:
        return str(counts.get(ROOT, 0))
    packed = zlib.compress(json.dumps(dict(counts), separators=(",", ":")).encode())
    return "t" + base64.urlsafe_b64encode(packed).decode().rstrip("=")


def decode(cursor: str) -> dict[str, int]:
    """The counts of a cursor. Raises InputError for what is none."""
    try:
        if cursor.isdecimal() and len(cursor) < 12:  # noqa: PLR2004 - no run has more events
            return {ROOT: int(cursor)}
        packed = base64.urlsafe_b64decode(cursor[1:] + "=" * (-(len(cursor) - 1) % 4))
        text = zlib.decompressobj().decompress(packed, _MAX_BYTES)
        counts = json.loads(text)
        return {str(name): int(count) for name, count in counts.items()}
    except (ValueError, binascii.Error, zlib.error, AttributeError, TypeError):
        raise InputError((f"'{cursor[:40]}' is no cursor of a run's events",)) from None
