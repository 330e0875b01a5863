"""What ``decide`` wants done. A shell carries commands out, in order, and reports facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.forms import Form
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.repeats import Repeat, RepeatEnd


@dataclass(frozen=True, slots=True)
class StartNode:
    """Start one attempt of a node; the answer is NodeSucceeded or NodeFailed."""

    node: int
    attempt: int
    execution_id: str


TimerKind = Literal["retry", "input", "join", "limit"]
"""Before a node's next attempt, for a person, for arrivals at a gather, and the limit of one
attempt of a container."""


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Wait for a node; the answer is TimerFired."""

    node: int
    attempt: int
    delay_ms: int
    kind: TimerKind = "retry"


@dataclass(frozen=True, slots=True)
class StartChunk:
    """Repeat a container's body for ``count`` items from ``start`` on (0 for rounds without items),
    in a child workflow; the answer is ChunkFinished. A ``quiet`` one's answers are shown only when
    the container ends."""

    node: int
    attempt: int
    execution_id: str
    start: int
    count: int
    window: int = 1
    quiet: bool = False


@dataclass(frozen=True, slots=True)
class CancelChunk:
    """Stop a child workflow; nobody waits for its answer."""

    node: int
    attempt: int
    start: int


@dataclass(frozen=True, slots=True)
class CloseRepeat:
    """All is repeated: ask the container for its result; NodeSucceeded or NodeFailed."""

    node: int
    attempt: int
    repeat: Repeat
    end: RepeatEnd


@dataclass(frozen=True, slots=True)
class TimeOutInput:
    """Nobody answered in time: ask the node what that means; the answer is InputTimedOut."""

    node: int
    form: Form


@dataclass(frozen=True, slots=True)
class CancelNode:
    """Stop an attempt that runs; nobody waits for its answer."""

    node: int
    attempt: int


@dataclass(frozen=True, slots=True)
class StartHandler:
    """Run the workflow's error handler on the state's pool; the answer is HandlerFinished."""


@dataclass(frozen=True, slots=True)
class CancelHandler:
    """Stop the error handler; the answer is HandlerFinished, as it would be without."""


@dataclass(frozen=True, slots=True)
class Emit:
    """An event for whoever watches. Never stored: readers make it again from the history."""

    event: GraphEngineEvent


@dataclass(frozen=True, slots=True)
class FinishRun:
    """The run is over."""

    result: RunResult


@dataclass(frozen=True, slots=True)
class ContinueAsNew:
    """Nothing is in flight: carry the state on into a new history."""


Command: TypeAlias = (
    StartNode
    | StartTimer
    | CancelNode
    | StartChunk
    | CancelChunk
    | CloseRepeat
    | TimeOutInput
    | StartHandler
    | CancelHandler
    | Emit
    | FinishRun
    | ContinueAsNew
)
