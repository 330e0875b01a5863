"""Dify draws bodies flat: inner nodes name their iteration or loop. Here they move into it.

::

    start, it, it-start (in it), llm (in it), end   ──▶   start, it {sub_graph: it-start, llm}, end

What names a container that is not there stays where it is drawn, a leftover that nothing leads to.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.limits import MAX_NESTING
from xworkflow.domain.schema import EdgeSpec, NodeSpec, SubGraph

CONTAINERS: Final = frozenset({"iteration", "loop"})


def fold(nodes: tuple[NodeSpec, ...], edges: tuple[EdgeSpec, ...], findings: Findings) -> SubGraph:
    """The top level, with every body as the ``sub_graph`` of its container.

    W102 for an edge across the border of a body, which leads nowhere; E001 for bodies too deep.
    """
    levels = _levels(nodes, findings)
    homes = [_home(node, levels) for node in nodes]
    members: dict[str | None, list[int]] = {}
    for index, home in enumerate(homes):
        members.setdefault(home, []).append(index)
    home_of = {node.id: home for node, home in zip(reversed(nodes), reversed(homes), strict=True)}
    inner_edges = _edges_by_home(edges, home_of, findings)

    folded = [node.model_copy(update={"parent_id": None}) for node in nodes]

    def body(home: str | None, start: str | None = None) -> SubGraph:
        inner = tuple(folded[index] for index in members.get(home, ()))
        return SubGraph(nodes=inner, edges=tuple(inner_edges.get(home, ())), start=start)

    # a body must be whole before the one around it is made
    for index in sorted(_containers(nodes).values(), key=lambda i: -(levels[nodes[i].id] or 0)):
        node = folded[index]
        drawn = body(node.id, _start(node, [nodes[i] for i in members.get(node.id, ())]))
        data = {**node.data, "sub_graph": drawn.model_dump(mode="json", exclude_defaults=True)}
        folded[index] = node.model_copy(update={"data": data})
    return body(None)


def _containers(nodes: tuple[NodeSpec, ...]) -> dict[str, int]:
    """Where each container stands; the first of those with one id."""
    found: dict[str, int] = {}
    for index, node in enumerate(nodes):
        if node.type in CONTAINERS:
            found.setdefault(node.id, index)
    return found


def _levels(nodes: tuple[NodeSpec, ...], findings: Findings) -> dict[str, int | None]:
    """How many containers lie around each one; None, reported, for too many or a circle."""
    containers = _containers(nodes)
    levels: dict[str, int | None] = {}
    for name in containers:
        level, around = 0, nodes[containers[name]].parent_id
        while around in containers and level <= MAX_NESTING:
            level, around = level + 1, nodes[containers[around]].parent_id
        levels[name] = level if level < MAX_NESTING else None
        if levels[name] is None:
            text = f"it lies in more than {MAX_NESTING - 1} iterations and loops, or in itself"
            findings.add("E001", text, node=name, field="parentId")
    return levels


def _home(node: NodeSpec, levels: Mapping[str, int | None]) -> str | None:
    """The container that a node moves into."""
    lost = node.id in levels and levels[node.id] is None
    around = node.parent_id
    return None if around is None or lost or levels.get(around) is None else around


def _edges_by_home(
    edges: tuple[EdgeSpec, ...], home_of: Mapping[str, str | None], findings: Findings
) -> dict[str | None, list[EdgeSpec]]:
    found: dict[str | None, list[EdgeSpec]] = {}
    for edge in edges:
        ends = [home_of[end] for end in (edge.source, edge.target) if end in home_of]
        if len(set(ends)) > 1:
            text = f"edge '{edge.id}' leads across the border of a body, it will never be taken"
            findings.add("W102", text, edge=edge.id)
            continue
        found.setdefault(ends[0] if ends else None, []).append(edge)
    return found


def _start(container: NodeSpec, inner: list[NodeSpec]) -> str | None:
    """Where the body begins; old exports name its first node, and have no mark."""
    drawn = container.data.get("start_node_id")
    ids = {node.id for node in inner}
    if drawn is not None and str(drawn) in ids:
        return str(drawn)
    marks = (node.id for node in inner if node.type == f"{container.type}-start")
    return next(marks, None)
