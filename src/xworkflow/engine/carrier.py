"""What one workflow carries: a whole run, or a chunk of a container's items side by side.

The shell, a local region and a reader of a history all talk to a ``Carrier``. It holds one driver
for each *lane*: a run has one, lane 0; a chunk has one for each item in flight, numbered as the
item. Deterministic, so replay-safe.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from xworkflow.domain.commands import CancelChunk, CancelNode, StartChunk, StartNode
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.facts import Fact, RunStarted
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd
from xworkflow.domain.state import RunState, dump_state
from xworkflow.domain.wire import PathStep
from xworkflow.engine.compile import Compiled
from xworkflow.engine.composing import Composer, composer
from xworkflow.engine.driver import Driver, Effect


@dataclass(frozen=True, slots=True)
class FinishChunk:
    """The chunk is over."""

    end: ChunkEnd


LaneEffect: TypeAlias = tuple[int, Effect | FinishChunk]
"""An effect, with the lane that it belongs to."""


def settled(effects: list[LaneEffect]) -> list[LaneEffect]:
    """Without what was started and stopped again before anybody could carry it out: the lane that
    it belongs to may have ended with it."""
    started: dict[tuple[int, ...], int] = {}
    undone: set[int] = set()
    for place, (lane, effect) in enumerate(effects):
        match effect:
            case StartNode(node, attempt):
                started[lane, node, attempt] = place
            case StartChunk(node, attempt, start=start):
                started[lane, node, attempt, start] = place
            case CancelNode(node, attempt) if (lane, node, attempt) in started:
                undone |= {place, started.pop((lane, node, attempt))}
            case CancelChunk(node, attempt, start) if (lane, node, attempt, start) in started:
                undone |= {place, started.pop((lane, node, attempt, start))}
            case _:
                pass
    return [e for place, e in enumerate(effects) if place not in undone] if undone else effects


class Carrier(ABC):
    """One workflow's work. ``lanes`` are the drivers of what is in flight, by number."""

    compiled: Compiled
    lanes: dict[int, Driver]
    events: int
    """How many events there were: the number of the next one."""
    breathes: bool = False
    """Whether it has more to do, but not on the same activation: ``go_on`` after the next region,
    which may be an empty one."""
    is_long: bool = False
    """Whether a replay of this history would compute for long: then it is drained."""
    composers: dict[int, Composer] | None
    """Of a reader: what composes the chunks of each lane, kept from one history to the next."""

    @abstractmethod
    def begin(self, at: int) -> list[LaneEffect]:
        """Start from nothing. ``at`` is Unix ms, here and below."""

    @abstractmethod
    def feed(self, lane: int, fact: Fact) -> list[LaneEffect]:
        """Take a fact about one lane in; facts for lanes that have ended change nothing."""

    @abstractmethod
    def tell(self, fact: Fact) -> list[LaneEffect]:
        """Take a fact in that concerns all: a stop, a pause, a drain, its end."""

    def go_on(self) -> list[LaneEffect]:
        """After a region: go on with what was put off, if there is anything."""
        return []

    @abstractmethod
    def dump(self) -> dict[str, Any]:
        """Where it stands, as JSON data."""

    @abstractmethod
    def dump_for_region(self, starts: Sequence[tuple[int, StartNode]]) -> dict[str, Any]:
        """The same for a region that starts with these nodes: cut down to what it may read."""

    @property
    @abstractmethod
    def config(self) -> EngineConfig: ...

    @property
    @abstractmethod
    def now(self) -> int:
        """The time of the last fact."""

    @property
    @abstractmethod
    def draining(self) -> bool: ...

    @abstractmethod
    def path(self, lane: int) -> tuple[PathStep, ...]:
        """The steps into containers at whose end a lane runs; none for a whole run."""

    def composer(self, lane: int, compiled: Compiled, id_base: str) -> Composer | None:
        """The composer of a lane, made when it starts."""
        if self.composers is None:
            return None
        return self.composers.setdefault(lane, composer(compiled, id_base))

    def chunk_event(self, lane: int, content: Content) -> GraphEngineEvent:
        """A chunk that was read live, as an event of a lane."""
        del lane
        return GraphEngineEvent(self.events - 1, self.now, *content)

    def find_asked(self, answer: HumanAnswer) -> tuple[int, int] | None:
        """(lane, node) of the question that an answer is for."""
        for lane, driver in self.lanes.items():
            node = driver.asked(answer)
            if node is not None:
                return lane, node
        return None


class SingleRun(Carrier):
    """A whole run, or an error handler's."""

    def __init__(
        self,
        compiled: Compiled,
        state: RunState,
        composers: dict[int, Composer] | None = None,
        *,
        in_region: bool = False,
    ) -> None:
        self.compiled = compiled
        self.composers = composers
        made = self.composer(0, compiled, state.ids.base)
        self.driver = Driver(compiled, state, made, in_region=in_region)
        self.lanes = {0: self.driver}
        self.events = state.events

    def begin(self, at: int) -> list[LaneEffect]:
        return self.feed(0, RunStarted(at))

    def feed(self, lane: int, fact: Fact) -> list[LaneEffect]:
        effects = self.driver.feed(fact)
        self.events = self.driver.state.events
        return settled([(lane, effect) for effect in effects])

    def tell(self, fact: Fact) -> list[LaneEffect]:
        return self.feed(0, fact)

    def dump(self) -> dict[str, Any]:
        return dump_state(self.driver.state)

    def dump_for_region(self, starts: Sequence[tuple[int, StartNode]]) -> dict[str, Any]:
        return dump_state(self.driver.region_state([start for _, start in starts]))

    @property
    def config(self) -> EngineConfig:
        return self.driver.state.config

    @property
    def now(self) -> int:
        return self.driver.state.now

    @property
    def draining(self) -> bool:
        return self.driver.state.draining

    def path(self, lane: int) -> tuple[PathStep, ...]:
        del lane
        return ()
