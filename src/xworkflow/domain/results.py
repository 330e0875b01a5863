"""What one execution of a node gives back."""

from __future__ import annotations

from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeFailure


class NodeStatus(StrEnum):
    """Status of one node (spec/graph.md 5.6)."""

    PENDING = "pending"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXCEPTION = "exception"
    STOPPED = "stopped"
    PAUSED = "paused"
    RETRY = "retry"


class LlmUsage(BaseModel):
    """Tokens and money of one or more model calls."""

    model_config = ConfigDict(frozen=True)

    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    total_price: float = 0.0
    currency: str = ""
    latency: float = 0.0


class PoolWrite(BaseModel):
    """A value that a node writes outside its own namespace (assigner)."""

    model_config = ConfigDict(frozen=True)

    selector: Selector
    value: JsonValue = None


class NodeRunResult(BaseModel):
    """The result of a node that did not fail.

    ``edge_source_handle`` names the branch that a branch node takes; None is the default handle.
    """

    model_config = ConfigDict(frozen=True)

    status: NodeStatus = NodeStatus.SUCCEEDED
    inputs: dict[str, JsonValue] = Field(default_factory=dict)
    outputs: dict[str, JsonValue] = Field(default_factory=dict)
    writes: tuple[PoolWrite, ...] = ()
    metadata: dict[str, JsonValue] = Field(default_factory=dict)
    llm_usage: LlmUsage | None = None
    edge_source_handle: str | None = None
    error: NodeFailure | None = None
    retry_index: int = 0
