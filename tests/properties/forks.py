"""Forks of runs in memory: a run is retraced as a reader would, cut back, and carried on."""

from __future__ import annotations

from random import Random

from tests.properties.in_memory import InMemoryShell, RecordingDriver, events_of
from tests.properties.naive import Graph
from xworkflow.domain.facts import Forked, NodeFailed, NodeSucceeded
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.plan import Placement
from xworkflow.engine.compile import Compiled
from xworkflow.engine.forking import Fork, Wish, fork
from xworkflow.engine.past import Note, Past, Retracing

FORK_IDS = IdSequence("fork")


def past_of(shell: InMemoryShell) -> Past:
    """What a reader of the run so far would know."""
    notes: list[Note] = []
    driver = Retracing(shell.compiled, shell.first, notes)
    for fact in shell.driver.facts:
        inline = (
            isinstance(fact, NodeSucceeded | NodeFailed)
            and driver.plan.nodes[fact.node].placement is Placement.INLINE
        )
        if not inline:  # the driver makes these itself
            driver.feed(fact)
    assert driver.state == shell.driver.state
    return Past(shell.compiled, shell.first, driver.state, tuple(notes))


def forked(past: Past, from_node: str | None, compiled: Compiled | None = None) -> Fork:
    """The fork of a run. Raises ValidationFailed."""
    return fork(past, compiled or past.compiled, Wish(from_node), FORK_IDS)


def shell_of(graph: Graph, order: Random, cut: Fork, from_node: str | None) -> InMemoryShell:
    """The fork, begun."""
    shell = InMemoryShell(graph, order)
    shell.first = cut.state
    shell.driver = RecordingDriver(shell.compiled, cut.state)
    shell.feed(Forked("run", from_node or "", shell.now()))
    return shell


def started_of(shell: InMemoryShell) -> list[str]:
    """Ids of the nodes that were started, in order."""
    events = events_of(shell.turns())
    return [e.data["node_id"] for e in events if e.type == "node_run_started"]


def behind(graph: Graph, node_id: str) -> set[str]:
    """A node and all that its edges lead to."""
    found = {node_id}
    while True:
        more = {e.target for e in graph.edges if e.source in found} - found
        if not more:
            return found
        found |= more
