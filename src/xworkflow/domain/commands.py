"""What ``decide`` wants done. A shell carries commands out, in order, and reports facts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.outcome import RunResult


@dataclass(frozen=True, slots=True)
class StartNode:
    """Start one attempt of a node; the answer is NodeSucceeded or NodeFailed."""

    node: int
    attempt: int
    execution_id: str


@dataclass(frozen=True, slots=True)
class StartTimer:
    """Wait before the next attempt; the answer is TimerFired."""

    node: int
    attempt: int
    delay_ms: int


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
    | StartHandler
    | CancelHandler
    | Emit
    | FinishRun
    | ContinueAsNew
)
