"""Validation of the nodes that ask people, and of those that sort what people ask."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.domain.selectors import Dialect
from xworkflow.engine.validation import validate

Found = list[tuple[str, str | None]]


def findings(
    node_type: str,
    data: dict[str, Any],
    handles: tuple[str | None, ...] = (None,),
    dialect: Dialect = "native",
) -> Found:
    """(code, field path) of what is found in start → node → end, one edge for each handle."""
    nodes = (
        NodeSpec(id="start", type="start", title="S", data={"variables": [{"variable": "x"}]}),
        NodeSpec(id="n", type=node_type, title="N", data=data),
        NodeSpec(id="end", type="end", title="E", data={}),
    )
    edges = [EdgeSpec(id="first", source="start", target="n")]
    edges += [EdgeSpec(id=f"{h}", source="n", target="end", source_handle=h) for h in handles]
    schema = WorkflowSchema(dialect=dialect, nodes=nodes, edges=tuple(edges))
    return [(found.code, found.field_path) for found in validate(schema).diagnostics]


def fields(*drawn: dict[str, Any]) -> dict[str, Any]:
    return {"form_fields": [{"variable": "a", "field_type": "text"} | field for field in drawn]}


APPROVAL = {"resume_mode": "approval"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (fields({}), []),
        (fields({"variable": " "}), [("E014", "form_fields[0].variable")]),
        (fields({}, {}), [("E015", "form_fields[1].variable")]),
        *[
            (fields({"field_type": name, "options": drawn}), [("E016", "form_fields[0].options")])
            for name in ("radio", "dropdown", "multi_select")
            for drawn in (None, [])
        ],
        ({"timeout_action": "auto_approve"}, [("E017", "timeout_action")]),
        ({"timeout_action": "auto_reject"}, [("E017", "timeout_action")]),
        ({"timeout_action": "default_value"}, [("E018", "timeout_default_values")]),
        ({"timeout_action": "default_value", "timeout_default_values": {}}, []),
        ({"resume_mode": "mail"}, [("E033", "resume_mode")]),
        ({"timeout_action": "branch"}, [("E033", "timeout_action")]),
        ({"timeout_secs": -1}, [("E033", "timeout_secs")]),
        ({"form_fields": [{"variable": "a"}]}, [("E033", "form_fields[0].field_type")]),
        (
            fields({"validation": {"pattern": "(?=a)"}}),
            [("E033", "form_fields[0].validation.pattern")],
        ),
        (
            fields({"default_value_selector": ["gone", "x"]}),
            [("E402", "form_fields[0].default_value_selector")],
        ),
        (
            {"prompt_variables": [{"variable": "a", "value_selector": ["gone", "x"]}]},
            [("E402", "prompt_variables[0].value_selector")],
        ),
        ({"prompt_text": "{{#gone.x#}}"}, []),
    ],
)
def test_a_native_form_is_checked(data: dict[str, Any], expected: Found) -> None:
    assert findings("human-input", data) == expected


@pytest.mark.parametrize(
    ("handles", "expected"),
    [
        (("approve", "reject"), []),
        (("approve",), [("E019", "edges"), ("E301", None)]),
        (("reject",), [("E019", "edges"), ("E301", None)]),
        (
            (None,),
            [("E019", "edges"), ("E301", None), ("E301", None), ("W301", "source_handle")],
        ),
        (("approve", "reject", "later"), [("E304", "source_handle")]),
    ],
)
def test_an_approval_needs_both_of_its_edges(
    handles: tuple[str | None, ...], expected: Found
) -> None:
    assert findings("human-input", APPROVAL, handles) == expected


def test_a_form_that_decides_nothing_has_no_branches() -> None:
    assert findings("human-input", {}, ("approve",)) == [("E303", "source_handle")]


def dify(**more: Any) -> dict[str, Any]:
    return {"user_actions": [{"id": "ok", "title": "OK"}], **more}


def place(**more: Any) -> dict[str, Any]:
    return {"type": "paragraph", "output_variable_name": "a"} | more


@pytest.mark.parametrize(
    ("data", "handles", "expected"),
    [
        (dify(form_content="{{#$outputs.a#}} {{#start.x#}}"), ("ok", "__timeout"), []),
        (dify(), ("ok",), []),
        (dify(), ("later",), [("E304", "source_handle")]),
        (dify(form_content="{{#gone.x#}}"), ("ok",), [("W502", "form_content")]),
        ({}, ("__timeout",), [("E033", "user_actions")]),
        (dify(user_actions=[{"id": "ok"}] * 2), ("ok",), [("E033", "user_actions")]),
        (dify(user_actions=[{"id": "__timeout"}]), ("__timeout",), [("E033", "user_actions")]),
        (dify(inputs=[place(), place()]), ("ok",), [("E015", "inputs[1].output_variable_name")]),
        (dify(inputs=[place(type="slider")]), ("ok",), [("E033", "inputs[0].type")]),
        (dify(timeout=1, timeout_unit="year"), ("ok",), [("E033", "timeout_unit")]),
        (
            dify(inputs=[place(default={"type": "variable", "selector": ["gone", "x"]})]),
            ("ok",),
            [("W401", "inputs[0].default.selector")],
        ),
    ],
)
def test_difys_form_is_checked(
    data: dict[str, Any], handles: tuple[str, ...], expected: Found
) -> None:
    assert findings("human-input", data, handles, "dify") == expected
