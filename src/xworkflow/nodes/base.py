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
from xworkflow.domain.forms import Form, HumanAnswer
from xworkflow.domain.plan import Join, Placement
from xworkflow.domain.pool import Namespace
from xworkflow.domain.repeats import Repeat, RepeatEnd
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import SubGraph
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
    in_bodies_only: ClassVar[bool] = False
    """Whether it means something only inside of an iteration or a loop."""
    unreadable: ClassVar[str] = "E217"
    """The code of the diagnostic for data that the model refuses."""
    placement: ClassVar[Placement]
    is_output: bool = False
    """Whether its outputs are outputs of the run (end, answer)."""
    reads_all: bool = False
    """Whether the whole pool crosses to it (plugins)."""
    all_or_nothing: bool = False
    """Whether each of its branches is as needed as the one for all other cases (approvals)."""
    silent: bool = False
    """Whether it is only a mark in the drawing: it runs without events, and is no step."""

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

    def join(self, node: Node[D]) -> Join | None:
        """When it may start, where that is not once all its in-edges are resolved (gather)."""
        del node
        return None

    def streams(self, node: Node[D]) -> bool:
        """Whether its outputs come in pieces (an llm that streams)."""
        del node
        return False

    def quotes(self, node: Node[D]) -> Iterable[Selector]:
        """What it prints, in order, into a text that then comes in pieces if they do (answer)."""
        del node
        return ()

    def rewrites(self, node: Node[D]) -> Iterable[Selector]:
        """Variables outside of its own namespace that it may change (assigner)."""
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

    def check_edges(self, node: Node[D], drawn: frozenset[str]) -> Iterable[Diagnostic]:
        """The type's own diagnostics about the handles of its edges."""
        del node, drawn
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


class ContainerNode(NodeType[D]):
    """Repeats a body, in child workflows. Every method is pure: the workflow thread calls them.

    ``open`` → for each item or round ``scope``, the run, ``collect`` or ``fold`` → ``close``.
    """

    placement = Placement.CHILD

    @abstractmethod
    def body(self, node: Node[D]) -> SubGraph:
        """The graph that is repeated."""

    @abstractmethod
    def open(self, node: Node[D], values: Values) -> Repeat:
        """What there is to do. Raises NodeError."""

    @abstractmethod
    def scope(
        self, node: Node[D], index: int, item: JsonValue, carry: JsonValue
    ) -> Mapping[str, Namespace]:
        """What one run of the body sees over the outer pool, by namespace."""

    def offers(self, node: Node[D]) -> Iterable[Selector]:
        """Selectors of what ``scope`` gives, as far as the drawing tells; validation asks."""
        del node
        return ()

    def inner_selectors(self, node: Node[D]) -> Iterable[tuple[str, Selector]]:
        """(field path, selector) of what it reads where a run of the body has ended."""
        del node
        return ()

    def hidden_reads(self, node: Node[D]) -> Iterable[Selector]:
        """What is read at the end of the body may come from outside of it."""
        for _, selector in self.inner_selectors(node):
            yield selector

    def collect(self, node: Node[D], outputs: Mapping[str, JsonValue], values: Values) -> JsonValue:
        """The value of an item: from the outputs of the body's run, or its final pool. Raises
        NodeError, which fails the item."""
        del node, values
        return dict(outputs)

    def goes_on(
        self, node: Node[D], repeat: Repeat, carry: JsonValue, rounds: int, values: Values
    ) -> bool:
        """Of folds: whether another round runs after so many. Raises NodeError."""
        del node, carry, values
        return repeat.items is not None and rounds < len(repeat.items)

    def fold(
        self,
        node: Node[D],
        carry: JsonValue,
        outputs: Mapping[str, JsonValue],
        values: Values,
    ) -> JsonValue:
        """Of folds: the carry after a round. Raises NodeError."""
        del node, outputs, values
        return carry

    @abstractmethod
    def close(self, node: Node[D], repeat: Repeat, end: RepeatEnd) -> NodeRunResult:
        """The container's own result. Raises NodeError."""


class WaitNode(NodeType[D]):
    """Waits for a person. Every method is pure: the workflow thread calls them."""

    placement = Placement.WAIT

    @abstractmethod
    def ask(self, node: Node[D], values: Values, *, strict: bool = False) -> Form:
        """The question, with its texts rendered; ``strict`` is the run's ``strict_template``.
        Raises NodeError."""

    @abstractmethod
    def answer(self, node: Node[D], form: Form, answer: HumanAnswer) -> NodeRunResult:
        """What an answer gives. Raises FormRefusedError: then the run keeps waiting."""

    @abstractmethod
    def timed_out(self, node: Node[D], form: Form) -> NodeRunResult:
        """What no answer gives. Raises NodeError, which fails the run (spec/graph.md 9.4)."""


AnyNode = Node[Any]
AnyNodeType = NodeType[Any]
