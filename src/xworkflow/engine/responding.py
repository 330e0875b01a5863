"""Which nodes of a Dify graph respond to the user, and what may change what they say.

Read from the drawing when it is compiled; ``domain/responses.py`` makes an order of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeAlias

from xworkflow.domain.placeholders import segments
from xworkflow.domain.plan import Placement, Plan, PlanNode, Response
from xworkflow.domain.selectors import Selector
from xworkflow.nodes.answer import AnswerData
from xworkflow.nodes.end import EndData

if TYPE_CHECKING:
    from xworkflow.engine.compile import Compiled, CompiledNode

Template: TypeAlias = tuple[str | Selector, ...]

_BETWEEN_OUTPUTS: Final = "\n"


def template_of(compiled: CompiledNode) -> Template:
    """What a response prints; nothing for any other node, and for a mocked one."""
    match compiled.node.data:
        case AnswerData(answer=answer):
            return segments(answer, "dify")
        case EndData(outputs=outputs):
            found: list[str | Selector] = []
            for output in outputs:
                found += [_BETWEEN_OUTPUTS, output.value_selector]
            return tuple(found[1:])
        case _:
            return ()


def with_responses(
    plan: Plan, nodes: Sequence[CompiledNode], bodies: Mapping[int, Compiled]
) -> Plan:
    """The plan with the responses of its graph; the same one in the native dialect."""
    if plan.dialect != "dify":
        return plan
    found = [node for node in plan.nodes if node.is_output]
    speaking = {index for index, body in bodies.items() if _answers(body)}
    if not (found or speaking):
        return plan
    influences = _Influences(plan, nodes, bodies)
    responses = tuple(
        Response(
            node.index,
            writers=influences.writers(node.index),
            late=node.error_strategy.type != "none" or node.index in influences.left,
        )
        for node in found
    )
    deciding = {index for response in responses for index in response.writers}
    deciding |= {plan.root, *(node.index for node in plan.nodes if node.is_gate)}
    marked = deciding | speaking | influences.left
    plan_nodes = tuple(
        replace(
            node,
            speaks=node.index in speaking,
            may_be_left=node.index in influences.left,
            decides=node.index in deciding,
        )
        if node.index in marked
        else node
        for node in plan.nodes
    )
    places = len(found) + len(speaking)
    return replace(plan, nodes=plan_nodes, responses=responses, places=places)


class _Influences:
    """What may change what the responses of a graph say. ``left`` are the nodes that a gather may
    stop."""

    def __init__(
        self, plan: Plan, nodes: Sequence[CompiledNode], bodies: Mapping[int, Compiled]
    ) -> None:
        self.nodes = nodes
        self.containers = [n.index for n in plan.nodes if n.placement is Placement.CHILD]
        self.writing: dict[Selector, list[int]] = {}
        for index, compiled in enumerate(nodes):
            for selector in _rewritten(compiled, bodies.get(index)):
                self.writing.setdefault(selector, []).append(index)
        gathers = [node.index for node in plan.nodes if _leaves_behind(node)]
        # most graphs have none of these, and their ways need not be known
        self.before = _before(plan) if self.containers or self.writing or gathers else []
        self.left = {n.index for n in plan.nodes if any(self.leads(n.index, g) for g in gathers)}

    def leads(self, index: int, to: int) -> bool:
        return bool(self.before[to] >> index & 1)

    def writers(self, response: int) -> tuple[int, ...]:
        """The nodes that may write what it prints and do not come after it. Of a container on a way
        to it nobody knows."""
        found = {index for index in self.containers if self.leads(index, response)}
        for selector in _printed(self.nodes[response]):
            writing = self.writing.get(selector, ())
            found.update(i for i in writing if i != response and not self.leads(response, i))
        return tuple(sorted(found))


def _answers(body: Compiled) -> bool:
    return any(n.speaks or (n.is_output and n.type != "end") for n in body.plan.nodes)


def _leaves_behind(node: PlanNode) -> bool:
    """Whether it is a gather that may stop what leads to it."""
    return node.join is not None and node.join.cancel_remaining and not node.join.waits_for_all


def _printed(compiled: CompiledNode) -> set[Selector]:
    return {part[:2] for part in template_of(compiled) if not isinstance(part, str)}


def _rewritten(compiled: CompiledNode, body: Compiled | None) -> set[Selector]:
    """Variables of others that a node, or what is inside of it, may change."""
    found = {selector[:2] for selector in compiled.type.rewrites(compiled.node)}
    if body is not None:
        for index, inner in enumerate(body.nodes):
            found |= _rewritten(inner, body.bodies.get(index))
    return found


def _before(plan: Plan) -> list[int]:
    """The ancestors of each node, as a bit set; nodes in a cycle have not all of them."""
    before = [0] * len(plan.nodes)
    left = [len(node.in_edges) for node in plan.nodes]
    todo = [index for index, count in enumerate(left) if not count]
    while todo:
        index = todo.pop()
        own = before[index] | 1 << index
        for edge in plan.nodes[index].out_edges:
            target = plan.targets[edge]
            before[target] |= own
            left[target] -= 1
            if not left[target]:
                todo.append(target)
    return before
