"""Numbers as they stand in a text: those that JSON can hold, and that stay what they are."""

from __future__ import annotations

import math
from typing import Final

_I64_MIN: Final = -(2**63)
_I64_MAX: Final = 2**63 - 1
_MAX_DIGITS: Final = 400
"""No 64-bit float holds more; converting longer texts is slow, or refused by Python."""


def integer(text: str) -> int | float | str:
    """An integer; beyond 64 bits a float (spec/graph.md 3.2), and beyond that the text itself."""
    if len(text) > _MAX_DIGITS:
        return text
    value = int(text)
    return value if _I64_MIN <= value <= _I64_MAX else real(text)


def real(text: str) -> float | str:
    """A float; the text itself where no finite float holds it."""
    value = float(text)
    return value if math.isfinite(value) else text
