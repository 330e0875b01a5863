"""Dify's nodes in the native spelling: one small function for each type that is spelled otherwise.

A conversion touches what it knows and keeps the rest, unknown keys included. What has not the shape
of an export stays as it is drawn, so that the node type's own data model refuses it by name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, cast

from xworkflow.domain.loading.dify_classifier import question_classifier
from xworkflow.domain.loading.dify_http import http_request
from xworkflow.domain.loading.dify_list_operator import list_operator
from xworkflow.domain.loading.dify_llm import llm
from xworkflow.domain.loading.dify_policies import DifyPolicies
from xworkflow.domain.loading.findings import Findings
from xworkflow.domain.loading.shapes import Object, ShapeError, id_at, object_at, optional_string
from xworkflow.domain.schema import NodeSpec
from xworkflow.domain.values import JsonValue, display

Conversion = Callable[[Object], Object]

_LIFTED: Final = frozenset(
    {"type", "title", "error_strategy", "default_value", "retry_config", "timeout_secs"}
)
"""Keys of ``data`` that have a field of their own in NodeSpec."""
_DRAWING: Final = frozenset(
    {
        "selected",
        "position",
        "positionAbsolute",
        "sourcePosition",
        "targetPosition",
        "width",
        "height",
        "zIndex",
        "isInIteration",
        "isInLoop",
        "isIterationStart",
        "iteration_id",
        "loop_id",
        "startNodeType",
    }
)
"""Keys of ``data`` that only the editor needs."""
_SETTINGS: Final = frozenset({"max_length", "required", "options", "label"})
"""Of a start variable; its default may well be an empty text."""
_OPERATIONS: Final = MappingProxyType(
    {
        "overwrite": "over-write",
        "over_write": "over-write",
        "remove_first": "remove-first",
        "remove_last": "remove-last",
    }
)

_ERROR_MODES: Final = MappingProxyType(
    {"continue-on-error": "continue_on_error", "remove-abnormal-output": "remove_abnormal"}
)


def is_note(node: Object) -> bool:
    """Whether a node is only there to be looked at."""
    data = node.get("data")
    return node.get("type") == "custom-note" or (
        isinstance(data, dict) and cast("Object", data).get("type") == ""
    )


def node_of(node: Object, findings: Findings) -> NodeSpec:
    """A node of an export. Raises ShapeError when it has no id or no type."""
    node_id, data = id_at(node, "id"), object_at(node, "data")
    node_type = _type(data)
    policies = DifyPolicies(data, node_id, findings)
    strategy, retry = policies.error_strategy(), policies.retry_config()
    converted = _CONVERSIONS.get(node_type, _unchanged)(_core(data))
    if node_type == "http-request" and (retry or strategy):
        # without one of these Dify takes any status for a success
        converted.setdefault("fail_on_error_status", True)
    return NodeSpec(
        id=node_id,
        type=node_type,
        title=display(data.get("title")),
        data=converted,
        error_strategy=strategy,
        retry_config=retry,
        timeout_secs=policies.timeout_secs(),
        parent_id=_parent(node, data),
        line=findings.line_of(node),
    )


def _type(data: Object) -> str:
    """The type; ``variable-assigner`` was the name of two types, told apart by what they hold."""
    drawn = optional_string(data, "type")
    if drawn is None:
        raise ShapeError("data.type", "is missing")
    if drawn != "variable-assigner":
        return drawn
    if "items" in data or "assigned_variable_selector" in data:
        return "assigner"
    return "variable-aggregator"


def _parent(node: Object, data: Object) -> str | None:
    """The iteration or loop that the node is drawn in."""
    for holder, key in ((node, "parentId"), (data, "iteration_id"), (data, "loop_id")):
        if holder.get(key):
            return id_at(holder, key)
    return None


def _core(data: Object) -> Object:
    """What the node's type reads."""
    unread = _LIFTED | _DRAWING
    return {k: v for k, v in _set(data).items() if k not in unread}


def _unchanged(data: Object) -> Object:
    return data


def _start(data: Object) -> Object:
    """A field's emptied settings are exported as empty texts; options may be bare numbers."""
    if "variables" in data:
        data["variables"] = _each(data["variables"], _variable)
    return data


def _variable(variable: Object) -> Object:
    kept = {k: v for k, v in variable.items() if v is not None and (v != "" or k not in _SETTINGS)}
    options = kept.get("options")
    if isinstance(options, list):
        kept["options"] = [display(option) for option in cast("list[Any]", options)]
    return kept


def _code(data: Object) -> Object:
    if "code_language" in data:
        data["language"] = data.pop("code_language")
    return _bound(data, "variables")


def _template(data: Object) -> Object:
    return _bound(data, "variables")


def _end(data: Object) -> Object:
    return _bound(data, "outputs")


def _bound(data: Object, key: str) -> Object:
    """Lines of the editor's table that were never filled in bind nothing."""
    lines = data.get(key)
    if isinstance(lines, list):
        data[key] = [line for line in cast("list[Any]", lines) if not _is_unfilled(line)]
    return data


def _is_unfilled(line: JsonValue) -> bool:
    return isinstance(line, dict) and cast("Object", line).get("value_selector") in ([], "")


def _if_else(data: Object) -> Object:
    """The oldest form has one case, flat; newer files keep it beside the list of cases."""
    conditions = data.pop("conditions", None)
    operator = data.pop("logical_operator", None)
    cases = data.get("cases")
    if not cases and conditions is not None:
        cases = [{"case_id": "true", "logical_operator": operator, "conditions": conditions}]
    data["cases"] = _each(cases, _case)
    return data


def _case(case: Object) -> Object:
    case_id = case.pop("id", None)
    if case.get("case_id") is None:
        case["case_id"] = case_id
    if not case.get("logical_operator"):
        case["logical_operator"] = "and"
    return case


def _aggregator(data: Object) -> Object:
    settings = data.pop("advanced_settings", None)
    if isinstance(settings, dict):
        advanced = cast("Object", settings)
        if advanced.get("group_enabled") is True:
            data["groups"] = _each(advanced.get("groups"), _group)
    return data


def _group(group: Object) -> Object:
    group.pop("groupId", None)
    return group


def _assigner(data: Object) -> Object:
    """Both versions as items; the first writes one variable, always from another one."""
    if "items" in data:
        data["items"] = _each(data["items"], _assignment)
    elif "assigned_variable_selector" in data:
        data["items"] = [
            _assignment(
                {
                    "variable_selector": data.pop("assigned_variable_selector"),
                    "input_type": "variable",
                    "operation": data.pop("write_mode", "over-write"),
                    "value": data.pop("input_variable_selector", None),
                }
            )
        ]
    return data


def _assignment(item: Object) -> Object:
    item.pop("write_mode", None)
    operation = item.get("operation")
    if isinstance(operation, str):
        item["operation"] = _OPERATIONS.get(operation, operation)
    return item


def _iteration(data: Object) -> Object:
    mode = data.get("error_handle_mode")
    if mode == "":
        del data["error_handle_mode"]
    elif isinstance(mode, str):
        data["error_handle_mode"] = _ERROR_MODES.get(mode, mode)
    return data


def _loop(data: Object) -> Object:
    """A variable without a name is a line that was never filled in; nothing can read it."""
    if data.get("logical_operator") == "":
        del data["logical_operator"]
    drawn = _each(data.get("loop_variables"), _set)
    if isinstance(drawn, list):
        lines = cast("list[Any]", drawn)
        data["loop_variables"] = [line for line in lines if not _is_unnamed(line)]
    return data


def _is_unnamed(line: JsonValue) -> bool:
    return isinstance(line, dict) and cast("Object", line).get("label") == ""


def _set(drawn: Object) -> Object:
    """What was set; null is how exports write the rest."""
    return {key: value for key, value in drawn.items() if value is not None}


def _each(items: JsonValue, convert: Conversion) -> JsonValue:
    """A list with its objects converted, as copies; anything else as it is."""
    if not isinstance(items, list):
        return items
    listed = cast("list[Any]", items)
    return [convert(dict(cast("Object", i))) if isinstance(i, dict) else i for i in listed]


_CONVERSIONS: Final[Mapping[str, Conversion]] = MappingProxyType(
    {
        "start": _start,
        "end": _end,
        "code": _code,
        "template-transform": _template,
        "http-request": http_request,
        "if-else": _if_else,
        "iteration": _iteration,
        "loop": _loop,
        "list-operator": list_operator,
        "llm": llm,
        "question-classifier": question_classifier,
        "variable-aggregator": _aggregator,
        "assigner": _assigner,
    }
)
