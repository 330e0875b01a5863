"""The native form: its checks, the question, and what an answer gives (spec/graph.md 9.4)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.forms import Form, FormRefusedError
from xworkflow.domain.placeholders import render
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Values
from xworkflow.nodes.form_fields import WITH_OPTIONS, FormField
from xworkflow.nodes.human_input_data import HumanInputNode, check_names

APPROVE: Final = "approve"
REJECT: Final = "reject"
DECISIONS: Final = frozenset({APPROVE, REJECT})

_OWN: Final = "__"
"""What the names of the node's own outputs start with; nobody submits such a name."""


def check_native(node: HumanInputNode) -> Iterator[Diagnostic]:
    data = node.data
    names = [field.variable for field in data.form_fields]
    yield from check_names(node.id, names, "form_fields[{}].variable")
    for index, field in enumerate(data.form_fields):
        if field.field_type in WITH_OPTIONS and not field.options:
            text = f"a field of the type {field.field_type} needs options"
            yield finding("E016", text, node=node.id, field=f"form_fields[{index}].options")
    if data.timeout_action.startswith("auto_") and data.resume_mode != "approval":
        text = f"'{data.timeout_action}' is for the resume mode approval only"
        yield finding("E017", text, node=node.id, field="timeout_action")
    if data.timeout_action == "default_value" and data.timeout_default_values is None:
        text = "the timeout action 'default_value' needs timeout_default_values"
        yield finding("E018", text, node=node.id, field="timeout_default_values")


def native_form(node: HumanInputNode, values: Values, strict: bool) -> Form:
    data = node.data
    defaults = {field.variable: _default_of(field, values) for field in data.form_fields}
    defaults = {name: value for name, value in defaults.items() if value is not None}
    return Form(
        resume_mode=data.resume_mode,
        form_schema=[_shown(field, defaults) for field in data.form_fields],
        prompt_text=None
        if data.prompt_text is None
        else render(data.prompt_text, values.get, node.dialect, strict=strict),
        timeout_secs=data.timeout_secs,
        timeout_action=data.timeout_action,
        defaults=defaults,
    )


def _default_of(field: FormField, values: Values) -> JsonValue:
    if field.default_value is None and field.default_value_selector is not None:
        return values.get(field.default_value_selector)
    return field.default_value


def _shown(field: FormField, defaults: Mapping[str, JsonValue]) -> JsonValue:
    drawn = field.model_dump(mode="json", exclude_none=True, exclude={"default_value_selector"})
    if field.variable in defaults:
        drawn["default_value"] = defaults[field.variable]
    return drawn


def native_answer(
    node: HumanInputNode, form: Form, decision: str | None, given: Mapping[str, JsonValue]
) -> NodeRunResult:
    data = node.data
    fields = {field.variable: field for field in data.form_fields}
    taken = {name: given.get(name, form.defaults.get(name)) for name in fields}
    problems = [p for name, value in taken.items() for p in fields[name].problems(value)]
    approval = data.resume_mode == "approval"
    if (approval or decision is not None) and decision not in DECISIONS:
        problems.append("approval mode requires decision (approve/reject)")
    if problems:
        raise FormRefusedError(tuple(problems))
    others = {n: v for n, v in given.items() if n not in fields and not n.startswith(_OWN)}
    outputs = {**others, **{name: fields[name].held(value) for name, value in taken.items()}}
    if decision is not None:
        outputs["__decision"] = decision
    return NodeRunResult(outputs=outputs, edge_source_handle=decision if approval else None)
