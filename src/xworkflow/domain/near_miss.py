"""Near misses: what a user probably meant by a misspelt type, key, node or variable."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

CUTOFF = 0.7
"""How alike two words must be; below it a suggestion would rather mislead."""


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that is closest, if any is close. Independent of the order of a set."""
    found = get_close_matches(word, sorted(set(known) - {word}), n=1, cutoff=CUTOFF)
    return found[0] if found else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message that asks for the closest known word; empty when none is close."""
    near = nearest(word, known)
    return f"; did you mean '{near}'?" if near else ""
