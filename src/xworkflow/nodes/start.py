"""``start``: what a run is given. Its rules are checked before a run starts, and when it runs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, BeforeValidator, ConfigDict

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue, coerce_declared
from xworkflow.errors import NodeError
from xworkflow.nodes.base import InlineNode, Node, NodeData, Values
from xworkflow.nodes.form_values import FORM_TYPES, FormValueError, convert
from xworkflow.nodes.registry import node_type

NATIVE_TYPES = frozenset(
    {
        "string",
        "number",
        "boolean",
        "object",
        "array[string]",
        "array[number]",
        "array[object]",
        "file",
        "array[file]",
    }
)
LITERALS = ("sys.query", "sys.files")
"""Output names of a start node that hold a dot (spec/graph.md 1.7)."""


def _lowered(raw: Any) -> Any:  # noqa: ANN401 - whatever a file holds
    return raw.strip().lower() if isinstance(raw, str) else raw


class StartVariable(BaseModel):
    """One declared input. ``max_length`` counts characters; absent and 0 are no limit."""

    model_config = ConfigDict(frozen=True, extra="allow")

    variable: str
    label: str | None = ""
    type: Annotated[str, BeforeValidator(_lowered)] = "string"
    required: bool = False
    max_length: int | None = None
    options: tuple[str, ...] | None = None
    default: JsonValue = None


class StartData(NodeData):
    variables: tuple[StartVariable, ...] = ()


def start_variables(schema: WorkflowSchema) -> tuple[StartVariable, ...]:
    """What a workflow's start node declares; nothing without one. The schema must be valid."""
    start = next((n for n in schema.nodes if n.type == "start" and n.parent_id is None), None)
    return StartData.model_validate(start.data).variables if start is not None else ()


def check_inputs(
    variables: Iterable[StartVariable], inputs: Mapping[str, JsonValue], dialect: Dialect
) -> tuple[str, ...]:
    """What is wrong with the inputs of a run, one sentence each; empty when all is well.

    Required means that the key is there and not null: an empty text passes. Undeclared inputs are
    legal. Only Dify's dialect knows wrong types (spec/graph.md 3.4).
    """
    return tuple(
        problem
        for variable in variables
        for problem in _problems(variable, inputs.get(variable.variable), dialect)
    )


def _problems(variable: StartVariable, value: JsonValue, dialect: Dialect) -> Iterator[str]:
    name = variable.variable
    if value is None:
        if variable.required:
            yield f"input '{name}' is required"
        return
    if dialect == "dify":
        try:
            value = convert(variable.type, value)
        except FormValueError as error:
            yield f"input '{name}' must be {error}"
            return
    if isinstance(value, str) and variable.max_length and len(value) > variable.max_length:
        yield (
            f"input '{name}' is longer than {variable.max_length} characters (it has {len(value)})"
        )
    if _has_options(variable, dialect) and value not in (variable.options or ()):
        known = ", ".join(f"'{option}'" for option in variable.options or ())
        yield f"input '{name}' must be one of {known}"


def _has_options(variable: StartVariable, dialect: Dialect) -> bool:
    # Dify keeps the options of a field whose type was changed to another one
    return bool(variable.options) and (dialect == "native" or variable.type == "select")


@node_type
class Start(InlineNode[StartData]):
    """Outputs one key per declared variable (null if absent), ``sys.query`` and ``sys.files``."""

    type: ClassVar[str] = "start"
    data_model = StartData

    def hidden_reads(self, node: Node[StartData]) -> Iterator[Selector]:
        for variable in node.data.variables:
            yield node.id, variable.variable
        for name in LITERALS:
            yield _literal(name)

    def check(self, node: Node[StartData]) -> Iterator[Diagnostic]:
        legal = NATIVE_TYPES if node.dialect == "native" else NATIVE_TYPES | FORM_TYPES
        for index, variable in enumerate(node.data.variables):
            if variable.type not in legal:
                yield finding(
                    "E201",
                    f"variable '{variable.variable}' has the unknown type '{variable.type}'",
                    node=node.id,
                    field=f"variables[{index}].type",
                )

    def run(self, node: Node[StartData], values: Values) -> NodeRunResult:
        given = {v.variable: values.get((node.id, v.variable)) for v in node.data.variables}
        problems = check_inputs(node.data.variables, given, node.dialect)
        if problems:
            raise NodeError.of_kind("input_validation_error", "; ".join(problems))
        outputs = {v.variable: _taken(v, given, node.dialect) for v in node.data.variables}
        literals = {name: values.get(_literal(name)) for name in LITERALS}
        return NodeRunResult(inputs=given, outputs={**outputs, **literals})


def _literal(name: str) -> Selector:
    return tuple(name.split("."))


def _taken(variable: StartVariable, given: Mapping[str, JsonValue], dialect: Dialect) -> JsonValue:
    """The value as the run sees it: in Dify's dialect the default where none was given."""
    value = given[variable.variable]
    if dialect == "native" or variable.type in NATIVE_TYPES - FORM_TYPES:
        return coerce_declared(value, variable.type)
    if value is None:
        value = _default(variable)
    return None if value is None else convert(variable.type, value)


def _default(variable: StartVariable) -> JsonValue:
    # an empty field of Dify's editor is exported as an empty text, whatever the type
    return None if variable.default == "" and variable.type not in _TEXTS else variable.default


_TEXTS = frozenset({"text-input", "paragraph", "select"})
