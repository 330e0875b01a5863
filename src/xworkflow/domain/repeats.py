"""What a container repeats: its body, once for each item or round after round (spec/graph.md 7).

Plain frozen data: it stands in ``RunState`` and crosses to child workflows.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue

OnFailure = Literal["terminate", "null", "drop"]
"""What a failed body means: the container fails, or null stands in its place, or nothing does."""

LOOP_ENDED: Final[Selector] = ("loop", "__ended")
"""Written by a loop-end node; the loop stops after the round in which it is true."""


class _Data(BaseModel):
    model_config = ConfigDict(frozen=True)


class Repeat(_Data):
    """What an opened container has to do.

    ``items`` is None for rounds without items (loop). With ``folds`` each run of the body sees the
    ``carry`` that the one before it left, so they come one after another in one child workflow;
    without, up to ``parallelism`` items run side by side, in chunks.
    """

    items: tuple[JsonValue, ...] | None = None
    carry: JsonValue = None
    folds: bool = False
    parallelism: int = 1
    on_failure: OnFailure = "terminate"


class ItemOutcome(_Data):
    """How the body ended for one item: its value, or the text of its run's error."""

    value: JsonValue = None
    error: str | None = None


class RepeatEnd(_Data):
    """The end of a container that did not fail: outcomes in the order of the items, failed ones
    included (``on_failure`` is not applied yet); for folds the last carry and how many rounds ran.
    """

    outcomes: tuple[ItemOutcome, ...] = ()
    carry: JsonValue = None
    rounds: int = 0
