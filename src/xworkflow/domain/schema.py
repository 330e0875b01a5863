"""The one normalised, frozen model that both dialects load into.

Loaders (``domain/loading``) bring a node's ``data`` into the native spelling, so that each node
type has one data model. What remains of a dialect is the switch ``WorkflowSchema.dialect``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from xworkflow.domain.secret_references import SECRET_TYPE
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue, compact_json


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class ErrorStrategy(_Frozen):
    """What happens when a node has failed for good (spec/graph.md 6.2)."""

    type: Literal["none", "fail-branch", "default-value"] = "none"
    default_value: dict[str, JsonValue] = Field(default_factory=dict)


class RetryConfig(_Frozen):
    """The engine's own attempts of one node (6.3). Intervals are milliseconds."""

    max_retries: int = 0
    retry_interval: int = Field(default=0, ge=0)
    backoff_strategy: Literal["fixed", "exponential", "exponential_with_jitter"] = "fixed"
    backoff_multiplier: float = 2.0
    max_retry_interval: int = Field(default=60_000, ge=0)
    retry_on_retryable_only: bool = True


class NodeSpec(_Frozen):
    """A node as drawn. ``data`` is everything the file says of it, in the native spelling."""

    id: str
    type: str
    title: str = ""
    data: dict[str, JsonValue] = Field(default_factory=dict)
    error_strategy: ErrorStrategy | None = None
    retry_config: RetryConfig | None = None
    timeout_secs: float | None = None
    parent_id: str | None = None
    line: int | None = Field(default=None, exclude=True)  # of the file; layout is no version


class EdgeSpec(_Frozen):
    """An edge; an absent handle means ``source`` (1.4)."""

    id: str
    source: str
    target: str
    source_handle: str | None = None
    line: int | None = Field(default=None, exclude=True)  # of the file; layout is no version

    @property
    def handle(self) -> str:
        return self.source_handle or "source"


class EnvironmentVariable(_Frozen):
    """``secret`` is the value of a secret variable, as the file has it. It never travels: whoever
    starts a run gives it to the group, and the run has a reference (``secret_references``)."""

    name: str
    value: JsonValue = None
    value_type: str = "string"
    secret: str | None = Field(default=None, exclude=True, repr=False)

    @property
    def is_secret(self) -> bool:
        return self.value_type == SECRET_TYPE


class ConversationVariable(_Frozen):
    name: str
    type: str = "string"
    default: JsonValue = None


class SubGraph(_Frozen):
    """A body: the error handler's, an iteration's, a loop's. Ids share the outer name space.

    ``start`` is the id of the node that a body begins with, where that is no ``start`` node (Dify).
    """

    nodes: tuple[NodeSpec, ...]
    edges: tuple[EdgeSpec, ...]
    start: str | None = None


class ErrorHandler(_Frozen):
    """Runs when the run has failed (6.5)."""

    sub_graph: SubGraph
    mode: Literal["recover", "notify"] = "notify"


class WorkflowSchema(_Frozen):
    """A workflow: what a run is started from. Immutable; its hash is its version."""

    dialect: Dialect = "native"
    version: str = "0.1.0"
    name: str = ""
    mode: str = "workflow"
    nodes: tuple[NodeSpec, ...] = ()
    edges: tuple[EdgeSpec, ...] = ()
    environment_variables: tuple[EnvironmentVariable, ...] = ()
    conversation_variables: tuple[ConversationVariable, ...] = ()
    error_handler: ErrorHandler | None = None
    mcp_servers: dict[str, Any] = Field(default_factory=dict)
    start: str | None = None
    """Of a body: the node that it begins with, where that is no ``start`` node."""
    inner_lines: dict[str, int] = Field(default_factory=dict, exclude=True)
    """Where the nodes of bodies stand in the file, by their ids; a body's JSON keeps no lines."""

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy; a changed one has a text and a hash of its own."""
        copied = super().model_copy(update=update, deep=deep)
        if update:
            for derived in ("text", "hash"):
                vars(copied).pop(derived, None)
        return copied

    @property
    def secret_names(self) -> frozenset[str]:
        """The variables whose values must not be kept with a run."""
        return frozenset(v.name for v in self.environment_variables if v.is_secret)

    @property
    def secret_values(self) -> dict[str, str]:
        """The values that the file brought along; an export without its secrets has none."""
        return {v.name: v.secret for v in self.environment_variables if v.secret}

    @cached_property
    def text(self) -> str:
        """The canonical JSON in which the schema travels."""
        return compact_json(self.model_dump(mode="json", exclude_defaults=True))

    @cached_property
    def hash(self) -> str:
        """Content hash (SHA-256, hex): the version of the workflow."""
        return schema_hash(self.text)


def schema_hash(text: str) -> str:
    """The hash of a schema's canonical text."""
    return hashlib.sha256(text.encode()).hexdigest()
