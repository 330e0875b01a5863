"""The status of a run, as ``WorkflowHandle`` tells it (spec/graph.md 5.6). Temporal's is the
source."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from xworkflow.domain.outcome import RunResult
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import Waiting


@dataclass(frozen=True, slots=True)
class Running:
    """Not over."""


@dataclass(frozen=True, slots=True)
class Completed:
    """Succeeded; ``exceptions`` counts failures that were tolerated."""

    outputs: dict[str, JsonValue]
    exceptions: int = 0


@dataclass(frozen=True, slots=True)
class Failed:
    """Failed, with the error's text and kind (6.4)."""

    message: str
    error_type: str = "InternalError"
    node_id: str = ""


@dataclass(frozen=True, slots=True)
class FailedWithRecovery:
    """Failed, and the error handler recovered."""

    original_error: str
    recovered_outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])


@dataclass(frozen=True, slots=True)
class Stopped:
    """Stopped by somebody: cancelled or terminated."""

    reason: str


@dataclass(frozen=True, slots=True)
class SafeStopped:
    """Stopped so that a fork can go on; ``interrupted`` were not let end."""

    outputs: dict[str, JsonValue]
    interrupted: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WaitingForInput:
    """People are asked; other branches may go on meanwhile. See ``WorkflowHandle.answer``."""

    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Paused:
    """Told to start nothing new, or stands at a breakpoint."""


ExecutionStatus: TypeAlias = (
    Running
    | WaitingForInput
    | Paused
    | Completed
    | Failed
    | FailedWithRecovery
    | Stopped
    | SafeStopped
)


def status_of(result: RunResult) -> ExecutionStatus:
    """The status that a run's result stands for."""
    text = result.error.text if result.error is not None else ""
    match result.status:
        case "completed":
            return Completed(result.outputs, result.exceptions)
        case "failed_with_recovery":
            return FailedWithRecovery(text, result.outputs)
        case "aborted":
            return Stopped(text)
        case "safe_stopped":
            return SafeStopped(result.outputs, result.interrupted)
        case "failed":
            error = result.error
            return Failed(text, error.error_type, error.node_id) if error else Failed(text)
