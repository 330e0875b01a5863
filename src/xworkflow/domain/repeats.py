"""What a container repeats: its body, once for each item or round after round (spec/graph.md 7).

Plain frozen data: it stands in ``RunState`` and crosses to child workflows.
"""

from __future__ import annotations

from typing import Final, Literal

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.results import LlmUsage, PoolWrite
from xworkflow.domain.selectors import SCOPE, Selector
from xworkflow.domain.values import JsonValue

OnFailure = Literal["terminate", "null", "drop"]
"""What a failed body means: the container fails, or null stands in its place, or nothing does."""

LOOP_ENDED: Final[Selector] = ("loop", "__ended")
"""Written by a loop-end node; the loop stops after the round in which it is true."""


ITEM_INDEX: Final[Selector] = (SCOPE, "__index")
"""The number of the item or round, in every body's scope."""


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


class ChunkEnd(_Data):
    """What a chunk brings back from its child workflow.

    ``outcomes`` in the order of its items, ``carry`` and ``rounds`` of a fold. ``error`` ends the
    container: an item failed where that is not tolerated, or the child was lost. ``writes`` are
    those of its bodies that outlive them (Dify's rule), ``answer`` the text of their answers.
    ``waited_ms`` is time in which all of it waited for people.
    """

    outcomes: tuple[ItemOutcome, ...] = ()
    carry: JsonValue = None
    rounds: int = 0
    error: str | None = None
    writes: tuple[PoolWrite, ...] = ()
    answer: str | None = None
    usage: LlmUsage | None = None
    exceptions: int = 0
    waited_ms: int = 0
    stopped: bool = False
    """It ended early by a safe stop; nothing of it counts."""


class OpenChunk(_Data):
    """A chunk whose child workflow runs."""

    start: int
    count: int


class Progress(_Data):
    """Where a container stands: what was given out, and what came back. ``due_at`` (Unix ms) is the
    end of the time that one attempt of it has, if there is one."""

    repeat: Repeat
    size: int = 1
    children: int = 1
    window: int = 1
    next: int = 0
    open: tuple[OpenChunk, ...] = ()
    ended: tuple[tuple[int, ChunkEnd], ...] = ()
    stopped: bool = False
    closing: bool = False
    due_at: int | None = None
    quiet: bool = False
    """Whether what is answered inside is shown only when the container ends."""
    returned: tuple[OpenChunk, ...] = ()
    """What is left of chunks that ended early, as their results were large; it goes out first."""

    @property
    def total(self) -> int:
        """How many items there are; 0 for rounds without items."""
        return len(self.repeat.items or ())

    def give_out(self) -> tuple[Progress, OpenChunk | None]:
        """The next chunk, while there is a free place and something left."""
        if self.stopped or len(self.open) >= self.children or not self._is_left():
            return self, None
        if self.returned:
            chunk, *others = self.returned
            update = {"returned": tuple(others), "open": (*self.open, chunk)}
            return self.model_copy(update=update), chunk
        count = min(self.size, self.total - self.next)
        chunk = OpenChunk(start=self.next, count=count)
        following = self.next + max(count, 1)
        return self.model_copy(update={"next": following, "open": (*self.open, chunk)}), chunk

    def take(self, start: int, end: ChunkEnd) -> Progress | None:
        """With a chunk's end; None for one that is not open."""
        left = tuple(chunk for chunk in self.open if chunk.start != start)
        if len(left) == len(self.open):
            return None
        returned, done = self.returned, len(end.outcomes)
        for chunk in self.open:
            if chunk.start == start and 0 < done < chunk.count and end.error is None:
                rest = OpenChunk(start=start + done, count=chunk.count - done)
                returned = (*returned, rest)
        ended = self.ended if end.stopped else (*self.ended, (start, end))
        return self.model_copy(
            update={
                "open": left,
                "ended": ended,
                "stopped": self.stopped or end.stopped,
                "returned": () if end.stopped else returned,
            }
        )

    @property
    def is_over(self) -> bool:
        return not self.open and not self._is_left() and not self.stopped

    @property
    def end(self) -> RepeatEnd:
        """All that came back, in the order of the items."""
        ends = [end for _, end in sorted(self.ended, key=lambda entry: entry[0])]
        return RepeatEnd(
            outcomes=tuple(outcome for end in ends for outcome in end.outcomes),
            carry=ends[-1].carry if ends else self.repeat.carry,
            rounds=sum(end.rounds for end in ends),
        )

    @property
    def answer(self) -> str | None:
        """The text of all answers inside, in the order of the items."""
        ends = [end for _, end in sorted(self.ended, key=lambda entry: entry[0])]
        texts = [end.answer for end in ends if end.answer is not None]
        return "".join(texts) if texts else None

    def _is_left(self) -> bool:
        if self.returned:
            return True
        if self.repeat.items is None:
            return self.next == 0
        return self.next < self.total


MAX_CHUNKS: Final = 120
"""Child workflows of one container: each costs its parent up to nine events of its history."""
QUICK_CHUNK: Final = 250
"""Items in a chunk whose body is quick; they are carried in one local region, or a few."""
QUICK_CHILDREN: Final = 2


def opened(repeat: Repeat, *, quick: bool, quiet: bool = False) -> Progress:
    """How a container is cut into chunks.

    A quick body (nothing but inline and local nodes) goes in few large chunks, each with a window
    of items side by side; a slow one in the smallest that keep the parent's history short, so that
    a free place always takes the next item.
    """
    total, parallelism = len(repeat.items or ()), max(1, repeat.parallelism)
    if repeat.folds:
        return Progress(repeat=repeat, size=max(1, total), quiet=quiet)
    if quick:
        children = min(parallelism, QUICK_CHILDREN)
        fair = -(-total // (4 * children)) if parallelism > 1 else total
        size = max(-(-total // MAX_CHUNKS), min(QUICK_CHUNK, max(fair, 1)))
        window = max(1, parallelism // children)
        return Progress(repeat=repeat, size=size, children=children, window=window, quiet=quiet)
    size = max(1, -(-total // MAX_CHUNKS))
    return Progress(repeat=repeat, size=size, children=parallelism, quiet=quiet)
