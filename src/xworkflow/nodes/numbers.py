"""Numbers that were typed as text, in forms and constants of Dify's editor."""

from __future__ import annotations

import math


def parse_number(text: str) -> int | float | None:
    """The number that a text spells: whole where it is whole; None for all else (nan too)."""
    if "_" in text:  # Python's own spelling, nobody else's
        return None
    for number in (int, float):
        try:
            parsed = number(text)
        except ValueError:
            continue
        return parsed if math.isfinite(parsed) else None
    return None
