"""What is validated: one graph, the top level or a body, with what can be reached in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from typing import Any

from pydantic import ValidationError

from xworkflow.domain.diagnostics import Diagnostic
from xworkflow.domain.plan import Placement
from xworkflow.domain.schema import EdgeSpec, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.domain.selectors import RESERVED, Dialect, Selector
from xworkflow.nodes.base import AnyNode, AnyNodeType, ContainerNode, Node
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.nodes.start import start_variables
from xworkflow.nodes.unsupported import UNSUPPORTED

OUTPUT_TYPES = ("end", "answer")


class Place:
    """Where a body lies: in a container of a subject, or (None) in the error handler of it."""

    def __init__(
        self, subject: Subject, container: tuple[AnyNode, ContainerNode[Any]] | None = None
    ) -> None:
        self.subject = subject
        self.container = container

    @property
    def owner(self) -> str | None:
        """The container's id."""
        return self.container[0].id if self.container is not None else None

    @cached_property
    def offers(self) -> frozenset[Selector]:
        """What the container gives its body to read."""
        if self.container is None:
            return frozenset()
        node, container = self.container
        return frozenset(container.offers(node))


class Subject:
    """One graph. A body knows its ``place``; of the top level that is None."""

    def __init__(
        self,
        schema: WorkflowSchema,
        types: NodeRegistry,
        mocked: frozenset[str],
        foreign: frozenset[str],
        place: Place | None = None,
    ) -> None:
        self.schema = schema
        self.mocked = mocked
        self.foreign = foreign
        self.place = place
        self.nodes = schema.nodes
        self.edges = schema.edges
        self.by_id = {node.id: node for node in self.nodes}
        self._types = types
        self._begin: str | None = None

    def bodies(self) -> Iterator[Subject]:
        """The bodies that may run: of containers whose data can be read, and the error handler's.

        Each is a graph of its own, in the dialect of the workflow around it.
        """
        for spec in self.nodes:
            found = self.type_of(spec)
            if not isinstance(found, ContainerNode) or self.accepted_unseen(spec):
                continue
            node = self.read(spec, found) if self.matters(spec) else None
            container: ContainerNode[Any] = found
            if node is not None and container.place(node) is Placement.CHILD:
                yield self._body(container.body(node), Place(self, (node, container)))
        if self.schema.error_handler is not None:
            yield self._body(self.schema.error_handler.sub_graph, Place(self))

    def _body(self, body: SubGraph, place: Place) -> Subject:
        schema = WorkflowSchema(dialect=self.dialect, nodes=body.nodes, edges=body.edges)
        subject = Subject(schema, self._types, self.mocked, self.foreign, place)
        subject._begin = body.start
        return subject

    def read(self, spec: NodeSpec, node_type: AnyNodeType) -> AnyNode | None:
        """A node with its data parsed; None when its type refuses the data (E217)."""
        try:
            data = node_type.data_model.model_validate(spec.data)
        except ValidationError:
            return None
        return Node(spec.id, spec.type, spec.title, data, self.dialect)

    def around(self) -> Iterator[Place]:
        """The places of this body, from the inside out; nothing for the top level."""
        place = self.place
        while place is not None:
            yield place
            place = place.subject.place

    @property
    def dialect(self) -> Dialect:
        return self.schema.dialect

    @property
    def lenient(self) -> bool:
        """Whether what leads nowhere is only warned of: Dify runs it, and in bodies the reference
        does, which looks into none of them (2.1)."""
        return self.dialect == "dify" or self.place is not None

    @cached_property
    def root(self) -> str | None:
        """Where a run begins. At the top level None when there is not exactly one start node; of
        a body's the last one counts (7.1), or the node that Dify's container names."""
        if self._begin is not None:
            return self._begin if self._begin in self.by_id else None
        starts = [node.id for node in self.nodes if node.type == "start"]
        several = len(starts) > 1 and self.place is None
        return starts[-1] if starts and not several else None

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

    def sees(self, selector: Selector) -> bool:
        """Whether a selector starts at a node of this graph or of one around it, or names what a
        container offers."""
        places = tuple(self.around())
        graphs = (self, *(place.subject for place in places))
        return any(selector[0] in graph.by_id for graph in graphs) or any(
            selector[:2] in place.offers for place in places
        )

    def matters(self, node: NodeSpec) -> bool:
        """Whether a node's own faults count: Dify exports hold leftovers that never run."""
        unreached = self.reachable is not None and node.id not in self.reachable
        return not (self.dialect == "dify" and unreached)

    def accepted_unseen(self, node: NodeSpec) -> bool:
        """Whether the node's data is nobody's business here: it is mocked, or foreign."""
        return node.id in self.mocked or node.type in self.foreign

    def known(self, name: str) -> bool:
        """Whether a node may have this type here."""
        return name in self._names

    def is_mark(self, name: str) -> bool:
        """Whether a type means something in bodies only."""
        found = self._types.find(name)
        return found is not None and found.in_bodies_only

    @cached_property
    def type_names(self) -> frozenset[str]:
        """Every type that a file may name, supported or not."""
        return self._names | UNSUPPORTED.keys() | self.foreign

    @cached_property
    def roots(self) -> frozenset[str]:
        """What a selector may start with: nodes and namespaces, those around a body included."""
        outer = self.place.subject.roots if self.place is not None else RESERVED
        return outer | self.by_id.keys()

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
        """Where in the file the node or edge of a finding stands, or the container around it."""
        line: int | None = None
        if found.edge_id is not None:
            line = self._edge_lines.get(found.edge_id)
        elif found.node_id in self.by_id:
            line = self._line_of(found.node_id)
        for place in self.around():
            if line is None and place.owner is not None:
                line = place.subject._line_of(place.owner)
        return line

    def _line_of(self, node_id: str) -> int | None:
        places = tuple(self.around())
        if not places:
            return self.by_id[node_id].line
        return places[-1].subject.schema.inner_lines.get(node_id)

    @cached_property
    def _edge_lines(self) -> Mapping[str, int | None]:
        return {edge.id: edge.line for edge in self.edges}

    @cached_property
    def _names(self) -> frozenset[str]:
        return self._types.names(in_body=self.place is not None)

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
