"""What a node type is: one file with its data model, its rules and its work.

A new type subclasses ``InlineNode`` (pure and bounded: runs inside the workflow) or ``WorkNode``
(everything else: runs in an activity, and reaches the world through ``Ports``). A type that
decides it node by node subclasses both and overrides ``place``: inline nodes ``run``, all others
``execute``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict

from xworkflow.domain.diagnostics import Diagnostic
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import MisuseError
from xworkflow.ports import Ports


class NodeData(BaseModel):
    """Base of all data models. Unknown keys are kept and ignored (spec/graph.md 1.1)."""

    model_config = ConfigDict(frozen=True, extra="allow")


D = TypeVar("D", bound=NodeData)


@dataclass(frozen=True, slots=True)
class Node(Generic[D]):
    """One node with its data parsed."""

    id: str
    type: str
    title: str
    data: D
    dialect: Dialect


class Values(Protocol):
    """Read access to values by selector: a pool, or what crossed to an activity."""

    def get(self, selector: Selector) -> JsonValue: ...


class CrossedValues:
    """The values that crossed to an activity: what the node's type says it reads, nothing else."""

    def __init__(self, values: Mapping[Selector, JsonValue]) -> None:
        self._values = values

    def get(self, selector: Selector) -> JsonValue:
        """Raises MisuseError, with the remedy, for a selector that did not cross."""
        try:
            return self._values[selector]
        except KeyError:
            raise MisuseError(
                f"selector {list(selector)} did not cross to this activity: name it in the node "
                "type's selectors() or texts(), or declare reads_all"
            ) from None


class NodeType(Generic[D]):
    """Common to all node types. Instances are stateless and shared by all runs."""

    type: ClassVar[str]
    aliases: ClassVar[tuple[str, ...]] = ()
    sub_graph_aliases: ClassVar[tuple[str, ...]] = ()
    """Further names that are legal inside bodies only (spec/graph.md 7.1)."""
    data_model: ClassVar[type[NodeData]]
    unreadable: ClassVar[str] = "E217"
    """The code of the diagnostic for data that the model refuses."""
    placement: ClassVar[Placement]
    is_output: bool = False
    """Whether its outputs are outputs of the run (end, answer)."""
    reads_all: bool = False
    """Whether the whole pool crosses to it (plugins)."""

    def place(self, node: Node[D]) -> Placement:
        """Where this node runs; by default where its type runs."""
        del node
        return self.placement

    def selectors(self, node: Node[D]) -> Iterable[tuple[str, Selector]]:
        """(field path, selector) of every value that the node reads; validation checks them."""
        del node
        return ()

    def texts(self, node: Node[D]) -> Iterable[tuple[str, str]]:
        """(field path, text) of every text with ``{{#node.var#}}`` references."""
        del node
        return ()

    def hidden_reads(self, node: Node[D]) -> Iterable[Selector]:
        """Selectors that the node reads and validation does not check."""
        del node
        return ()

    def handles(self, node: Node[D]) -> tuple[str, ...] | None:
        """The handles that a branch node may return, the one for all other cases last; or None."""
        del node
        return None

    def check(self, node: Node[D]) -> Iterable[Diagnostic]:
        """The type's own diagnostics (spec/graph.md 2.2, E2xx)."""
        del node
        return ()


class InlineNode(NodeType[D]):
    """Pure and bounded: runs on the workflow thread. No clock, ids, I/O or user code."""

    placement = Placement.INLINE

    @abstractmethod
    def run(self, node: Node[D], values: Values) -> NodeRunResult:
        """Do the work. Raises NodeError."""


class WorkNode(NodeType[D]):
    """Runs in an activity (or, where it is local, in a local region)."""

    placement = Placement.ACTIVITY

    @abstractmethod
    async def execute(self, node: Node[D], values: Values, ports: Ports) -> NodeRunResult:
        """Do the work. May be repeated after a lost worker, with the same idempotency key.

        Raises NodeError; cancellation must be let through.
        """


AnyNode = Node[Any]
AnyNodeType = NodeType[Any]
