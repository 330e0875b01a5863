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
            for drawn in (None, ())
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


def classifier(*categories: tuple[str, str], **more: Any) -> dict[str, Any]:
    drawn = [{"category_id": ident, "category_name": name} for ident, name in categories]
    model = {"provider": "p", "name": "m"}
    selector = ["start", "x"]
    return {
        "model": model, "query_variable_selector": selector, "categories": drawn, **more
    }  # fmt: skip


@pytest.mark.parametrize(
    ("data", "handles", "expected"),
    [
        (classifier(("a", "A"), ("b", "B")), ("a", "b", "default"), []),
        (classifier(), ("default",), [("E218", "categories")]),
        (classifier((" ", "A")), (" ", "default"), [("E219", "categories[0].category_id")]),
        (classifier(("a", " ")), ("a", "default"), [("E220", "categories[0].category_name")]),
        (classifier(("default", "A")), ("default",), [("E221", "categories[0].category_id")]),
        (
            classifier(("a", "A"), ("a", "B")),
            ("a", "default"),
            [("E222", "categories[1].category_id")],
        ),
        (classifier(("a", "A")), ("a",), [("E301", None)]),
        (classifier(("a", "A")), ("default",), [("E302", None)]),
        (classifier(("a", "A")), ("a", "default", "b"), [("E304", "source_handle")]),
        (classifier(model={}), (), [("E217", "model.provider"), ("E217", "model.name")]),
        (
            classifier(("a", "A"), query_variable_selector=["gone", "x"]),
            ("a", "default"),
            [("E402", "query_variable_selector")],
        ),
        (
            classifier(("a", "A"), memory={"enabled": True, "variable_selector": ["gone", "x"]}),
            ("a", "default"),
            [("E402", "memory.variable_selector")],
        ),
    ],
)
def test_a_classifier_is_checked(
    data: dict[str, Any], handles: tuple[str, ...], expected: Found
) -> None:
    found = findings("question-classifier", data, handles)
    assert [one for one in found if one[0] not in ("E102", "E103")] == expected


@pytest.mark.parametrize(
    ("data", "handles", "expected"),
    [
        (classifier(("a", ""), ("default", "B")), ("a",), []),
        (classifier(), (), [("E218", "classes")]),
        (classifier(("", "A")), (), [("E219", "classes[0].id")]),
        (classifier(("a", "A"), ("a", "B")), ("a",), [("E222", "classes[1].id")]),
        (classifier(("a", "A")), ("default",), [("E304", "source_handle")]),
    ],
)
def test_difys_classifier_is_checked(
    data: dict[str, Any], handles: tuple[str, ...], expected: Found
) -> None:
    found = findings("question-classifier", data, handles, "dify")
    assert [one for one in found if one[0] not in ("E103", "W103")] == expected
