"""What a run came to: its word, its exit code, the object of ``--json``, and lines for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from xworkflow.cli.exit_codes import ExitCode
from xworkflow.cli.failures import failure_object
from xworkflow.cli.printing import output, print_error, print_note, print_text
from xworkflow.cli.remedies import remedy
from xworkflow.client.status import (
    Completed,
    ExecutionStatus,
    Failed,
    FailedWithRecovery,
    Paused,
    Running,
    SafeStopped,
    Stopped,
    WaitingForInput,
)
from xworkflow.domain.outcome import RunResult

EMPTY: Final[dict[str, Any]] = {
    "run_id": None,
    "workflow_id": None,
    "status": None,
    "outputs": {},
    "error": None,
    "elapsed_seconds": None,
    "steps": None,
    "ui_url": None,
}
"""The keys that ``run --json`` always has."""


@dataclass(slots=True)
class Watched:
    """What watching a run has found out so far. Without a status the user has detached."""

    execution_id: str
    run_id: str | None
    url: str | None
    status: ExecutionStatus | None = None
    result: RunResult | None = None
    printed: str = ""
    """What was printed of the outputs while they came."""

    @property
    def exit_code(self) -> ExitCode:
        match self.status:
            case None:
                return ExitCode.DETACHED
            case Completed() | FailedWithRecovery():
                return ExitCode.OK
            case Stopped() | SafeStopped():
                return ExitCode.STOPPED
            case Running() | WaitingForInput() | Paused():
                return ExitCode.WAITING
            case Failed():
                return ExitCode.FAILED

    def to_json(self) -> dict[str, Any]:
        """The contract of ``--json``."""
        word, outputs, error = _parts(self.status)
        result = self.result
        if outputs is None:
            outputs = result.outputs if result is not None else {}
        asked = self.status.waiting if isinstance(self.status, WaitingForInput) else ()
        waiting = {"waiting": [w.model_dump(mode="json") for w in asked]} if asked else {}
        return {
            **EMPTY,
            **waiting,
            "run_id": self.run_id,
            "workflow_id": self.execution_id,
            "status": word,
            "outputs": outputs,
            "error": error,
            "elapsed_seconds": result.elapsed_ms / 1000 if result is not None else None,
            "steps": result.steps if result is not None else None,
            "ui_url": self.url,
        }

    def print(self) -> None:
        """The outputs on stdout, the rest on stderr."""
        word, outputs, error = _parts(self.status)
        if outputs is not None and list(outputs.values()) != [self.printed]:
            _print_outputs(outputs)
        stopped = isinstance(self.status, Stopped)
        if error is not None and not stopped:
            print_error(error)
            advice = remedy(error)
            if advice is not None:
                print_note(advice)
        print_note(f"{word}{_effort(self.result)}{f': {error}' if stopped else ''}")
        if isinstance(self.status, WaitingForInput):
            print_note(f"`xworkflow runs answer {self.execution_id} …` answers, and carries it on")
        if self.url is not None:
            print_note(f"Web UI: {self.url}")


def object_of_error(error: Exception | KeyboardInterrupt, execution_id: str) -> dict[str, Any]:
    """The contract of ``--json`` for what did not become a result.

    A refused run was never started; of another the id is told, as it may have been.
    """
    if isinstance(error, KeyboardInterrupt):
        return {**EMPTY, "workflow_id": execution_id, "status": "detached", "error": "interrupted"}
    shown = {**EMPTY, "workflow_id": execution_id, **failure_object(error)}
    return {**shown, "workflow_id": None} if shown["status"] == "refused" else shown


def word_of(status: ExecutionStatus) -> str:
    """The commands' word for a status."""
    return _parts(status)[0]


def _parts(status: ExecutionStatus | None) -> tuple[str, dict[str, Any] | None, str | None]:
    match status:
        case None:
            return "detached", None, None
        case Completed(outputs):
            return "completed", outputs, None
        case FailedWithRecovery(error, outputs):
            return "failed_with_recovery", outputs, error
        case Failed(message):
            return "failed", None, message
        case Stopped(reason):
            return "stopped", None, reason
        case SafeStopped(outputs):
            return "safe_stopped", outputs, None
        case Paused():
            return "paused", None, None
        case Running() | WaitingForInput():
            return "waiting", None, None


def _print_outputs(outputs: dict[str, Any]) -> None:
    texts = list(outputs.values())
    if len(texts) == 1 and isinstance(texts[0], str):
        print_text(texts[0])
    else:
        output().print_json(data=outputs)


def _effort(result: RunResult | None) -> str:
    if result is None:
        return ""
    failures = f", {result.exceptions} tolerated failures" if result.exceptions else ""
    return f" in {result.elapsed_ms / 1000:.2f} s, {result.steps} steps{failures}"
