"""What a loop node says, in either dialect."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from xworkflow.domain.conditions import Condition, LogicalOperator
from xworkflow.domain.loading.typed_values import typed
from xworkflow.domain.selectors import Selector, parse_selector
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import NodeData
from xworkflow.nodes.bodies import BodyField


class LoopVariable(BaseModel):
    """A variable of Dify's loops. With ``value_type: variable``, ``value`` is a selector."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    label: Annotated[str, Field(min_length=1)]
    var_type: str = "string"
    value_type: Literal["constant", "variable"] = "constant"
    value: JsonValue = None

    @property
    def source(self) -> Selector | None:
        """Where the first value is read; None for a constant."""
        return parse_selector(self.value) if self.value_type == "variable" else None

    def constant(self) -> JsonValue:
        """The first value by its type: Dify's editor keeps it as text. Raises TypedValueError."""
        if self.value == "" and self.var_type != "string":
            return [] if self.var_type.startswith("array") else None
        return typed(self.value, self.var_type)

    @model_validator(mode="after")
    def _readable(self) -> Self:
        _ = self.source
        return self


class LoopData(NodeData):
    """``condition``, ``initial_vars``, ``max_iterations`` and ``output_variable`` are native.

    ``loop_count``, ``break_conditions``, ``logical_operator`` and ``loop_variables`` are Dify's.
    """

    sub_graph: BodyField
    condition: Condition | None = None
    initial_vars: dict[str, JsonValue] = Field(default_factory=dict)
    max_iterations: Annotated[int, Field(ge=0)] = 100
    output_variable: str | None = None
    loop_count: Annotated[int, Field(ge=1)] | None = None
    break_conditions: tuple[Condition, ...] = ()
    logical_operator: LogicalOperator = "and"
    loop_variables: tuple[LoopVariable, ...] = ()
