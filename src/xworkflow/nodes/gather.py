"""``gather``: goes on once enough of its branches have arrived (spec/graph.md 1.6, 5.4)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.plan import Join
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorError, SelectorField, check_depth
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.registry import node_type


class JoinMode(BaseModel):
    """``all``, ``any``, or ``n_of_m`` with ``n``. ``plain`` is the text that was drawn instead."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["all", "any", "n_of_m"] = "all"
    n: int | None = Field(default=None, ge=1)
    plain: str | None = None

    @model_validator(mode="after")
    def _counts(self) -> Self:
        if self.type == "n_of_m" and self.n is None:
            raise ValueError("n_of_m needs an n")
        return self

    @property
    def wanted(self) -> int | None:
        """How many arrivals are enough; None for all."""
        return {"all": None, "any": 1}.get(self.type, self.n)


def _object(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return {"plain": raw} if isinstance(raw, str) else raw


class GatherData(NodeData):
    """``timeout_secs`` is its own, counted from the first arrival.

    A ``join_mode`` that is a plain text makes the whole of it fall back to the defaults.
    """

    variables: tuple[SelectorField, ...] = ()
    join_mode: Annotated[JoinMode, BeforeValidator(_object)] = JoinMode()
    cancel_remaining: bool = True
    timeout_secs: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    timeout_strategy: Literal["proceed_with_available", "fail"] = "proceed_with_available"

    @property
    def effective(self) -> GatherData:
        """What counts of it."""
        return self if self.join_mode.plain is None else GatherData()


@node_type
class Gather(InlineNode[GatherData]):
    """Outputs ``results`` (the values that are not null, in the order of ``variables``),
    ``completed_count`` and, where there is one, ``first_result``.

    It runs once, when ``join_mode`` is satisfied; what arrives later changes nothing.
    """

    type: ClassVar[str] = "gather"
    data_model = GatherData

    def hidden_reads(self, node: Node[GatherData]) -> Iterator[Selector]:
        yield from node.data.effective.variables

    def check(self, node: Node[GatherData]) -> Iterator[Diagnostic]:
        plain = node.data.join_mode.plain
        if plain is not None:
            text = (
                "join_mode is an object, as in {type: any}: all of this gather falls back to its "
                f"defaults (no variables, all branches) for the plain text '{plain}'"
            )
            yield finding("W203", text, node=node.id, field="join_mode")
        for index, selector in enumerate(node.data.effective.variables):
            field = f"variables[{index}]"
            try:
                check_depth(selector, node.dialect)
            except SelectorError as error:
                yield finding("E217", f"{field}: {error}", node=node.id, field=field)

    def join(self, node: Node[GatherData]) -> Join:
        data = node.data.effective
        timeout = None if data.timeout_secs is None else round(data.timeout_secs * 1000)
        return Join(
            wanted=data.join_mode.wanted,
            cancel_remaining=data.cancel_remaining,
            timeout_ms=timeout,
            on_timeout=data.timeout_strategy,
        )

    def run(self, node: Node[GatherData], values: Values) -> NodeRunResult:
        found = [values.get(selector) for selector in node.data.effective.variables]
        results = [value for value in found if value is not None]
        first = {"first_result": results[0]} if results else {}
        return NodeRunResult(outputs={"results": results, "completed_count": len(results), **first})
