"""``iteration``: runs its body for each item of a list (spec/graph.md 7.2, spec/dify.md E2)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar, Final, Literal, cast

from pydantic import BeforeValidator, Field

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.pool import Namespace
from xworkflow.domain.repeats import ItemOutcome, OnFailure, Repeat, RepeatEnd
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import SubGraph
from xworkflow.domain.selectors import SCOPE, Selector, parse_selector, show
from xworkflow.domain.values import JsonValue, kind_of
from xworkflow.errors import NodeError
from xworkflow.nodes.base import ContainerNode, Node, NodeData, Values
from xworkflow.nodes.bodies import BodyField
from xworkflow.nodes.list_operations import flattened
from xworkflow.nodes.registry import node_type

MAX_ITERATIONS: Final = 1000
"""What a native iteration takes where it says nothing; one of Dify's has no limit."""
PARALLELISM: Final = 10
DIFY_OUTPUT: Final = "output"

_ON_FAILURE: Final[Mapping[str, OnFailure]] = {
    "terminated": "terminate",
    "remove_abnormal": "drop",
    "continue_on_error": "null",
}


def _drawn_selector(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    """None for what was never filled in."""
    return None if raw in (None, "", []) else parse_selector(raw)


OptionalSelector = Annotated[tuple[str, ...] | None, BeforeValidator(_drawn_selector)]


class IterationData(NodeData):
    """``output_variable`` is native; ``output_selector`` and ``flatten_output`` are Dify's.

    The other twins are two names of one thing: the first one given wins, and either switch is
    enough for items side by side.
    """

    input_selector: OptionalSelector = None
    iterator_selector: OptionalSelector = None
    sub_graph: BodyField
    output_variable: str | None = None
    output_selector: OptionalSelector = None
    flatten_output: bool = True
    parallel: bool = False
    is_parallel: bool = False
    parallelism: Annotated[int, Field(ge=0)] | None = None
    parallel_nums: Annotated[int, Field(ge=0)] | None = None
    max_iterations: Annotated[int, Field(ge=0)] | None = None
    error_handle_mode: Literal["terminated", "remove_abnormal", "continue_on_error"] = "terminated"

    @property
    def source(self) -> Selector | None:
        """The selector of the list."""
        return self.input_selector or self.iterator_selector

    @property
    def side_by_side(self) -> int:
        """How many items may run at once."""
        if not (self.parallel or self.is_parallel):
            return 1
        given = self.parallel_nums if self.parallelism is None else self.parallelism
        return max(PARALLELISM if given is None else given, 1)


@node_type
class Iteration(ContainerNode[IterationData]):
    """Outputs a list with one result per item, in their order, under ``output_variable``.

    A result is all that the body's end node outputs; the body reads ``item`` and ``index``. In
    Dify's dialect the output is ``output``, a result is what ``output_selector`` names, lists of
    lists are flattened by one level, and ``item`` and ``index`` are read from the node itself.
    """

    type: ClassVar[str] = "iteration"
    data_model = IterationData

    def selectors(self, node: Node[IterationData]) -> Iterator[tuple[str, Selector]]:
        data = node.data
        if data.source is not None:
            name = "input_selector" if data.input_selector else "iterator_selector"
            yield name, data.source

    def inner_selectors(self, node: Node[IterationData]) -> Iterator[tuple[str, Selector]]:
        if node.dialect == "dify" and node.data.output_selector is not None:
            yield "output_selector", node.data.output_selector

    def check(self, node: Node[IterationData]) -> Iterator[Diagnostic]:
        data = node.data
        if not data.sub_graph.nodes:
            yield finding("E211", "the body has no nodes", node=node.id, field="sub_graph.nodes")
        if data.source is None:
            text = "an input_selector (or iterator_selector) is needed"
            yield finding("E212", text, node=node.id, field="input_selector")
        if node.dialect == "native" and not data.output_variable:
            text = "an output_variable is needed"
            yield finding("E217", text, node=node.id, field="output_variable")
        if node.dialect == "dify" and data.output_selector is None:
            text = "no output_selector: every result will be null"
            yield finding("W212", text, node=node.id, field="output_selector")

    def body(self, node: Node[IterationData]) -> SubGraph:
        return node.data.sub_graph

    def open(self, node: Node[IterationData], values: Values) -> Repeat:
        data = node.data
        items = _items(data.source, values)
        most = data.max_iterations
        if most is None and node.dialect == "native":
            most = MAX_ITERATIONS
        if most is not None and len(items) > most:
            text = f"Array size {len(items)} exceeds max iterations {most}"
            raise NodeError.of_kind("execution_error", text)
        return Repeat(
            items=tuple(items),
            parallelism=data.side_by_side,
            on_failure=_ON_FAILURE[data.error_handle_mode],
        )

    def scope(
        self, node: Node[IterationData], index: int, item: JsonValue, carry: JsonValue
    ) -> Mapping[str, Namespace]:
        del carry
        return {_namespace(node): {"item": item, "index": index}}

    def offers(self, node: Node[IterationData]) -> Iterator[Selector]:
        for name in ("item", "index"):
            yield _namespace(node), name

    def collect(
        self, node: Node[IterationData], outputs: Mapping[str, JsonValue], values: Values
    ) -> JsonValue:
        if node.dialect == "native":
            return dict(outputs)
        selector = node.data.output_selector
        return None if selector is None else values.get(selector)

    def close(self, node: Node[IterationData], repeat: Repeat, end: RepeatEnd) -> NodeRunResult:
        results = kept(end.outcomes, repeat.on_failure)
        if node.dialect == "native":
            return NodeRunResult(outputs={node.data.output_variable or "": results})
        if node.data.flatten_output:
            results = _flattened(results)
        return NodeRunResult(outputs={DIFY_OUTPUT: results})


def kept(outcomes: tuple[ItemOutcome, ...], on_failure: OnFailure) -> list[JsonValue]:
    """The values of all items, those that failed as null or not at all."""
    return [
        None if outcome.error is not None else outcome.value
        for outcome in outcomes
        if outcome.error is None or on_failure != "drop"
    ]


def _namespace(node: Node[IterationData]) -> str:
    """Where the body finds ``item`` and ``index``."""
    return SCOPE if node.dialect == "native" else node.id


def _items(selector: Selector | None, values: Values) -> list[JsonValue]:
    if selector is None:
        raise NodeError.of_kind("config_error", "an input_selector is needed")
    value: JsonValue = values.get(selector)
    if not isinstance(value, list):
        text = f"Input must be an array: {show(selector)} is of type {kind_of(value)}"
        raise NodeError.of_kind("type_error", text)
    return cast("list[Any]", value)


def _flattened(results: list[JsonValue]) -> list[JsonValue]:
    """Dify flattens only if all results are lists; the nulls of failed items do not count."""
    present = [result for result in results if result is not None]
    if present and all(isinstance(result, list) for result in present):
        return flattened(present)
    return results
