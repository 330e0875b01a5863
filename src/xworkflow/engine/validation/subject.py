"""What is validated: a schema's top level, with what can be reached in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from functools import cached_property

from pydantic import ValidationError

from xworkflow.domain.diagnostics import Diagnostic
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.domain.selectors import RESERVED, Dialect
from xworkflow.nodes.base import AnyNodeType
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.nodes.start import start_variables
from xworkflow.nodes.unsupported import UNSUPPORTED

OUTPUT_TYPES = ("end", "answer")


class Subject:
    """A schema seen as a graph. ``nodes`` and ``edges`` are those of the top level only."""

    def __init__(
        self,
        schema: WorkflowSchema,
        types: NodeRegistry,
        mocked: frozenset[str],
        foreign: frozenset[str],
    ) -> None:
        self.schema = schema
        self.mocked = mocked
        self.foreign = foreign
        inner = {node.id for node in schema.nodes if node.parent_id is not None}
        self.nodes = tuple(node for node in schema.nodes if node.parent_id is None)
        self.edges = tuple(
            edge for edge in schema.edges if edge.source not in inner and edge.target not in inner
        )
        self.by_id = {node.id: node for node in self.nodes}
        self._types = types

    @property
    def dialect(self) -> Dialect:
        return self.schema.dialect

    @cached_property
    def root(self) -> str | None:
        """The start node's id; None when there is not exactly one."""
        starts = [node.id for node in self.nodes if node.type == "start"]
        return starts[0] if len(starts) == 1 else None

    @cached_property
    def reachable(self) -> frozenset[str] | None:
        """Ids that a run can come to, unknown targets of edges included; None without a root."""
        return None if self.root is None else _reached(self.root, self.targets)

    @cached_property
    def targets(self) -> Mapping[str, tuple[str, ...]]:
        return _neighbours((edge.source, edge.target) for edge in self.edges)

    def runs_before(self, first: str, then: str) -> bool:
        """Whether there is a way from one node to another; what hangs on a cycle passes (E101)."""
        bit = self._bits.get(first, 0)
        return bool(self._ancestors.get(then, bit) & bit)

    @cached_property
    def _bits(self) -> Mapping[str, int]:
        return {node_id: 1 << index for index, node_id in enumerate(self.by_id)}

    @cached_property
    def _ancestors(self) -> Mapping[str, int]:
        """The ancestors of each node, as a bit set; nodes in a cycle, or behind one, are missing.

        Sets of names would need gigabytes for a chain of 10,000 nodes.
        """
        edges = [(e.source, e.target) for e in self.edges if e.source != e.target]
        following = _neighbours((s, t) for s, t in edges if s in self.by_id and t in self.by_id)
        waiting = Counter(target for targets in following.values() for target in targets)
        ready = [node_id for node_id in self.by_id if not waiting[node_id]]
        found = dict.fromkeys(ready, 0)
        for node_id in ready:
            for target in following.get(node_id, ()):
                found[target] = found.get(target, 0) | found[node_id] | self._bits[node_id]
                waiting[target] -= 1
                if not waiting[target]:
                    ready.append(target)
        return {node_id: found[node_id] for node_id in ready}

    def matters(self, node: NodeSpec) -> bool:
        """Whether a node's own faults count: Dify exports hold leftovers that never run."""
        unreached = self.reachable is not None and node.id not in self.reachable
        return not (self.dialect == "dify" and unreached)

    def accepted_unseen(self, node: NodeSpec) -> bool:
        """Whether the node's data is nobody's business here: it is mocked, or foreign."""
        return node.id in self.mocked or node.type in self.foreign

    def known(self, name: str) -> bool:
        """Whether a top-level node may have this type."""
        return name in self._names

    @cached_property
    def type_names(self) -> frozenset[str]:
        """Every type that a file may name, supported or not."""
        return self._names | UNSUPPORTED.keys() | self.foreign

    @cached_property
    def roots(self) -> frozenset[str]:
        """What a selector may start with: nodes and namespaces."""
        return RESERVED | self.by_id.keys()

    @cached_property
    def inputs(self) -> frozenset[str]:
        """The variables that the start node declares; none when it cannot be read (E217)."""
        try:
            return frozenset(variable.variable for variable in start_variables(self.schema))
        except ValidationError:
            return frozenset()

    def type_of(self, node: NodeSpec) -> AnyNodeType | None:
        return self._types.find(node.type) if self.known(node.type) else None

    def out_edges(self, node_id: str) -> tuple[EdgeSpec, ...]:
        return self._out_edges.get(node_id, ())

    def line(self, found: Diagnostic) -> int | None:
        """Where in the file the node or edge of a finding stands."""
        if found.edge_id is not None:
            return self._edge_lines.get(found.edge_id)
        node = self.by_id.get(found.node_id) if found.node_id is not None else None
        return node.line if node is not None else None

    @cached_property
    def _edge_lines(self) -> Mapping[str, int | None]:
        return {edge.id: edge.line for edge in self.edges}

    @cached_property
    def _names(self) -> frozenset[str]:
        return self._types.names()

    @cached_property
    def _out_edges(self) -> Mapping[str, tuple[EdgeSpec, ...]]:
        edges: dict[str, list[EdgeSpec]] = {}
        for edge in self.edges:
            edges.setdefault(edge.source, []).append(edge)
        return {source: tuple(out) for source, out in edges.items()}


def _neighbours(pairs: Iterable[tuple[str, str]]) -> Mapping[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    for here, there in pairs:
        found.setdefault(here, []).append(there)
    return {here: tuple(there) for here, there in found.items()}


def _reached(start: str, following: Mapping[str, tuple[str, ...]]) -> frozenset[str]:
    """Everything on a way from ``start``, itself included."""
    reached, todo = {start}, [start]
    while todo:
        for neighbour in following.get(todo.pop(), ()):
            if neighbour not in reached:
                reached.add(neighbour)
                todo.append(neighbour)
    return frozenset(reached)
