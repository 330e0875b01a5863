"""How a run ended."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue

RunStatus = Literal["completed", "failed", "failed_with_recovery", "aborted", "safe_stopped"]

ErrorType = Literal["NodeExecutionError", "MaxStepsExceeded", "Timeout", "Aborted", "InternalError"]


class RunFailure(BaseModel):
    """Why a run failed: the text of spec/graph.md 6.4, and the keys of ``sys.error_*`` (6.5)."""

    model_config = ConfigDict(frozen=True)

    text: str
    error_type: ErrorType
    node_id: str = ""
    node_type: str = ""
    code: str = "run_error"


class RunResult(BaseModel):
    """The end of a run. ``outputs`` are the recovered ones where the status says so.

    ``exceptions`` counts tolerated failures: a run is completed with some (Dify's partial success).
    """

    model_config = ConfigDict(frozen=True)

    status: RunStatus
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    error: RunFailure | None = None
    exceptions: int = 0
    steps: int = 0
    elapsed_ms: int = 0
    waited_ms: int = 0
    interrupted: tuple[str, ...] = ()
    """Of a safe stop: the nodes that were not let end."""
    usage: LlmUsage | None = None
