"""A naive engine for containers: one run of the body after the other, and the body is a function.

It says what the contract of ``ContainerNode`` means where nothing is parallel.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xworkflow.domain.pool import VariablePool
from xworkflow.domain.repeats import ItemOutcome, RepeatEnd
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError
from xworkflow.nodes.base import AnyNode, ContainerNode
from xworkflow.nodes.registry import NodeRegistry

Ran = tuple[dict[str, JsonValue], VariablePool]
Body = Callable[[VariablePool], Ran]
"""A run of the body: outputs and final pool. Raises NodeError."""


def outputs_of(give: Callable[[VariablePool], dict[str, JsonValue]]) -> Body:
    """A body that changes nothing, with these outputs."""
    return lambda pool: (give(pool), pool)


def repeated(node: AnyNode, pool: VariablePool, body: Body) -> NodeRunResult:
    container = NodeRegistry.builtin().get(node.type)
    assert isinstance(container, ContainerNode)
    found: ContainerNode[Any] = container
    repeat = found.open(node, pool)

    def run(index: int, item: JsonValue, carry: JsonValue) -> Ran:
        inner = pool
        for name, values in found.scope(node, index, item, carry).items():
            inner = inner.extend(name, values)
        return body(inner)

    if repeat.folds:
        carry, rounds, last = repeat.carry, 0, pool
        while found.goes_on(node, repeat, carry, rounds, last):
            item = None if repeat.items is None else repeat.items[rounds]
            outputs, last = run(rounds, item, carry)
            carry, rounds = found.fold(node, carry, outputs, last), rounds + 1
        return found.close(node, repeat, RepeatEnd(carry=carry, rounds=rounds))
    outcomes: list[ItemOutcome] = []
    for index, item in enumerate(repeat.items or ()):
        try:
            outputs, last = run(index, item, None)
            outcomes.append(ItemOutcome(value=found.collect(node, outputs, last)))
        except NodeError as error:
            if repeat.on_failure == "terminate":
                raise
            outcomes.append(ItemOutcome(error=str(error)))
    return found.close(node, repeat, RepeatEnd(outcomes=tuple(outcomes)))


def broken() -> NodeError:
    """What a body fails with."""
    return NodeError.of_kind("execution_error", "divide by zero")
