"""``loop``: runs its body round after round (spec/graph.md 7.3, spec/dify.md E2).

The carry is the object of the loop's variables.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, cast

from xworkflow.domain.conditions import Condition, Mismatch, evaluate_condition
from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.loading.typed_values import TypedValueError
from xworkflow.domain.placeholders import references
from xworkflow.domain.pool import Namespace, VariablePool
from xworkflow.domain.repeats import LOOP_ENDED, Repeat, RepeatEnd
from xworkflow.domain.results import NodeRunResult, PoolWrite
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.selectors import SCOPE, Selector, SelectorError, check_depth, show
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError
from xworkflow.nodes.base import ContainerNode, Node, Values
from xworkflow.nodes.loop_data import LoopData, LoopVariable
from xworkflow.nodes.registry import node_type

VARIABLES: Final = "loop"
"""The namespace of a native loop's variables."""

_OF_ABSENCE: Final = frozenset({"null", "not_null", "empty", "not_empty"})
"""The operators that may be asked about a variable that is not there."""


@node_type
class Loop(ContainerNode[LoopData]):
    """Goes on while ``condition`` is true of the loop's variables, which the body's outputs change.

    Outputs the variables under ``output_variable``, and the rounds as ``_iterations``. The body
    reads them as ``loop.<name>``. In Dify's dialect the loop runs ``loop_count`` rounds, or until
    its ``break_conditions`` are true or a loop-end node was reached; the body reads the variables
    from the node itself, and assigner nodes change them; they are the outputs, with ``loop_round``.
    """

    type: ClassVar[str] = "loop"
    data_model = LoopData

    def selectors(self, node: Node[LoopData]) -> Iterator[tuple[str, Selector]]:
        data = node.data
        if node.dialect == "dify":
            for index, variable in enumerate(data.loop_variables):
                if variable.source is not None:
                    yield f"loop_variables[{index}].value", variable.source
        elif data.condition is not None and not _unreadable(data.condition):
            yield "condition.variable_selector", data.condition.variable_selector

    def inner_selectors(self, node: Node[LoopData]) -> Iterator[tuple[str, Selector]]:
        if node.dialect == "dify":
            for index, condition in enumerate(node.data.break_conditions):
                yield f"break_conditions[{index}].variable_selector", condition.variable_selector

    def hidden_reads(self, node: Node[LoopData]) -> Iterator[Selector]:
        yield from super().hidden_reads(node)
        for condition in node.data.break_conditions:
            for text in condition.texts():
                yield from references(text, node.dialect)

    def check(self, node: Node[LoopData]) -> Iterator[Diagnostic]:
        if not node.data.sub_graph.nodes:
            yield finding("E213", "the body has no nodes", node=node.id, field="sub_graph.nodes")
        yield from (_check_native if node.dialect == "native" else _check_dify)(node)

    def body(self, node: Node[LoopData]) -> SubGraph:
        return node.data.sub_graph

    def open(self, node: Node[LoopData], values: Values) -> Repeat:
        data = node.data
        if node.dialect == "native":
            return Repeat(carry=_named(data.initial_vars), folds=True)
        carry = {variable.label: _first(variable, values) for variable in data.loop_variables}
        return Repeat(carry=carry, folds=True)

    def scope(
        self, node: Node[LoopData], index: int, item: JsonValue, carry: JsonValue
    ) -> Mapping[str, Namespace]:
        del item
        namespace, end = LOOP_ENDED
        # of the loops around this one, and of rounds before
        spaces: dict[str, Namespace] = {namespace: {end: False}}
        own = VARIABLES if node.dialect == "native" else node.id
        spaces[own] = {**spaces.get(own, {}), **_variables(carry)}
        if node.dialect == "native":
            spaces[SCOPE] = {"_iteration": index}
        return spaces

    def offers(self, node: Node[LoopData]) -> Iterator[Selector]:
        if node.dialect == "native":
            yield SCOPE, "_iteration"
        for variable in node.data.loop_variables:
            yield node.id, variable.label

    def goes_on(
        self, node: Node[LoopData], repeat: Repeat, carry: JsonValue, rounds: int, values: Values
    ) -> bool:
        del repeat
        if rounds and values.get(LOOP_ENDED) is True:
            return False
        if node.dialect == "native":
            return _is_wanted(node.data, carry, rounds)
        seen = _Seen(node.id, _variables(carry), values)
        return not _is_broken(node.data, seen, rounds) and rounds < (node.data.loop_count or 0)

    def fold(
        self,
        node: Node[LoopData],
        carry: JsonValue,
        outputs: Mapping[str, JsonValue],
        values: Values,
    ) -> JsonValue:
        if node.dialect == "native":
            return _named({**_variables(carry), **outputs})
        return {name: values.get((node.id, name)) for name in _variables(carry)}

    def close(self, node: Node[LoopData], repeat: Repeat, end: RepeatEnd) -> NodeRunResult:
        del repeat
        variables = _variables(end.carry)
        if node.dialect == "native":
            name = node.data.output_variable or ""
            return NodeRunResult(outputs={name: variables, "_iterations": end.rounds})
        if end.rounds:
            return NodeRunResult(outputs={**variables, "loop_round": end.rounds})
        # a loop that never began has no outputs, but nodes behind it may read its variables
        writes = (PoolWrite(selector=(node.id, name), value=v) for name, v in variables.items())
        return NodeRunResult(writes=tuple(writes))


def _check_native(node: Node[LoopData]) -> Iterator[Diagnostic]:
    data, condition = node.data, node.data.condition
    if not data.output_variable:
        text = "an output_variable is needed"
        yield finding("E217", text, node=node.id, field="output_variable")
    for name in data.initial_vars:
        if "." in name:
            text = f"'{name}' is no name of a variable: it has a dot"
            yield finding("E217", text, node=node.id, field="initial_vars")
    field = "condition.variable_selector"
    if condition is None:
        yield finding("E217", "a condition is needed", node=node.id, field="condition")
    elif unreadable := _unreadable(condition):
        yield finding("E214", unreadable, node=node.id, field=field)
    elif condition.variable_selector[0] != VARIABLES:
        named = show(condition.variable_selector)
        text = f"'{named}' will be null: a loop's condition sees its own variables only"
        yield finding("W214", text, node=node.id, field=field)


def _check_dify(node: Node[LoopData]) -> Iterator[Diagnostic]:
    data = node.data
    if data.loop_count is None:
        yield finding("E217", "a loop_count is needed", node=node.id, field="loop_count")
    for index, variable in enumerate(data.loop_variables):
        try:
            if variable.source is None:
                variable.constant()
        except TypedValueError as error:
            field = f"loop_variables[{index}].value"
            yield finding("E217", f"{field}: {error}", node=node.id, field=field)
    names = {variable.label for variable in data.loop_variables}
    for index, condition in enumerate(data.break_conditions):
        root, name = condition.variable_selector[:2]
        if root == node.id and name not in names:
            text = f"'{name}' is no variable of this loop: the loop fails after its first round"
            field = f"break_conditions[{index}].variable_selector"
            yield finding("W214", text, node=node.id, field=field)


def _unreadable(condition: Condition) -> str:
    """What is wrong with a native condition's selector; nothing, as a rule."""
    try:
        check_depth(condition.variable_selector, "native")
    except SelectorError as error:
        return str(error)
    return ""


def _variables(carry: JsonValue) -> dict[str, JsonValue]:
    return cast("dict[str, Any]", carry)


def _named(variables: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
    """The variables, if all their names can be read. Raises NodeError."""
    for name in variables:
        if "." in name:
            text = f"Scope error: Invalid scope key: {VARIABLES}.{name}"
            raise NodeError.of_kind("execution_error", text)
    return dict(variables)


def _first(variable: LoopVariable, values: Values) -> JsonValue:
    if variable.source is not None:
        return values.get(variable.source)
    try:
        return variable.constant()
    except TypedValueError as error:
        text = f"loop variable '{variable.label}': {error}"
        raise NodeError.of_kind("type_error", text) from None


def _is_wanted(data: LoopData, carry: JsonValue, rounds: int) -> bool:
    """Whether a native loop takes another round; the limit is asked before the condition."""
    if rounds >= data.max_iterations:
        text = f"Max iterations {data.max_iterations} exceeded"
        raise NodeError.of_kind("execution_error", text)
    if data.condition is None:
        raise NodeError.of_kind("config_error", "a condition is needed")
    seen = VariablePool({VARIABLES: _variables(carry)})
    return evaluate_condition(data.condition, seen.get, "native") is True


class _Seen:
    """What break conditions compare: the loop's variables, and all else as it is."""

    def __init__(self, loop: str, variables: Mapping[str, JsonValue], values: Values) -> None:
        self._own = VariablePool({loop: variables})
        self._values = values

    def get(self, selector: Selector) -> JsonValue:
        return (self._own if self.owns(selector) else self._values).get(selector)

    def owns(self, selector: Selector) -> bool:
        return selector[1] in self._own.namespace(selector[0])


def _is_broken(data: LoopData, seen: _Seen, rounds: int) -> bool:
    """Whether the break conditions of a Dify loop hold, asked before the first round too: what
    they compare may then still be missing."""
    try:
        held = _held(data.break_conditions, seen)
        if data.logical_operator == "or":
            return any(held)
        return bool(data.break_conditions) and all(held)
    except NodeError:
        if rounds:
            raise
        return False


def _held(conditions: Iterable[Condition], seen: _Seen) -> Iterator[bool]:
    for condition in conditions:
        selector = condition.variable_selector
        missing = seen.get(selector) is None and not seen.owns(selector)
        if missing and condition.comparison_operator not in _OF_ABSENCE:
            text = f"{show(selector)}, which a break condition compares"
            raise NodeError.of_kind("variable_not_found", text)
        verdict = evaluate_condition(condition, seen.get, "dify")
        if isinstance(verdict, Mismatch):
            raise NodeError.of_kind("type_error", f"{show(selector)}: {verdict}")
        yield verdict
