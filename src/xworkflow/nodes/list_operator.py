"""``list-operator``: one operation on a list, or Dify's steps on one (spec/graph.md 7.4).

``filter``, ``map`` and ``reduce`` repeat a body in child workflows; all others run inline.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from itertools import compress
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Final, Literal, Self, TypeVar, cast

from pydantic import BeforeValidator, Field, model_validator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references
from xworkflow.domain.plan import Placement
from xworkflow.domain.pool import Namespace
from xworkflow.domain.repeats import Repeat, RepeatEnd
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.selectors import (
    SCOPE,
    Selector,
    SelectorError,
    SelectorField,
    check_depth,
    parse_selector,
    show,
)
from xworkflow.domain.values import JsonValue, kind_of
from xworkflow.errors import NodeError
from xworkflow.nodes.base import ContainerNode, InlineNode, Node, NodeData, Values
from xworkflow.nodes.bodies import BodyField
from xworkflow.nodes.list_operations import (
    SortOrder,
    flattened,
    member,
    part,
    sorted_by,
    unique,
)
from xworkflow.nodes.list_pipeline import Pipeline
from xworkflow.nodes.registry import node_type

Operation = Literal[
    "filter", "map", "reduce",
    "sort", "slice", "first", "last", "length", "reverse", "flatten", "unique", "concat",
]  # fmt: skip

PARALLELISM: Final = 10
_WITH_BODY: Final = frozenset({"filter", "map", "reduce"})


def _optional_selector(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return None if raw is None else parse_selector(raw)


class ListOperatorData(NodeData):
    """One ``operation`` and the name of its output (native), or a ``pipeline`` (Dify)."""

    input_selector: SelectorField
    operation: Operation | None = None
    output_variable: str | None = None
    sub_graph: BodyField | None = None
    parallel: bool = False
    initial_value: JsonValue = None
    sort_key: str | None = None
    sort_order: SortOrder = "asc"
    start: Annotated[int, Field(ge=0)] | None = None
    end: Annotated[int, Field(ge=0)] | None = None
    second_input_selector: Annotated[
        tuple[str, ...] | None, BeforeValidator(_optional_selector)
    ] = None
    pipeline: Pipeline | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if self.pipeline is None and (self.operation is None or not self.output_variable):
            raise ValueError("an operation and an output_variable are needed")
        return self


@node_type
class ListOperator(InlineNode[ListOperatorData], ContainerNode[ListOperatorData]):
    """Outputs what ``output_variable`` names: a list, or for some operations an item or a number.

    ``filter``, ``map`` and ``reduce`` run their body in child workflows; it reads ``item``,
    ``index`` and, in ``reduce``, ``accumulator``, and outputs ``keep`` or ``value``. In Dify's
    dialect the outputs are ``result``, ``first_record`` and ``last_record``.
    """

    type: ClassVar[str] = "list-operator"
    data_model = ListOperatorData
    unreadable = "E216"

    def place(self, node: Node[ListOperatorData]) -> Placement:
        return Placement.CHILD if _repeats(node.data) else Placement.INLINE

    def selectors(self, node: Node[ListOperatorData]) -> Iterator[tuple[str, Selector]]:
        """In Dify's dialect only: the native rules leave this type alone (spec/graph.md 2.2)."""
        if node.dialect == "dify":
            yield from _selectors(node.data)

    def hidden_reads(self, node: Node[ListOperatorData]) -> Iterator[Selector]:
        for _, selector in _selectors(node.data):
            yield selector
        for text in _texts(node.data.pipeline):
            yield from references(text, node.dialect)

    def check(self, node: Node[ListOperatorData]) -> Iterator[Diagnostic]:
        data = node.data
        if data.operation in _WITH_BODY and (data.sub_graph is None or not data.sub_graph.nodes):
            text = f"'{data.operation}' needs a sub_graph with nodes"
            yield finding("E216", text, node=node.id, field="sub_graph")
        for field, selector in _selectors(data):
            try:
                check_depth(selector, node.dialect)
            except SelectorError as error:
                yield finding("E216", f"{field}: {error}", node=node.id, field=field)

    def run(self, node: Node[ListOperatorData], values: Values) -> NodeRunResult:
        data = node.data
        items = _list_at(data.input_selector, values)
        if data.pipeline is None:
            result = _operated(data, items, values)
            return NodeRunResult(outputs={data.output_variable or "": result})
        result = data.pipeline.apply(items, values.get)
        first, last = (result[0], result[-1]) if result else (None, None)
        return NodeRunResult(outputs={"result": result, "first_record": first, "last_record": last})

    def body(self, node: Node[ListOperatorData]) -> SubGraph:
        return _required(node.data.sub_graph, "sub_graph", node.data)

    def open(self, node: Node[ListOperatorData], values: Values) -> Repeat:
        data = node.data
        items = tuple(_list_at(data.input_selector, values))
        if data.operation == "reduce":
            return Repeat(items=items, carry=data.initial_value, folds=True)
        side_by_side = PARALLELISM if data.operation == "filter" and data.parallel else 1
        return Repeat(items=items, parallelism=side_by_side)

    def scope(
        self, node: Node[ListOperatorData], index: int, item: JsonValue, carry: JsonValue
    ) -> Mapping[str, Namespace]:
        found = {"item": item, "index": index}
        if node.data.operation == "reduce":
            found["accumulator"] = carry
        return {SCOPE: found}

    def offers(self, node: Node[ListOperatorData]) -> Iterator[Selector]:
        for name in self.scope(node, 0, None, None)[SCOPE]:
            yield SCOPE, name

    def collect(
        self, node: Node[ListOperatorData], outputs: Mapping[str, JsonValue], values: Values
    ) -> JsonValue:
        del values
        return outputs.get("keep") is True if node.data.operation == "filter" else _value(outputs)

    def fold(
        self,
        node: Node[ListOperatorData],
        carry: JsonValue,
        outputs: Mapping[str, JsonValue],
        values: Values,
    ) -> JsonValue:
        del node, carry, values
        return _value(outputs)

    def close(self, node: Node[ListOperatorData], repeat: Repeat, end: RepeatEnd) -> NodeRunResult:
        result: JsonValue = [outcome.value for outcome in end.outcomes]
        if node.data.operation == "reduce":
            result = end.carry
        elif node.data.operation == "filter":
            result = list(compress(repeat.items or (), result))
        return NodeRunResult(outputs={node.data.output_variable or "": result})


def _repeats(data: ListOperatorData) -> bool:
    return data.operation in _WITH_BODY and data.sub_graph is not None


def _value(outputs: Mapping[str, JsonValue]) -> JsonValue:
    """What a body means by its outputs: ``value``, or all of them."""
    return outputs["value"] if "value" in outputs else dict(outputs)


def _selectors(data: ListOperatorData) -> Iterator[tuple[str, Selector]]:
    yield "input_selector", data.input_selector
    if data.second_input_selector is not None:
        yield "second_input_selector", data.second_input_selector


def _texts(pipeline: Pipeline | None) -> Iterator[str]:
    """Every text of a pipeline that may hold references."""
    if pipeline is None:
        return
    if pipeline.extract_by is not None:
        yield str(pipeline.extract_by.serial)
    for condition in pipeline.filter_by.conditions if pipeline.filter_by else ():
        expected: JsonValue = condition.value
        found = cast("list[Any]", expected) if isinstance(expected, list) else [expected]
        yield from (value for value in found if isinstance(value, str))


def _list_at(selector: Selector, values: Values) -> list[JsonValue]:
    value: JsonValue = values.get(selector)
    if not isinstance(value, list):
        raise NodeError.of_kind("type_error", f"{show(selector)}: not an array: {kind_of(value)}")
    return cast("list[Any]", value)


_PLAIN: Final[Mapping[str, Callable[[list[JsonValue]], JsonValue]]] = MappingProxyType(
    {
        "first": lambda items: items[0] if items else None,
        "last": lambda items: items[-1] if items else None,
        "length": len,
        "reverse": lambda items: items[::-1],
        "flatten": flattened,
        "unique": unique,
    }
)
"""The operations that need nothing but the list."""

T = TypeVar("T")


def _required(value: T | None, name: str, data: ListOperatorData) -> T:
    if value is None:
        raise NodeError.of_kind("config_error", f"'{data.operation}' needs a {name}")
    return value


def _operated(data: ListOperatorData, items: list[JsonValue], values: Values) -> JsonValue:
    plain = _PLAIN.get(data.operation or "")
    if plain is not None:
        return plain(items)
    match data.operation:
        case "slice":
            return part(items, data.start, data.end)
        case "sort":
            key = _required(data.sort_key, "sort_key", data)
            return sorted_by(items, [member(item, key) for item in items], data.sort_order)
        case "concat":
            second = _required(data.second_input_selector, "second_input_selector", data)
            return [*items, *_list_at(second, values)]
        case _:  # one of those with a body, and there is none
            _required(data.sub_graph, "sub_graph", data)
            return None
