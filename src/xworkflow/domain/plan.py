"""The compiled graph: what ``decide`` runs on. Made once per schema and cached by its hash.

Nodes and edges are numbered; a state then needs one byte for each. Only what can be reached from
the start node is in a plan.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from xworkflow.domain.schema import ErrorHandler, ErrorStrategy, RetryConfig
from xworkflow.domain.selectors import Dialect, Selector

SOURCE_HANDLES = frozenset({"source", "success-branch"})
FAIL_BRANCH = "fail-branch"


class Placement(StrEnum):
    """Where a node runs (docs/architecture.md, "Placements")."""

    INLINE = "inline"
    LOCAL = "local"
    ACTIVITY = "activity"
    CHILD = "child"
    WAIT = "wait"


@dataclass(frozen=True, slots=True)
class Join:
    """When a gather starts (spec/graph.md 5.4): once so many of its in-edges are taken.

    ``wanted`` None is all of them. ``timeout_ms`` counts from the first arrival at the gather.
    """

    wanted: int | None = None
    cancel_remaining: bool = True
    timeout_ms: int | None = None
    on_timeout: Literal["proceed_with_available", "fail"] = "proceed_with_available"

    @property
    def waits_for_all(self) -> bool:
        return self.wanted is None and self.timeout_ms is None


@dataclass(frozen=True, slots=True)
class PlanNode:
    """One node of a plan. ``reads`` is None where the whole pool crosses to it. ``out_edges`` are
    in the order in which they were drawn; ``in_edges`` stand side by side."""

    index: int
    id: str
    type: str
    title: str
    placement: Placement
    in_edges: range
    out_edges: tuple[int, ...]
    is_output: bool = False
    is_branch: bool = False
    reads: tuple[Selector, ...] | None = ()
    error_strategy: ErrorStrategy = field(default_factory=ErrorStrategy)
    retry: RetryConfig | None = None
    timeout_secs: float | None = None
    join: Join | None = None
    silent: bool = False
    streaming: bool = False
    """Whether what it gives comes in pieces: an llm that streams, or a text that quotes one."""
    quick: bool = False
    """Of a container: whether its body holds nothing but inline and local nodes."""
    speaks: bool = False
    """Of a container in Dify's dialect: whether there are answers inside, at any depth."""
    may_be_left: bool = False
    """In such a graph: whether a gather may stop it that goes on without all branches."""
    decides: bool = False
    """Whether its end may make responses certain (domain/responses.py)."""

    @property
    def is_gate(self) -> bool:
        """Whether responses behind it wait for its end: what follows it is open until then, or it
        responds itself."""
        is_container = self.placement is Placement.CHILD
        return self.is_branch or self.is_output or is_container or self.join is not None


@dataclass(frozen=True, slots=True)
class Response:
    """An answer or end node of a Dify graph. ``writers`` may change what it says as long as they
    have not ended. A ``late`` one is certain only when it is given: it may still be given up, or
    something else may stand for it."""

    node: int
    writers: tuple[int, ...] = ()
    late: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """A graph ready to run. Edge ``e`` goes from ``sources[e]`` to ``targets[e]``.

    Edges are numbered by their targets: a join of many then finds an edge that is still open with
    one look at a slice of the state.
    """

    dialect: Dialect
    nodes: tuple[PlanNode, ...]
    sources: tuple[int, ...]
    targets: tuple[int, ...]
    handles: tuple[str, ...]
    root: int
    index_of: dict[str, int]
    error_handler: ErrorHandler | None = None
    responses: tuple[Response, ...] = ()
    """In Dify's dialect, in the order of the drawing; those inside of containers are not here."""
    places: int = 0
    """How many there are of them, and of containers with answers inside."""

    def node(self, node_id: str) -> PlanNode:
        return self.nodes[self.index_of[node_id]]
