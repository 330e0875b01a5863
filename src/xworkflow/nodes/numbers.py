"""Numbers that were typed as text, in forms and constants of Dify's editor."""

from __future__ import annotations

from xworkflow.domain.values import normalise


def parse_number(text: str) -> int | float | None:
    """The number that a text spells: whole where it is whole, beyond 64 bits a float.

    None for all else: nan, infinities, and what no float can hold.
    """
    if "_" in text:  # Python's own spelling, nobody else's
        return None
    for number in (int, float):
        try:
            return normalise(number(text))
        except ValueError:
            continue
        except TypeError:
            return None
    return None
