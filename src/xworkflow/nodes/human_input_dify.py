"""Dify's form: its checks, the question, and what a click gives (spec/dify.md E2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.forms import TIMEOUT_HANDLE, Form, FormRefusedError
from xworkflow.domain.placeholders import TextBudget, render
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue, display
from xworkflow.nodes.base import Values
from xworkflow.nodes.dify_form import DeliveryMethod, FormInput, filled, pieces, with_places
from xworkflow.nodes.human_input_data import HumanInputNode, check_names

_HOUR: Final = 3600
_UNITS: Final = {"hour": _HOUR, "day": 24 * _HOUR}


def check_dify(node: HumanInputNode) -> Iterator[Diagnostic]:
    names = [drawn.output_variable_name for drawn in node.data.inputs]
    yield from check_names(node.id, names, "inputs[{}].output_variable_name")
    ids = Counter(action.id for action in node.data.user_actions)
    if not ids:
        text = "without a user action nobody can answer"
        yield finding("E033", text, node=node.id, field="user_actions")
    for action_id, count in ids.items():
        if count > 1 or not action_id.strip() or action_id == TIMEOUT_HANDLE:
            text = f"'{action_id}' is no id of its own for a user action"
            yield finding("E033", text, node=node.id, field="user_actions")


def dify_form(node: HumanInputNode, values: Values, strict: bool) -> Form:
    data = node.data
    budget = TextBudget()
    content = tuple(
        piece
        if index % 2
        else render(piece, values.get, node.dialect, strict=strict, budget=budget)
        for index, piece in enumerate(pieces(data.form_content))
    )
    defaults = _defaults_of(data.inputs, values)
    return Form(
        form_schema={
            "form_content": with_places(content),
            "inputs": [drawn.model_dump(mode="json") for drawn in data.inputs],
            "user_actions": [action.model_dump(mode="json") for action in data.user_actions],
            "resolved_default_values": defaults,
            "display_in_ui": _in_ui(data.delivery_methods),
        },
        timeout_secs=None if data.timeout is None else data.timeout * _UNITS[data.timeout_unit],
        timeout_action="branch",
        defaults=defaults,
        content=content,
    )


def _defaults_of(inputs: Iterable[FormInput], values: Values) -> dict[str, JsonValue]:
    """The defaults that fit their inputs; a text shows whatever value is behind its selector."""
    found: dict[str, JsonValue] = {}
    for drawn in inputs:
        selector, value = asked_by(drawn), drawn.default.value if drawn.default else None
        if selector is not None:
            value = values.get(selector)
            if value is not None and drawn.type in ("paragraph", "select"):
                value = display(value)
        # the editor writes an empty text where nothing was drawn, which is a default of none
        held: Any = None if value is None else drawn.held(value)
        if held is not None and (held != "" or drawn.type == "paragraph"):
            found[drawn.output_variable_name] = held
    return found


def asked_by(drawn: FormInput) -> Selector | None:
    default = drawn.default
    return default.selector if default is not None and default.type == "variable" else None


def _in_ui(methods: tuple[DeliveryMethod, ...]) -> bool:
    return not methods or any(method.enabled and method.type == "webapp" for method in methods)


def dify_answer(
    node: HumanInputNode, form: Form, action_id: str | None, given: Mapping[str, JsonValue]
) -> NodeRunResult:
    action = next((a for a in node.data.user_actions if a.id == action_id), None)
    problems = [] if action else [f"unknown action: {action_id or ''}"]
    values: dict[str, JsonValue] = {}
    for drawn in node.data.inputs:
        name = drawn.output_variable_name
        value = given.get(name)
        value = form.defaults.get(name) if value is None else value
        problems += drawn.problems(value)
        values[name] = drawn.held(value)
    if action is None or problems:
        raise FormRefusedError(tuple(problems))
    return clicked(form, values, action.id, action.title)


def clicked(
    form: Form, values: Mapping[str, JsonValue], action_id: str, title: str
) -> NodeRunResult:
    outputs = {
        **values,
        "__action_id": action_id,
        "__action_value": title,
        "__rendered_content": filled(form.content, values),
    }
    return NodeRunResult(outputs=outputs, edge_source_handle=action_id)
