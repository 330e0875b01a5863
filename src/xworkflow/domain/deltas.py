"""Live pieces on their way from a node's activity to whoever reads along. They are in no history,
and nothing that a run gives depends on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

ANNOUNCEMENT: Final = 0
"""The number of the item that says: what came before of this node does not count."""


@dataclass(frozen=True, slots=True)
class StreamKey:
    """One writer of deltas: one execution of one attempt of one node.

    ``path`` names the node's execution within the run, over bodies and rounds. ``activity_try``
    counts Temporal's retries of the attempt's activity, from 1: each of them starts the answer
    again.
    """

    run_id: str
    path: str
    attempt: int = 1
    activity_try: int = 1

    @property
    def generation(self) -> tuple[int, int]:
        """Of two writers of one path, the one with the greater generation counts."""
        return self.attempt, self.activity_try

    @property
    def is_again(self) -> bool:
        """Whether another writer may have come before."""
        return self.generation > (1, 1)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of an output. A writer numbers its pieces from 1, without gaps."""

    seq: int
    variable: str
    text: str


@dataclass(frozen=True, slots=True)
class StreamItem:
    """What a reader gets: a piece, or the news that a node starts its output again.

    ``cursor`` is the place of the item in its run; reading after it goes on with the next.
    """

    cursor: int
    key: StreamKey
    delta: Delta

    @property
    def is_replacement(self) -> bool:
        """Whether it tells that what came before of its path does not count (and is no piece)."""
        return self.delta.seq == ANNOUNCEMENT
