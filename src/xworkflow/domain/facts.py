"""What happens to a run: the only things that ``decide`` ever sees. Times are Unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from xworkflow.domain.commands import TimerKind
from xworkflow.domain.debugging import DebugCommand
from xworkflow.domain.forms import Form, HumanAnswer
from xworkflow.domain.repeats import ChunkEnd, Repeat
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure


@dataclass(frozen=True, slots=True)
class RunStarted:
    """The first fact of a run."""

    at: int


@dataclass(frozen=True, slots=True)
class NodeSucceeded:
    """An attempt gave a result (also one that stands for a tolerated failure)."""

    node: int
    attempt: int
    result: NodeRunResult
    at: int


@dataclass(frozen=True, slots=True)
class NodeFailed:
    """An attempt failed; retries and strategies are still to be applied."""

    node: int
    attempt: int
    failure: NodeFailure
    at: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """A wait of a node is over: before its next attempt, or for a person, or for arrivals."""

    node: int
    attempt: int
    at: int
    kind: TimerKind = "retry"


@dataclass(frozen=True, slots=True)
class HandlerFinished:
    """The workflow's error handler ended: with outputs, or with an error text."""

    at: int
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    error: str | None = None


@dataclass(frozen=True, slots=True)
class AbortRequested:
    """Somebody stops the run."""

    at: int
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class RepeatOpened:
    """A container has said what there is to repeat."""

    node: int
    attempt: int
    repeat: Repeat
    at: int


@dataclass(frozen=True, slots=True)
class ChunkFinished:
    """A child workflow ended; ``start`` names its chunk by the first item."""

    node: int
    attempt: int
    start: int
    end: ChunkEnd
    at: int


@dataclass(frozen=True, slots=True)
class InputRequested:
    """A node asks a person."""

    node: int
    attempt: int
    form: Form
    at: int


@dataclass(frozen=True, slots=True)
class InputReceived:
    """A person's answer fits the form of a node that waits."""

    node: int
    answer: HumanAnswer
    result: NodeRunResult
    at: int


@dataclass(frozen=True, slots=True)
class InputRefused:
    """A person's answer does not fit; the node keeps waiting."""

    node: int
    problems: tuple[str, ...]
    at: int


@dataclass(frozen=True, slots=True)
class InputTimedOut:
    """Nobody answered in time: what the form says of that, or the error that ends the run."""

    node: int
    result: NodeRunResult | None
    failure: NodeFailure | None
    at: int


@dataclass(frozen=True, slots=True)
class PauseRequested:
    """Start no new node until the pause is lifted."""

    at: int


@dataclass(frozen=True, slots=True)
class PauseLifted:
    """Go on after a pause."""

    at: int


@dataclass(frozen=True, slots=True)
class SafeStopRequested:
    """Start nothing new, let running nodes end, and end the run so that a fork can go on."""

    at: int


@dataclass(frozen=True, slots=True)
class VariablesUpdated:
    """Somebody writes variables; nodes that start later see them."""

    values: tuple[tuple[Selector, JsonValue], ...]
    at: int


@dataclass(frozen=True, slots=True)
class Debugged:
    """The debugger's user says something."""

    command: DebugCommand
    at: int


@dataclass(frozen=True, slots=True)
class Forked:
    """A new run begins in the middle of another one's state; ``warnings`` say what differs."""

    origin: str
    node_id: str
    at: int
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DrainRequested:
    """The history gets long: start nothing new, so that the run can continue as new."""

    at: int


@dataclass(frozen=True, slots=True)
class Resumed:
    """The run goes on in a new history."""

    at: int


Fact: TypeAlias = (
    RunStarted
    | NodeSucceeded
    | NodeFailed
    | TimerFired
    | HandlerFinished
    | AbortRequested
    | RepeatOpened
    | ChunkFinished
    | InputRequested
    | InputReceived
    | InputRefused
    | InputTimedOut
    | PauseRequested
    | PauseLifted
    | SafeStopRequested
    | VariablesUpdated
    | Debugged
    | Forked
    | DrainRequested
    | Resumed
)
