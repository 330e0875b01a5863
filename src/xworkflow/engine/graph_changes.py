"""What differs between the graph that a run was made with and the one that a fork goes on with.

Only what touches a result that is to be reused makes a fork unsafe (spec/graph.md 9.2 refuses any
change of the file; here each node is looked at).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final, cast

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.plan import Plan
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.selectors import Selector, show
from xworkflow.domain.state import EdgePhase, RunState
from xworkflow.engine.compile import Compiled
from xworkflow.nodes.base import NodeData
from xworkflow.nodes.mocked import MockedNode

_DRAWING: Final = frozenset({"title", "desc", "type", "selected"})
"""Keys of a node's data that change nothing of what it does."""


def changes(
    old: Compiled, state: RunState, new: Compiled, reused: Collection[str]
) -> Iterator[Diagnostic]:
    """The findings about nodes whose results are to be reused, by id; ``state`` is the old run's.
    Pure."""
    if old.schema.text == new.schema.text:
        return
    if old.schema.dialect != new.schema.dialect:
        yield _danger(
            "F010",
            f"the run was of the {old.schema.dialect} dialect, and the file is of the "
            f"{new.schema.dialect} one: values and templates mean other things there",
        )
    readers = _readers(new, reused)
    for node_id in (node.id for node in old.plan.nodes if node.id in reused):
        if node_id not in new.plan.index_of:
            yield from _removed(node_id, readers)
        else:
            yield from _changed(old, state, new, node_id)


def _removed(node_id: str, readers: Mapping[str, tuple[str, Selector]]) -> Iterator[Diagnostic]:
    if node_id in readers:
        reader, selector = readers[node_id]
        yield _danger(
            "F011",
            f"node '{node_id}' has finished and is gone from the file, "
            f"but '{reader}' still reads '{show(selector)}'",
            node_id,
        )


def _changed(old: Compiled, state: RunState, new: Compiled, node_id: str) -> Iterator[Diagnostic]:
    before, after = old.plan.index_of[node_id], new.plan.index_of[node_id]
    remedy = f"fork from it (--from {node_id}) to run it again"
    if old.plan.nodes[before].type != new.plan.nodes[after].type:
        types = f"'{old.plan.nodes[before].type}' became '{new.plan.nodes[after].type}'"
        yield _danger(
            "F012", f"node '{node_id}' has finished, and its type {types}: {remedy}", node_id
        )
    elif _work(old, before) != _work(new, after):
        keys = _differing(old, new, before, after)
        yield _danger(
            "F013",
            f"node '{node_id}' has finished, and the file changes it{keys}: {remedy}, "
            "or --force to keep its old result",
            node_id,
        )
    drawn, now_drawn = _drawn_before(old.plan, before), _drawn_before(new.plan, after)
    # an edge from a branch that was not taken has never mattered
    if _drawn_before(old.plan, before, state) - now_drawn or now_drawn - drawn:
        yield _danger(
            "F014",
            f"node '{node_id}' has finished, and the file changes which edges lead to it: {remedy}",
            node_id,
        )


def _differing(old: Compiled, new: Compiled, before: int, after: int) -> str:
    was, is_now = _fields(old, before), _fields(new, after)
    keys = [key for key in {**was, **is_now} if was.get(key) != is_now.get(key)]
    return f" ({', '.join(keys)})" if keys else " (its body)"


def _work(compiled: Compiled, index: int) -> Any:  # noqa: ANN401 - only ever compared
    """What decides the result of a node: its data as far as its type reads them, and its body."""
    body = compiled.bodies.get(index)
    return _fields(compiled, index), None if body is None else _graph(body)


def _fields(compiled: Compiled, index: int) -> dict[str, Any]:
    node = compiled.nodes[index]
    if isinstance(node.type, MockedNode):
        return {}  # it gives what the mock says, whatever the file says
    data = cast("NodeData", node.node.data)
    # an executor of one's own declares nothing, and reads whatever it likes
    names = type(data).model_fields or data.model_extra or {}
    given = {name: getattr(data, name) for name in names if name not in _DRAWING}
    if index not in compiled.bodies:
        return given
    return {name: value for name, value in given.items() if not isinstance(value, SubGraph)}


def _graph(body: Compiled) -> Any:  # noqa: ANN401 - only ever compared
    nodes = {
        node.id: (
            node.type,
            _work(body, node.index),
            node.error_strategy,
            node.retry,
            node.timeout_secs,
            _drawn_before(body.plan, node.index),
        )
        for node in body.plan.nodes
    }
    return body.plan.nodes[body.plan.root].id, nodes


def _drawn_before(
    plan: Plan, index: int, state: RunState | None = None
) -> frozenset[tuple[str, str]]:
    """(source, handle) of the edges that lead to a node; with a state, of those that were not
    skipped."""
    ins = plan.nodes[index].in_edges
    return frozenset(
        (plan.nodes[plan.sources[edge]].id, plan.handles[edge])
        for edge in ins
        if state is None or state.edges[edge] != EdgePhase.SKIPPED
    )


def _readers(new: Compiled, reused: Collection[str]) -> dict[str, tuple[str, Selector]]:
    """For each node that is read by one that is to run: the first such reader, and what it
    reads."""
    readers: dict[str, tuple[str, Selector]] = {}
    for node in new.plan.nodes:
        if node.id not in reused:
            for selector in node.reads or ():
                readers.setdefault(selector[0], (node.id, selector))
    return readers


def _danger(code: str, message: str, node_id: str | None = None) -> Diagnostic:
    made = finding(code, message, node=node_id)
    return made.model_copy(update={"level": "error"})
