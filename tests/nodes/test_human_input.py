"""The human-input node: what it asks, which answers it takes, and what they give."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.nodes.conftest import node, pool
from xworkflow.domain.forms import UNANSWERED, Form, FormRefusedError, HumanAnswer
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import is_file
from xworkflow.errors import NodeError
from xworkflow.nodes.form_fields import FieldType
from xworkflow.nodes.human_input import HumanInput

VALUES = pool(
    start={"name": "Ann", "none": None, "n": 5, "fake": "{{#$outputs.note#}}", "list": ["a"]}
)
HUMAN = HumanInput()


def field(variable: str, field_type: str = "text", **more: Any) -> dict[str, Any]:
    return {"variable": variable, "field_type": field_type, **more}


def options(*values: str) -> list[dict[str, str]]:
    return [{"value": value} for value in values]


def asked(dialect: Dialect = "native", *, strict: bool = False, **data: Any) -> Form:
    return HUMAN.ask(node("human-input", dialect, **data), VALUES, strict=strict)


def answered(
    answer: HumanAnswer | dict[str, Any], dialect: Dialect = "native", **data: Any
) -> NodeRunResult:
    drawn = node("human-input", dialect, **data)
    if isinstance(answer, dict):
        answer = HumanAnswer(form_data=answer)
    return HUMAN.answer(drawn, HUMAN.ask(drawn, VALUES), answer)


def refused(
    answer: HumanAnswer | dict[str, Any], dialect: Dialect = "native", **data: Any
) -> tuple[str, ...]:
    with pytest.raises(FormRefusedError) as caught:
        answered(answer, dialect, **data)
    return caught.value.problems


# --- the native question


def test_the_prompt_is_rendered_and_the_defaults_are_resolved() -> None:
    fields = [
        field("a", default_value="drawn", default_value_selector="start.name"),
        field("b", default_value_selector=["start", "name"]),
        field("c", default_value_selector=["start", "none"]),
    ]
    form = asked(prompt="Hello {{#start.name#}}", form_fields=fields, timeout_secs=60)
    assert (form.prompt_text, form.timeout_secs) == ("Hello Ann", 60)
    assert form.defaults == {"a": "drawn", "b": "Ann"}
    assert [shown.get("default_value") for shown in form.form_schema] == ["drawn", "Ann", None]


def test_a_strict_prompt_with_a_missing_value_is_a_template_error() -> None:
    assert asked(prompt_text="{{#start.none#}}").prompt_text == ""
    with pytest.raises(NodeError) as caught:
        asked(prompt_text="{{#start.none#}}", strict=True)
    assert caught.value.failure.code == "template_error"


def test_a_form_survives_json() -> None:
    form = asked(form_fields=[field("a", default_value=[1, {"b": None}])], timeout_secs=1)
    assert Form.model_validate_json(form.model_dump_json()) == form


# --- native answers


def test_outputs_are_all_fields_and_whatever_else_was_submitted() -> None:
    fields = [field("a"), field("b", default_value="B"), field("c")]
    result = answered({"a": "A", "other": [1]}, form_fields=fields)
    assert result.outputs == {"a": "A", "b": "B", "c": None, "other": [1]}
    assert result.edge_source_handle is None


def test_nobody_submits_the_nodes_own_outputs() -> None:
    assert answered({"__decision": "approve"}).outputs == {}


@pytest.mark.parametrize(
    ("field_type", "good", "bad"),
    [
        *[(name, "x", [1, True, ["x"]]) for name in ("text", "textarea", "date", "email")],
        ("number", 1.5, ["1", True]),
        ("checkbox", False, ["true", 0]),
        ("json", {"a": 1}, ["{}", [1]]),
        ("file", {"url": "http://f/a.pdf"}, ["a.pdf"]),
        ("radio", "x", [1]),
        ("dropdown", "x", [["x"]]),
        ("multi_select", ["x", "y"], ["x", [1]]),
    ],
)
def test_each_type_of_field_takes_its_own_values_only(
    field_type: str, good: Any, bad: list[Any]
) -> None:
    fields = [field("v", field_type, options=options("x", "y"))]
    assert "v" in answered({"v": good}, form_fields=fields).outputs
    for value in bad:
        assert refused({"v": value}, form_fields=fields) == ("invalid type for field: v",)


def test_a_file_has_a_files_attributes() -> None:
    fields = [field("v", "file")]
    result = answered({"v": {"url": "http://f/a.pdf", "name": "a.pdf"}}, form_fields=fields)
    assert is_file(result.outputs["v"])


def test_a_hidden_field_takes_anything() -> None:
    assert answered({"v": [1]}, form_fields=[field("v", "hidden")]).outputs == {"v": [1]}


@pytest.mark.parametrize("submitted", [{}, {"v": None}])
def test_a_required_field_must_be_there(submitted: dict[str, Any]) -> None:
    problems = refused(submitted, form_fields=[field("v", required=True)])
    assert problems == ("required field is missing: v",)


def test_a_default_fills_what_was_left_out_but_not_what_was_emptied() -> None:
    fields = [field("v", required=True, default_value="d")]
    assert answered({}, form_fields=fields).outputs == {"v": "d"}
    assert refused({"v": None}, form_fields=fields) == ("required field is missing: v",)


@pytest.mark.parametrize(
    ("field_type", "value"), [("radio", "z"), ("dropdown", ""), ("multi_select", ["x", "z"])]
)
def test_a_choice_is_one_of_its_options(field_type: str, value: Any) -> None:
    fields = [field("v", field_type, options=options("x", "y"))]
    assert refused({"v": value}, form_fields=fields) == ("field 'v' has value outside options",)


@pytest.mark.parametrize(
    ("field_type", "rules", "good", "bad"),
    [
        ("text", {"min_length": 2}, "éé", "é"),
        ("text", {"max_length": 2}, "😀😀", "😀😀😀"),
        ("text", {"pattern": "b+c"}, "abbcd", "ac"),
        ("text", {"pattern": r"^\d{2}$"}, "12", "123"),
        ("number", {"min_value": 2}, 2, 1.9),
        ("number", {"max_value": 2}, 2, 2.1),
    ],
)
def test_a_validation_bounds_what_is_taken(
    field_type: str, rules: dict[str, Any], good: Any, bad: Any
) -> None:
    assert answered({"v": good}, form_fields=[field("v", field_type, validation=rules)])
    (problem,) = refused({"v": bad}, form_fields=[field("v", field_type, validation=rules)])
    assert problem.startswith("field 'v' ")
    rules = rules | {"error_message": "no!"}
    assert refused({"v": bad}, form_fields=[field("v", field_type, validation=rules)]) == ("no!",)


def test_all_faults_of_an_answer_are_told_at_once() -> None:
    fields = [field("a", required=True), field("b", "number")]
    problems = refused({"b": "x"}, form_fields=fields, resume_mode="approval")
    assert problems == (
        "required field is missing: a",
        "invalid type for field: b",
        "approval mode requires decision (approve/reject)",
    )


def test_what_is_no_json_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    for value in (float("nan"), endless, {"a": object()}):
        assert refused({"v": value}) == ("the submitted values are not JSON",)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_decision_is_an_output_and_the_way_of_an_approval(decision: str) -> None:
    answer = HumanAnswer(decision=decision, form_data={"why": "so"})
    approved = answered(answer, resume_mode="approval")
    assert approved.outputs == {"why": "so", "__decision": decision}
    assert approved.edge_source_handle == decision
    assert answered(answer, resume_mode="webhook").edge_source_handle is None
    assert answered(answer).outputs["__decision"] == decision


@pytest.mark.parametrize("mode", ["approval", "form"])
def test_no_other_decision_is_taken(mode: str) -> None:
    problems = refused(HumanAnswer(decision="maybe"), resume_mode=mode)
    assert problems == ("approval mode requires decision (approve/reject)",)


_TYPES: tuple[FieldType, ...] = (
    "text", "number", "checkbox", "multi_select", "json", "file", "hidden", "radio",
)  # fmt: skip
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
_FIELDS = st.lists(
    st.builds(
        field,
        st.sampled_from("abcd"),
        st.sampled_from(_TYPES),
        required=st.booleans(),
        default_value=st.sampled_from([None, "x", 3, True, ["x"], {"k": 1}]),
        options=st.just(options("x", "y")),
    ),
    max_size=4,
    unique_by=lambda drawn: drawn["variable"],
)
_SUBMITTED = st.dictionaries(
    st.sampled_from(["a", "b", "c", "d", "e", "__decision"]),
    st.sampled_from(["x", 3, True, None, ["y"], {"k": 1}]) | _JSON,
)


@given(_FIELDS, _SUBMITTED)
def test_an_answer_that_was_taken_gives_every_field_and_fits_again(
    fields: list[dict[str, Any]], submitted: dict[str, Any]
) -> None:
    try:
        outputs = answered(submitted, form_fields=fields).outputs
    except FormRefusedError:
        return
    assert {drawn["variable"] for drawn in fields} <= outputs.keys()
    assert all(outputs[drawn["variable"]] is not None for drawn in fields if drawn["required"])
    assert answered(outputs, form_fields=fields).outputs == outputs


# --- nobody answers


def timed_out(dialect: Dialect = "native", **data: Any) -> NodeRunResult:
    drawn = node("human-input", dialect, **data)
    return HUMAN.timed_out(drawn, HUMAN.ask(drawn, VALUES))


def test_a_timeout_fails_by_default() -> None:
    with pytest.raises(NodeError, match=UNANSWERED) as caught:
        timed_out(timeout_secs=1)
    assert caught.value.failure.code == "timeout"


def test_a_timeout_can_give_default_values() -> None:
    result = timed_out(timeout_action="default_value", timeout_default_values={"a": 1})
    assert (result.outputs, result.edge_source_handle) == ({"a": 1}, None)


@pytest.mark.parametrize("decision", ["approve", "reject"])
def test_a_timeout_can_decide(decision: str) -> None:
    result = timed_out(resume_mode="approval", timeout_action=f"auto_{decision}")
    assert result.outputs == {"__decision": decision}
    assert result.edge_source_handle == decision


# --- Dify

NOTE = {"type": "paragraph", "output_variable_name": "note"}
ACTIONS = [{"id": "ok", "title": "Fine", "button_style": "primary"}, {"id": "no", "title": "No"}]


def dify(**more: Any) -> dict[str, Any]:
    return {"dialect": "dify", "user_actions": ACTIONS, "inputs": [NOTE], **more}


def click(action: str | None, **form_data: Any) -> HumanAnswer:
    return HumanAnswer(action=action, form_data=form_data)


def test_difys_form_keeps_the_places_of_inputs_for_the_front_end() -> None:
    content = "Hi {{#start.name#}}, {{#$outputs.note#}} or {{#start.none#}}."
    form = asked(**dify(form_content=content, timeout=2, timeout_unit="day"))
    assert form.form_schema["form_content"] == "Hi Ann, {{#$outputs.note#}} or ."
    assert [action["id"] for action in form.form_schema["user_actions"]] == ["ok", "no"]
    assert (form.timeout_secs, form.timeout_action) == (2 * 24 * 3600, "branch")


def test_difys_answer_is_the_inputs_the_button_and_the_filled_text() -> None:
    content = "{{#start.name#}}: {{#$outputs.note#}}!"
    result = answered(click("ok", note="good", other=1), **dify(form_content=content))
    assert result.outputs == {
        "note": "good",
        "__action_id": "ok",
        "__action_value": "Fine",
        "__rendered_content": "Ann: good!",
    }
    assert result.edge_source_handle == "ok"


def test_a_value_that_looks_like_a_place_is_not_filled() -> None:
    content = "{{#start.fake#}} {{#$outputs.note#}}"
    result = answered(click("ok", note="{{#start.name#}}"), **dify(form_content=content))
    assert result.outputs["__rendered_content"] == "{{#$outputs.note#}} {{#start.name#}}"


@pytest.mark.parametrize("action", ["maybe", "__timeout", None, ""])
def test_only_a_drawn_button_can_be_clicked(action: str | None) -> None:
    assert refused(click(action, note=""), **dify()) == (f"unknown action: {action or ''}",)


@pytest.mark.parametrize(
    ("default", "resolved"),
    [
        ({"type": "constant", "selector": [], "value": "c"}, {"note": "c"}),
        ({"type": "variable", "selector": ["start", "n"], "value": ""}, {"note": "5"}),
        ({"type": "variable", "selector": ["start", "none"]}, {}),
        (None, {}),
    ],
)
def test_difys_defaults_are_texts_and_fill_what_was_left_out(
    default: Any, resolved: dict[str, str]
) -> None:
    drawn = dify(inputs=[NOTE | {"default": default}])
    assert asked(**drawn).form_schema["resolved_default_values"] == resolved
    if resolved:
        assert answered(click("no"), **drawn).outputs["note"] == resolved["note"]
    else:
        assert refused(click("no"), **drawn) == ("required field is missing: note",)


PDF = {"type": "document", "transfer_method": "remote_url", "url": "http://f/a.pdf"}


@pytest.mark.parametrize(
    ("drawn", "good", "bad"),
    [
        ({"type": "paragraph"}, "", [1, ["a"]]),
        ({"type": "select"}, "any", [1]),
        ({"type": "file"}, PDF, ["a.pdf", [PDF]]),
        ({"type": "file-list"}, [PDF], [PDF, ["a.pdf"]]),
    ],
)
def test_each_type_of_difys_inputs_takes_its_own_values_only(
    drawn: dict[str, Any], good: Any, bad: list[Any]
) -> None:
    inputs = [drawn | {"output_variable_name": "note"}]
    content = "{{#$outputs.note#}}"
    outputs = answered(click("ok", note=good), **dify(inputs=inputs, form_content=content)).outputs
    assert outputs["__rendered_content"] == ("a.pdf" if "file" in drawn["type"] else good)
    for value in bad:
        problems = refused(click("ok", note=value), **dify(inputs=inputs))
        assert problems == ("invalid type for field: note",)


@pytest.mark.parametrize("drawn", [["x"], [{"value": "x"}], [{"label": "x"}]])
def test_a_select_with_options_takes_one_of_them(drawn: list[Any]) -> None:
    inputs = [NOTE | {"type": "select", "options": drawn}]
    assert answered(click("ok", note="x"), **dify(inputs=inputs))
    problems = refused(click("ok", note="z"), **dify(inputs=inputs))
    assert problems == ("field 'note' has value outside options",)


def test_a_timeout_of_dify_takes_its_own_way_and_confirms_nothing() -> None:
    default = NOTE | {"default": {"type": "constant", "value": "c"}}
    result = timed_out(**dify(inputs=[default], form_content="a{{#$outputs.note#}}b", timeout=1))
    assert result.edge_source_handle == "__timeout"
    assert result.outputs == {
        "__action_id": "__timeout",
        "__action_value": "",
        "__rendered_content": "ab",
    }


@pytest.mark.parametrize(
    ("methods", "shown"),
    [
        ([], True),
        ([{"type": "webapp", "enabled": True}], True),
        ([{"type": "webapp", "enabled": False}, {"type": "email"}], False),
    ],
)
def test_a_form_that_goes_out_by_mail_only_is_not_shown(methods: list[Any], shown: bool) -> None:
    form = asked(**dify(delivery_methods=methods))
    assert form.form_schema["display_in_ui"] is shown


@given(
    st.lists(st.sampled_from(["a", "{{#start.name#}}", "{{#$outputs.note#}}", "{{#", "#}}"])),
    st.text(),
)
def test_what_is_rendered_holds_each_input_once_for_each_place(parts: list[str], note: str) -> None:
    content = "".join(parts)
    form = asked(**dify(form_content=content))
    shown = form.form_schema["form_content"]
    result = answered(click("ok", note=note), **dify(form_content=content))
    assert result.outputs["__rendered_content"] == note.join(shown.split("{{#$outputs.note#}}"))


# --- bodies are not validated


@pytest.mark.parametrize(
    "data",
    [
        {"form_fields": [field("a"), field("a")]},
        {"dialect": "dify", "user_actions": []},
    ],
)
def test_a_form_that_validation_would_refuse_is_a_config_error(data: Any) -> None:
    with pytest.raises(NodeError) as caught:
        asked(**data)
    assert caught.value.failure.code == "config_error"
