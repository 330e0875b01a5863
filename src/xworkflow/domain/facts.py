"""What happens to a run: the only things that ``decide`` ever sees. Times are Unix milliseconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from xworkflow.domain.results import NodeRunResult
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
    """The wait before the next attempt of a node is over."""

    node: int
    attempt: int
    at: int


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
    | DrainRequested
    | Resumed
)
