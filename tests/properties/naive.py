"""The oracle of the laws: a naive interpreter of spec/graph.md 5.3, 6.2 and 6.3.

It knows nothing of the scheduler and has no order of completions: what happens to a node follows
from its in-edges alone, and what happens to an edge from its source alone. Where a run fails, which
nodes still ran does depend on the order; then the oracle gives what *may* happen: every text that
the run may fail with, and every node that may have run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

from xworkflow.errors import NodeFailure

Dialect = Literal["native", "dify"]
Strategy = Literal["none", "fail-branch", "default-value"]
Fate = Literal["ran", "failed", "skipped", "pending"]
EdgeFate = Literal["taken", "skipped", "pending"]


@dataclass(frozen=True)
class Attempt:
    """What one attempt of a node does: it fails, or it gives outputs and perhaps a handle.

    ``excepted`` is a success that reports a tolerated failure by itself.
    """

    outputs: Mapping[str, Any] = field(default_factory=dict[str, Any])
    handle: str | None = None
    failure: NodeFailure | None = None
    excepted: bool = False


@dataclass(frozen=True)
class Retry:
    """The part of ``retry_config`` that decides what happens; the rest decides when."""

    max_retries: int
    interval_ms: int = 0
    every_error: bool = False


@dataclass(frozen=True)
class ScriptedNode:
    """A node whose attempts are written down; the last one stands for all that follow."""

    id: str
    attempts: tuple[Attempt, ...]
    is_output: bool = False
    inline: bool = False
    strategy: Strategy = "none"
    default_value: Mapping[str, Any] = field(default_factory=dict[str, Any])
    retry: Retry | None = None


@dataclass(frozen=True)
class Edge:
    source: str
    target: str
    handle: str = "source"


@dataclass(frozen=True)
class Graph:
    """A graph of scripted nodes, the start node first."""

    nodes: tuple[ScriptedNode, ...]
    edges: tuple[Edge, ...]
    dialect: Dialect = "native"

    @property
    def root(self) -> str:
        return self.nodes[0].id


@dataclass(frozen=True)
class Outcome:
    """What becomes of a graph; with ``fatal`` texts the run fails with one of them."""

    ran: frozenset[str]
    skipped: frozenset[str]
    outputs: dict[str, Any]
    pool: dict[str, dict[str, Any]]
    exceptions: int
    attempts: dict[str, int]
    fatal: frozenset[str]


@dataclass(frozen=True)
class _Settled:
    """How a node that was started ended, after all its attempts."""

    outputs: dict[str, Any]
    handle: str | None
    exceptions: int
    attempts: int
    fatal: str | None = None


def interpret(graph: Graph) -> Outcome:
    """Run the graph to its end."""
    return _Interpreter(graph).outcome()


class _Interpreter:
    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.nodes = {node.id: node for node in graph.nodes}
        self.fates: dict[str, Fate] = {}

    def outcome(self) -> Outcome:
        reached = [node for node in self.graph.nodes if node.id in self.reachable]
        fates = {node.id: self.fate(node.id) for node in reached}
        started = [node for node in reached if fates[node.id] in ("ran", "failed")]
        ended = {node.id: self.settle(node) for node in started}
        written = {name: end.outputs for name, end in ended.items() if end.outputs}
        return Outcome(
            ran=frozenset(ended),
            skipped=frozenset(name for name, fate in fates.items() if fate == "skipped"),
            outputs={
                key: value
                for node in started
                if node.is_output
                for key, value in ended[node.id].outputs.items()
            },
            pool=written,
            exceptions=sum(end.exceptions for end in ended.values()),
            attempts={name: end.attempts for name, end in ended.items()},
            fatal=frozenset(end.fatal for end in ended.values() if end.fatal is not None),
        )

    @cached_property
    def reachable(self) -> set[str]:
        reached: set[str] = set()
        todo = {self.graph.root}
        while todo:
            reached |= todo
            todo = {e.target for e in self.graph.edges if e.source in reached} - reached
        return reached

    def fate(self, name: str) -> Fate:
        if name not in self.fates:
            self.fates[name] = self._fate(name)
        return self.fates[name]

    def _fate(self, name: str) -> Fate:
        """5.3: ready when every in-edge is resolved and at least one is taken."""
        into = [e for e in self.graph.edges if e.target == name and e.source in self.reachable]
        fates = [self.edge_fate(edge) for edge in into]
        if name != self.graph.root:
            if "pending" in fates:
                return "pending"
            if "taken" not in fates:
                return "skipped"
        return "ran" if self.settle(self.nodes[name]).fatal is None else "failed"

    def edge_fate(self, edge: Edge) -> EdgeFate:
        source = self.fate(edge.source)
        if source == "skipped":
            return "skipped"
        if source != "ran":
            return "pending"
        taken = self.taken(self.nodes[edge.source], self.settle(self.nodes[edge.source]).handle)
        return "taken" if edge in taken else "skipped"

    def out_edges(self, node: ScriptedNode) -> list[Edge]:
        return [edge for edge in self.graph.edges if edge.source == node.id]

    def is_branch(self, node: ScriptedNode) -> bool:
        """1.4: decided by the handles of the out-edges, not by the type."""
        return any(edge.handle != "source" for edge in self.out_edges(node))

    def lenient(self, node: ScriptedNode) -> bool:
        """Who may give no handle though it is a branch node (6.2; Dify's engine always)."""
        return self.graph.dialect == "dify" or node.strategy == "fail-branch"

    def taken(self, node: ScriptedNode, handle: str | None) -> list[Edge]:
        edges = self.out_edges(node)
        if not self.is_branch(node):
            return edges
        return [edge for edge in edges if edge.handle == (handle or "source")]

    def settle(self, node: ScriptedNode) -> _Settled:
        """6.3, then 6.2, then 5.3's rule that a branch node's handle must have an edge."""
        number = 1
        while self.tries_again(node, number):
            number += 1
        last = attempt(node, number)
        if last.failure is None:
            exceptions = 1 if last.excepted else 0
            end = _Settled(dict(last.outputs), last.handle, exceptions, number)
        elif node.strategy == "none":
            text = f"Node execution error: node={node.id}, error={last.failure.text}"
            return _Settled({}, None, 0, number, text)
        else:
            end = self.tolerated(node, last.failure, number)
        return _Settled(
            end.outputs, end.handle, end.exceptions, number, self.misrouted(node, end.handle)
        )

    def tries_again(self, node: ScriptedNode, number: int) -> bool:
        failure, retry = attempt(node, number).failure, node.retry
        if failure is None or retry is None or number > retry.max_retries:
            return False
        return failure.retryable or retry.every_error

    def tolerated(self, node: ScriptedNode, failure: NodeFailure, number: int) -> _Settled:
        outputs = {"error_message": failure.text, "error_type": failure.code}
        if node.strategy == "default-value":
            return _Settled(outputs | dict(node.default_value), None, 1, number)
        return _Settled(outputs, "fail-branch", 1, number)

    def misrouted(self, node: ScriptedNode, handle: str | None) -> str | None:
        """The text of the graph validation error, where there is no edge to take."""
        if self.taken(node, handle) or not self.is_branch(node) or self.graph.dialect == "dify":
            return None
        start = f"Graph validation error: Node {node.id} returned"
        if handle is not None:
            return f"{start} branch handle '{handle}' but no matching edge found"
        return None if self.lenient(node) else f"{start} default handle for branch node"


def attempt(node: ScriptedNode, number: int) -> Attempt:
    """What the attempt with that number (from 1) does."""
    return node.attempts[min(number, len(node.attempts)) - 1]
