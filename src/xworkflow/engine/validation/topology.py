"""Layer 2: can a run come from the start to an output. E101 to E104, W101 to W103."""

from __future__ import annotations

from collections.abc import Iterator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.engine.validation.subject import OUTPUT_TYPES, Subject


def check_topology(subject: Subject, *, cycles: bool = True) -> Iterator[Diagnostic]:
    """The subject must have a root. Without ``cycles``, cycles pass."""
    assert subject.reachable is not None  # noqa: S101 - the caller saw a root
    reachable = subject.reachable
    if cycles:
        yield from _check_cycles(subject)
    yield from _check_reach(subject, reachable)
    outputs = [node for node in subject.nodes if node.type in OUTPUT_TYPES]
    if subject.place is None and outputs and not any(node.id in reachable for node in outputs):
        yield finding("E103", "no end or answer node can be reached from the start node")
    yield from _check_edges(subject, reachable)


def _check_cycles(subject: Subject) -> Iterator[Diagnostic]:
    for path in _cycles(subject):
        if subject.matters(subject.by_id[path[0]]):
            yield finding("E101", f"cycle: {' -> '.join((*path, path[0]))}", node=path[0])


def _cycles(subject: Subject) -> Iterator[tuple[str, ...]]:
    """One path for each edge that leads back to the way by which the search came.

    Not recursive: chains have 10,000 nodes. An edge to its own source is E012's affair.
    """
    done: set[str] = set()
    for root in subject.by_id:
        path: dict[str, Iterator[str]] = {}
        node = root
        while node not in done:
            following = path.setdefault(node, iter(subject.targets.get(node, ())))
            target = next(following, None)
            if target is None:
                del path[node]
                done.add(node)
                if path:
                    node = next(reversed(path))
            elif target in path and target != node:
                way = list(path)
                yield tuple(way[way.index(target) :])
            elif target in subject.by_id and target not in path and target not in done:
                node = target


def _check_reach(subject: Subject, reachable: frozenset[str]) -> Iterator[Diagnostic]:
    for node in subject.nodes:
        if node.id in reachable:
            continue
        if subject.lenient:
            yield finding("W103", "unreachable node, it will not run", node=node.id)
        else:
            yield finding("E102", "the node cannot be reached from the start node", node=node.id)


def _check_edges(subject: Subject, reachable: frozenset[str]) -> Iterator[Diagnostic]:
    for edge in subject.edges:
        source, target = subject.by_id.get(edge.source), subject.by_id.get(edge.target)
        if source is None or target is None or source is target:
            continue
        if target.type == "start":
            text = f"edge '{edge.id}' leads to the start node"
            yield finding("E104", text, node=target.id, edge=edge.id)
        if source.type in _last_types(subject):
            text = f"edge '{edge.id}' leads on from the {source.type} node '{source.id}'"
            yield finding("W101", text, node=source.id, edge=edge.id)
        # leftovers have W103 already
        if not subject.lenient and not {source.id, target.id} <= reachable:
            text = f"edge '{edge.id}' joins a node that cannot be reached"
            yield finding("W102", text, edge=edge.id)


def _last_types(subject: Subject) -> tuple[str, ...]:
    # chat workflows of Dify answer in pieces, one answer node after the other; bodies need an end
    return ("end",) if subject.lenient else OUTPUT_TYPES
