"""How a gather joins branches before all have arrived (5.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xworkflow.domain import events
from xworkflow.domain.commands import StartTimer
from xworkflow.domain.state import EdgePhase, NodePhase
from xworkflow.errors import NodeFailure

if TYPE_CHECKING:
    from xworkflow.domain.facts import TimerFired
    from xworkflow.domain.plan import PlanNode
    from xworkflow.domain.turn import Turn


def arrived(turn: Turn, node: PlanNode, source: int) -> bool:
    """Look at a gather one of whose in-edges was resolved; True when it is settled or waits.

    The first arrival starts its time limit.
    """
    join = node.join
    assert join is not None  # noqa: S101 - the caller looked
    phases = turn.edges[node.in_edges.start : node.in_edges.stop]
    taken, pending = phases.count(EdgePhase.TAKEN), phases.count(EdgePhase.PENDING)
    wanted = taken + pending if join.wanted is None else join.wanted
    if taken and (taken >= wanted if join.wanted is not None else not pending):
        turn.enqueue(node.index, source)
        turn.joins = turn.joins.without(str(node.index))
        return True
    if not pending:
        return False  # not enough can arrive any more: it is skipped
    if taken and join.timeout_ms is not None and str(node.index) not in turn.joins:
        turn.joins = turn.joins.set(str(node.index), turn.now + join.timeout_ms)
        turn.commands.append(StartTimer(node.index, 0, max(1, join.timeout_ms), "join"))
    return True


def joined(turn: Turn, node: PlanNode) -> None:
    """A gather ran: what has not arrived never will, and with ``cancel_remaining`` is stopped."""
    join = node.join
    assert join is not None  # noqa: S101 - the caller looked
    late = [e for e in node.in_edges if turn.edges[e] == EdgePhase.PENDING]
    for edge in late:
        turn.edges[edge] = EdgePhase.CANCELLED
    if join.cancel_remaining:
        _cancel_upstream(turn, [turn.plan.sources[edge] for edge in late])


def time_is_up(turn: Turn, fact: TimerFired) -> None:
    """A gather has waited long enough."""
    node = turn.plan.nodes[fact.node]
    if node.join is None or str(fact.node) not in turn.joins:
        return
    turn.see(fact.at)
    turn.joins = turn.joins.without(str(fact.node))
    if turn.nodes[fact.node] != NodePhase.PENDING:
        return
    if node.join.on_timeout == "fail":
        _fail(turn, node)
        return
    taken = turn.edges.count(EdgePhase.TAKEN, node.in_edges.start, node.in_edges.stop)
    joined(turn, node)
    if taken and (node.join.wanted is None or taken >= node.join.wanted):
        turn.enqueue(node.index, -1)
    else:
        turn.nodes[node.index] = NodePhase.CANCELLED


def _fail(turn: Turn, node: PlanNode) -> None:
    assert node.join is not None  # noqa: S101 - the caller looked
    secs = (node.join.timeout_ms or 0) / 1000
    shown = int(secs) if secs == int(secs) else secs
    failure = NodeFailure.timeout(f"Gather node '{node.id}' timed out after {shown}s")
    turn.nodes[node.index] = NodePhase.FAILED
    turn.emit(events.node_run_failed(node, turn.next_id(), failure))
    text = f"Node execution error: node={node.id}, error={failure.text}"
    turn.emit(events.graph_run_failed(text, turn.exceptions))
    turn.fail(text, "NodeExecutionError", node)


def _cancel_upstream(turn: Turn, sources: list[int]) -> None:
    """Cancel nodes all of whose out-edges lead to nothing that still wants them."""
    todo = list(dict.fromkeys(sources))
    while todo:
        index = todo.pop()
        if turn.nodes[index] not in (NodePhase.PENDING, NodePhase.QUEUED, NodePhase.RUNNING):
            continue
        if not all(_is_unwanted(turn, edge) for edge in turn.plan.nodes[index].out_edges):
            continue
        if turn.nodes[index] == NodePhase.RUNNING:
            turn.drop(index)
        turn.ready = [entry for entry in turn.ready if entry[0] != index]
        turn.nodes[index] = NodePhase.CANCELLED
        for edge in turn.plan.nodes[index].in_edges:
            if turn.edges[edge] == EdgePhase.PENDING:
                turn.edges[edge] = EdgePhase.CANCELLED
            todo.append(turn.plan.sources[edge])


def _is_unwanted(turn: Turn, edge: int) -> bool:
    if turn.edges[edge] in (EdgePhase.CANCELLED, EdgePhase.SKIPPED):
        return True
    return turn.nodes[turn.plan.targets[edge]] == NodePhase.CANCELLED
