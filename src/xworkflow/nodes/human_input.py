"""``human-input``: asks a person, and waits for the answer (spec/graph.md 9.4, spec/dify.md E2)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import AliasChoices, BaseModel, ConfigDict, Field

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.forms import (
    TIMEOUT_HANDLE,
    Form,
    FormRefusedError,
    HumanAnswer,
    unanswered,
)
from xworkflow.domain.placeholders import references, render
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue, display, normalise
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Node, NodeData, Values, WaitNode
from xworkflow.nodes.bindings import Binding, binding_selectors
from xworkflow.nodes.dify_form import (
    DeliveryMethod,
    FormInput,
    UserAction,
    filled,
    pieces,
    with_places,
)
from xworkflow.nodes.form_fields import WITH_OPTIONS, FormField
from xworkflow.nodes.registry import node_type

APPROVE: Final = "approve"
REJECT: Final = "reject"

_DECISIONS: Final = frozenset({APPROVE, REJECT})
_HOUR: Final = 3600
_UNITS: Final = {"hour": _HOUR, "day": 24 * _HOUR}
_OWN: Final = "__"
"""What the names of the node's own outputs start with; nobody submits such a name."""


class Notification(BaseModel):
    """Kept, and sent by whoever hears the event ``human_input_requested``."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: Literal["webhook", "event", "none"]
    target: str | None = None
    params: dict[str, JsonValue] = Field(default_factory=dict)


class HumanInputData(NodeData):
    """The native form down to ``notification``; what follows is Dify's. Without a timeout it waits
    for ever."""

    resume_mode: Literal["form", "approval", "webhook"] = "form"
    form_fields: tuple[FormField, ...] = ()
    prompt_text: str | None = Field(
        default=None, validation_alias=AliasChoices("prompt_text", "prompt")
    )
    prompt_variables: tuple[Binding, ...] = ()
    timeout_secs: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    timeout_action: Literal["fail", "default_value", "auto_approve", "auto_reject"] = "fail"
    timeout_default_values: dict[str, JsonValue] | None = None
    notification: Notification | None = None
    form_content: str = ""
    inputs: tuple[FormInput, ...] = ()
    user_actions: tuple[UserAction, ...] = ()
    timeout: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    timeout_unit: Literal["hour", "day"] = "hour"
    delivery_methods: tuple[DeliveryMethod, ...] = ()


HumanInputNode = Node[HumanInputData]


@node_type
class HumanInput(WaitNode[HumanInputData]):
    """Outputs each field of its form, what else was submitted, and ``__decision``.

    In approval mode it takes the handle ``approve`` or ``reject``. An answer that does not fit is
    refused, and the run goes on waiting. In Dify's dialect the outputs are each input,
    ``__action_id``, ``__action_value`` (the button's title) and ``__rendered_content``; it takes
    the handle of the button's id, or ``__timeout``, and fails after its time where no edge has
    that.
    """

    type: ClassVar[str] = "human-input"
    data_model = HumanInputData
    unreadable = "E033"
    all_or_nothing = True

    def selectors(self, node: HumanInputNode) -> Iterator[tuple[str, Selector]]:
        if node.dialect == "dify":
            for index, drawn in enumerate(node.data.inputs):
                if (selector := _asked_by(drawn)) is not None:
                    yield f"inputs[{index}].default.selector", selector
            return
        for index, field in enumerate(node.data.form_fields):
            if field.default_value_selector is not None:
                yield f"form_fields[{index}].default_value_selector", field.default_value_selector
        yield from binding_selectors(node.data.prompt_variables, "prompt_variables")

    def texts(self, node: HumanInputNode) -> Iterator[tuple[str, str]]:
        """In Dify's dialect only: the native rules leave prompts alone (spec/graph.md 2.2)."""
        if node.dialect == "dify":
            yield "form_content", "".join(pieces(node.data.form_content)[::2])

    def hidden_reads(self, node: HumanInputNode) -> Iterator[Selector]:
        if node.dialect == "native":
            yield from references(node.data.prompt_text or "", node.dialect)

    def handles(self, node: HumanInputNode) -> tuple[str, ...] | None:
        if node.dialect == "dify":
            return (*(action.id for action in node.data.user_actions), TIMEOUT_HANDLE)
        return (APPROVE, REJECT) if node.data.resume_mode == "approval" else None

    def check(self, node: HumanInputNode) -> Iterator[Diagnostic]:
        yield from _check_dify(node) if node.dialect == "dify" else _check_native(node)

    def check_edges(self, node: HumanInputNode, drawn: frozenset[str]) -> Iterator[Diagnostic]:
        approval = node.dialect == "native" and node.data.resume_mode == "approval"
        if approval and not drawn >= _DECISIONS:
            text = "an approval needs an edge for 'approve' and one for 'reject'"
            yield finding("E019", text, node=node.id, field="edges")

    def ask(self, node: HumanInputNode, values: Values, *, strict: bool = False) -> Form:
        wrong = next(iter(self.check(node)), None)
        if wrong is not None:  # a body, which is not validated
            raise NodeError.of_kind("config_error", wrong.message)
        try:
            return (_dify_form if node.dialect == "dify" else _native_form)(node, values, strict)
        except NodeError as error:
            raise NodeError.of_kind("template_error", str(error)) from None

    def answer(self, node: HumanInputNode, form: Form, answer: HumanAnswer) -> NodeRunResult:
        given = _as_json(answer.form_data)
        if node.dialect == "dify":
            return _dify_answer(node, form, answer.action, given)
        return _native_answer(node, form, answer.decision, given)

    def timed_out(self, node: HumanInputNode, form: Form) -> NodeRunResult:
        match form.timeout_action:
            case "fail":
                raise unanswered()
            case "default_value":
                return NodeRunResult(outputs=node.data.timeout_default_values or {})
            case "auto_approve" | "auto_reject":
                decision = form.timeout_action.removeprefix("auto_")
                return NodeRunResult(outputs={"__decision": decision}, edge_source_handle=decision)
            case "branch":
                # a default that nobody confirmed is no answer
                return _clicked(form, {}, TIMEOUT_HANDLE, "")


def _as_json(form_data: Mapping[str, Any]) -> dict[str, JsonValue]:
    """What was submitted, as values of the pool: front ends can send NaN, and nests without end."""
    try:
        return {name: normalise(value) for name, value in form_data.items()}
    except (TypeError, RecursionError):
        raise FormRefusedError(("the submitted values are not JSON",)) from None


def _check_native(node: HumanInputNode) -> Iterator[Diagnostic]:
    data = node.data
    names = [field.variable for field in data.form_fields]
    yield from _check_names(node.id, names, "form_fields[{}].variable")
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


def _check_names(node_id: str, names: list[str], path: str) -> Iterator[Diagnostic]:
    seen: set[str] = set()
    for index, name in enumerate(names):
        where = path.format(index)
        if not name.strip():
            yield finding("E014", "a field has no variable", node=node_id, field=where)
        elif name in seen:
            yield finding("E015", f"two fields fill '{name}'", node=node_id, field=where)
        seen.add(name)


def _check_dify(node: HumanInputNode) -> Iterator[Diagnostic]:
    names = [drawn.output_variable_name for drawn in node.data.inputs]
    yield from _check_names(node.id, names, "inputs[{}].output_variable_name")
    ids = Counter(action.id for action in node.data.user_actions)
    if not ids:
        text = "without a user action nobody can answer"
        yield finding("E033", text, node=node.id, field="user_actions")
    for action_id, count in ids.items():
        if count > 1 or not action_id.strip() or action_id == TIMEOUT_HANDLE:
            text = f"'{action_id}' is no id of its own for a user action"
            yield finding("E033", text, node=node.id, field="user_actions")


def _native_form(node: HumanInputNode, values: Values, strict: bool) -> Form:
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


def _native_answer(
    node: HumanInputNode, form: Form, decision: str | None, given: Mapping[str, JsonValue]
) -> NodeRunResult:
    data = node.data
    fields = {field.variable: field for field in data.form_fields}
    taken = {name: given.get(name, form.defaults.get(name)) for name in fields}
    problems = [p for name, value in taken.items() for p in fields[name].problems(value)]
    approval = data.resume_mode == "approval"
    if (approval or decision is not None) and decision not in _DECISIONS:
        problems.append("approval mode requires decision (approve/reject)")
    if problems:
        raise FormRefusedError(tuple(problems))
    others = {n: v for n, v in given.items() if n not in fields and not n.startswith(_OWN)}
    outputs = {**others, **{name: fields[name].held(value) for name, value in taken.items()}}
    if decision is not None:
        outputs["__decision"] = decision
    return NodeRunResult(outputs=outputs, edge_source_handle=decision if approval else None)


def _dify_form(node: HumanInputNode, values: Values, strict: bool) -> Form:
    data = node.data
    content = tuple(
        piece if index % 2 else render(piece, values.get, node.dialect, strict=strict)
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
        selector, value = _asked_by(drawn), drawn.default.value if drawn.default else None
        if selector is not None:
            value = values.get(selector)
            if value is not None and drawn.type in ("paragraph", "select"):
                value = display(value)
        # the editor writes an empty text where nothing was drawn, which is a default of none
        held: Any = None if value is None else drawn.held(value)
        if held is not None and (held != "" or drawn.type == "paragraph"):
            found[drawn.output_variable_name] = held
    return found


def _asked_by(drawn: FormInput) -> Selector | None:
    default = drawn.default
    return default.selector if default is not None and default.type == "variable" else None


def _in_ui(methods: tuple[DeliveryMethod, ...]) -> bool:
    return not methods or any(method.enabled and method.type == "webapp" for method in methods)


def _dify_answer(
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
    return _clicked(form, values, action.id, action.title)


def _clicked(
    form: Form, values: Mapping[str, JsonValue], action_id: str, title: str
) -> NodeRunResult:
    outputs = {
        **values,
        "__action_id": action_id,
        "__action_value": title,
        "__rendered_content": filled(form.content, values),
    }
    return NodeRunResult(outputs=outputs, edge_source_handle=action_id)
