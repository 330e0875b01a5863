"""From a schema to what runs: the plan of ``decide``, and the parsed nodes with their types."""

from __future__ import annotations

import hashlib
import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import ValidationError

from xworkflow.domain.placeholders import references
from xworkflow.domain.plan import Placement, Plan, PlanNode
from xworkflow.domain.schema import EdgeSpec, ErrorStrategy, NodeSpec, SubGraph, WorkflowSchema
from xworkflow.domain.selectors import Selector
from xworkflow.domain.wire import ExecutorInfo, MockNode, Policy
from xworkflow.engine.responding import with_responses
from xworkflow.engine.streaming import streaming_nodes
from xworkflow.errors import DslError
from xworkflow.nodes.base import AnyNode, AnyNodeType, ContainerNode, Node, WorkNode
from xworkflow.nodes.foreign import ForeignNode
from xworkflow.nodes.mocked import MockedNode
from xworkflow.nodes.registry import NodeRegistry


class CompileError(DslError):
    """A graph that cannot be made into a plan; validation finds these before a run is started."""

    code = "compile_error"


@dataclass(frozen=True, slots=True)
class CompiledNode:
    """A node ready to run: its parsed form, and the type that does its work."""

    node: AnyNode
    type: AnyNodeType
    spec: NodeSpec


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """What a compilation depends on besides the schema.

    ``mock_nodes`` by node id, ``executors`` by node type; with ``all_activities`` everything but
    pure control flow becomes a regular activity, so that all of it shows in the Web UI. With
    ``bounded_templates`` a template has limits that only a sandbox process can hold it to.
    """

    mock_nodes: Mapping[str, MockNode] = field(default_factory=dict[str, MockNode])
    executors: Mapping[str, ExecutorInfo] = field(default_factory=dict[str, ExecutorInfo])
    all_activities: bool = False
    bounded_templates: bool = False

    def under(self, policy: Policy) -> CompileOptions:
        """The options of a run that was admitted under a policy."""
        return replace(
            self,
            all_activities=self.all_activities or policy.all_activities,
            bounded_templates=self.bounded_templates or policy.limits.template is not None,
        )

    def key(self, schema_hash: str) -> str:
        """The name of this compilation of a schema, equal in every process."""
        if not self.mock_nodes and not self.executors:
            activities = "+activities" if self.all_activities else ""
            return f"{schema_hash}{activities}{'+bounded' if self.bounded_templates else ''}"
        parts = {
            "mocks": {name: mock.model_dump() for name, mock in self.mock_nodes.items()},
            "executors": {name: info.model_dump() for name, info in self.executors.items()},
            "all_activities": self.all_activities,
            "bounded_templates": self.bounded_templates,
        }
        text = json.dumps(parts, sort_keys=True)
        return f"{schema_hash}+{hashlib.sha256(text.encode()).hexdigest()}"


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Compiled:
    """A compiled schema; ``nodes`` stand in plan order. ``key`` names schema and options.

    ``bodies`` has the compiled body of each container, by its plan index.
    """

    schema: WorkflowSchema
    options: CompileOptions
    key: str
    plan: Plan
    nodes: tuple[CompiledNode, ...]
    bodies: Mapping[int, Compiled] = field(default_factory=dict[int, "Compiled"])

    @property
    def reads(self) -> tuple[Selector, ...] | None:
        """What all nodes together read; None for the whole pool."""
        every = [node.reads for node in self.plan.nodes]
        return None if None in every else tuple(dict.fromkeys(s for r in every for s in r or ()))


def compile_schema(
    schema: WorkflowSchema, types: NodeRegistry, options: CompileOptions | None = None
) -> Compiled:
    """Compile a schema. Raises CompileError; pure, so replay-safe."""
    return _Compiler(schema, types, options or CompileOptions()).compile()


def body_schema(outer: WorkflowSchema, body: SubGraph) -> WorkflowSchema:
    """A body as a schema of its own, in the dialect of the workflow around it."""
    return WorkflowSchema(
        dialect=outer.dialect,
        version=outer.version,
        name=outer.name,
        nodes=body.nodes,
        edges=body.edges,
        start=body.start,
    )


class _Compiler:
    def __init__(
        self, schema: WorkflowSchema, types: NodeRegistry, options: CompileOptions
    ) -> None:
        self.schema = schema
        self.types = types
        self.options = options

    def compile(self) -> Compiled:
        specs = {spec.id: spec for spec in self.schema.nodes if spec.parent_id is None}
        start = self.schema.start
        if start is None:
            # of several in a body the last one wins (7.1); elsewhere E005 refuses them
            start = next((s.id for s in reversed(specs.values()) if s.type == "start"), None)
        if start is None or start not in specs:
            raise CompileError("No start node found")
        edges = [e for e in self.schema.edges if e.source in specs and e.target in specs]
        reached = _reachable(start, edges)
        edges = [e for e in edges if e.source in reached]
        order = [spec for spec in specs.values() if spec.id in reached]
        nodes = tuple(self.compile_node(spec) for spec in order)
        key = self.options.key(self.schema.hash)
        bodies = {i: self.body(n) for i, n in enumerate(nodes) if _is_container(n)}
        plan = self.plan(nodes, edges, start, bodies)
        return Compiled(self.schema, self.options, key, plan, nodes, bodies)

    def body(self, container: CompiledNode) -> Compiled:
        node_type = container.type
        assert isinstance(node_type, ContainerNode)  # noqa: S101 - the caller looked
        schema = body_schema(self.schema, node_type.body(container.node))
        try:
            return compile_schema(schema, self.types, self.options)
        except CompileError as error:
            raise CompileError(f"node '{container.node.id}': its body: {error}") from None

    def compile_node(self, spec: NodeSpec) -> CompiledNode:
        node_type = self.type_of(spec)
        try:
            data = node_type.data_model.model_validate(spec.data)
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise CompileError(f"node '{spec.id}', field '{where}': {first['msg']}") from None
        node = Node(spec.id, spec.type, spec.title, data, self.schema.dialect)
        return CompiledNode(node, node_type, spec)

    def type_of(self, spec: NodeSpec) -> AnyNodeType:
        mock = self.options.mock_nodes.get(spec.id)
        if mock is not None:
            return MockedNode(mock, is_output=spec.type in ("end", "answer"))
        executor = self.options.executors.get(spec.type)
        if executor is not None:
            return ForeignNode(reads_all=executor.reads_all)
        found = self.types.find(spec.type)
        if found is None:
            raise CompileError(f"node '{spec.id}': unknown or unsupported type '{spec.type}'")
        return found

    def plan(
        self,
        nodes: tuple[CompiledNode, ...],
        edges: list[EdgeSpec],
        start: str,
        bodies: Mapping[int, Compiled],
    ) -> Plan:
        index_of = {compiled.node.id: index for index, compiled in enumerate(nodes)}
        by_target = sorted(range(len(edges)), key=lambda drawn: index_of[edges[drawn].target])
        number_of = {drawn: number for number, drawn in enumerate(by_target)}
        outs: list[list[int]] = [[] for _ in nodes]
        for drawn, edge in enumerate(edges):
            outs[index_of[edge.source]].append(number_of[drawn])
        edges = [edges[drawn] for drawn in by_target]
        targets = tuple(index_of[edge.target] for edge in edges)
        streaming = streaming_nodes((compiled.node, compiled.type) for compiled in nodes)
        plan = Plan(
            dialect=self.schema.dialect,
            nodes=tuple(
                self.plan_node(
                    i,
                    compiled,
                    _places(targets, i),
                    outs[i],
                    edges,
                    body=bodies.get(i),
                    streaming=compiled.node.id in streaming,
                )
                for i, compiled in enumerate(nodes)
            ),
            sources=tuple(index_of[e.source] for e in edges),
            targets=targets,
            handles=tuple(e.handle for e in edges),
            root=index_of[start],
            index_of=index_of,
            error_handler=self.schema.error_handler,
        )
        return with_responses(plan, nodes, bodies)

    def plan_node(  # noqa: PLR0913 - what a node of a plan is made of
        self,
        index: int,
        compiled: CompiledNode,
        ins: range,
        outs: list[int],
        edges: list[EdgeSpec],
        *,
        body: Compiled | None,
        streaming: bool,
    ) -> PlanNode:
        spec, node_type = compiled.spec, compiled.type
        return PlanNode(
            index=index,
            id=spec.id,
            type=spec.type,
            title=spec.title,
            placement=self.placement(compiled),
            in_edges=ins,
            out_edges=tuple(outs),
            is_output=node_type.is_output,
            # decided by the edges, not by the type (spec/graph.md 1.4)
            is_branch=any(edges[e].handle != "source" for e in outs),
            reads=reads_of(compiled, body),
            error_strategy=spec.error_strategy or ErrorStrategy(),
            retry=spec.retry_config,
            timeout_secs=spec.timeout_secs,
            join=node_type.join(compiled.node),
            silent=node_type.silent,
            streaming=streaming,
            quick=body is not None and _is_quick(body),
        )

    def placement(self, compiled: CompiledNode) -> Placement:
        placed = compiled.type.place(compiled.node)
        if self.options.all_activities and isinstance(compiled.type, WorkNode):
            return Placement.ACTIVITY
        bounded = self.options.bounded_templates and isinstance(compiled.type, WorkNode)
        return Placement.LOCAL if bounded and placed is Placement.INLINE else placed


def _is_container(compiled: CompiledNode) -> bool:
    return (
        isinstance(compiled.type, ContainerNode)
        and compiled.type.place(compiled.node) is Placement.CHILD
    )


def _is_quick(body: Compiled) -> bool:
    """Whether a body can be carried in local regions alone."""
    quick = (Placement.INLINE, Placement.LOCAL)
    return all(node.placement in quick and node.retry is None for node in body.plan.nodes)


def reads_of(compiled: CompiledNode, body: Compiled | None = None) -> tuple[Selector, ...] | None:
    """The selectors that cross to the node, each once; None for the whole pool.

    Those of a container's body are among them: a child workflow gets what its body can reach.
    """
    node, node_type = compiled.node, compiled.type
    inner = () if body is None else body.reads
    if node_type.reads_all or inner is None:
        return None
    found = dict.fromkeys(selector for _, selector in node_type.selectors(node))
    for _, text in node_type.texts(node):
        found.update(dict.fromkeys(references(text, node.dialect)))
    found.update(dict.fromkeys(node_type.hidden_reads(node)))
    found.update(dict.fromkeys(inner))
    return tuple(found)


def _places(ordered: tuple[int, ...], number: int) -> range:
    """Where a number stands in an ordered list."""
    return range(bisect_left(ordered, number), bisect_right(ordered, number))


def _reachable(start: str, edges: list[EdgeSpec]) -> set[str]:
    """Ids that can be reached: what cannot must not hold up a join (Dify exports have
    leftovers)."""
    following: dict[str, list[str]] = {}
    for edge in edges:
        following.setdefault(edge.source, []).append(edge.target)
    reached, todo = {start}, [start]
    while todo:
        for target in following.get(todo.pop(), ()):
            if target not in reached:
                reached.add(target)
                todo.append(target)
    return reached
