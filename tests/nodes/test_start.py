"""The start node, and the rules that inputs are held to."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nodes.conftest import node, pool
from xworkflow.domain.schema import NodeSpec, WorkflowSchema
from xworkflow.domain.values import FILE_MARK
from xworkflow.errors import NodeError
from xworkflow.nodes.start import Start, StartVariable, check_inputs, start_variables


def variable(**data: Any) -> tuple[StartVariable, ...]:
    return (StartVariable.model_validate({"variable": "v"} | data),)


@pytest.mark.parametrize("inputs", [{}, {"v": None}])
def test_a_required_input_must_be_there(inputs: dict[str, Any]) -> None:
    assert check_inputs(variable(required=True), inputs, "native") == ("input 'v' is required",)
    assert check_inputs(variable(), inputs, "native") == ()


def test_an_empty_text_satisfies_a_required_input() -> None:
    assert check_inputs(variable(required=True), {"v": ""}, "native") == ()


def test_a_default_does_not_satisfy_a_required_input() -> None:
    declared = variable(required=True, type="paragraph", default="")
    assert check_inputs(declared, {}, "dify") == ("input 'v' is required",)


def test_a_text_longer_than_its_limit_is_told_with_both_numbers() -> None:
    (problem,) = check_inputs(variable(max_length=3), {"v": "four"}, "native")
    assert problem == "input 'v' is longer than 3 characters (it has 4)"


@pytest.mark.parametrize("value", ["abc", 12345, ["a", "b", "c", "d"]])
def test_only_texts_have_a_length(value: Any) -> None:
    assert check_inputs(variable(max_length=3), {"v": value}, "native") == ()


@pytest.mark.parametrize("limit", [None, 0])
def test_no_length_and_zero_are_no_limit(limit: int | None) -> None:
    assert check_inputs(variable(max_length=limit), {"v": "x" * 99}, "native") == ()


def test_a_value_outside_of_the_options_is_told_with_them() -> None:
    declared = variable(type="select", options=["a", "b"])
    assert check_inputs(declared, {"v": "c"}, "dify") == ("input 'v' must be one of 'a', 'b'",)
    assert check_inputs(declared, {"v": "a"}, "dify") == ()


def test_options_left_over_from_another_type_do_not_count_in_dify() -> None:
    assert check_inputs(variable(type="paragraph", options=["a"]), {"v": "c"}, "dify") == ()


def test_every_problem_is_told() -> None:
    declared = (*variable(required=True), StartVariable(variable="w", max_length=1))
    assert len(check_inputs(declared, {"w": "xx"}, "native")) == 2


def test_undeclared_inputs_are_legal() -> None:
    assert check_inputs((), {"anything": 1}, "native") == ()


def test_the_native_dialect_knows_no_wrong_types() -> None:
    assert check_inputs(variable(type="string"), {"v": 5}, "native") == ()


@pytest.mark.parametrize(
    ("field_type", "value", "taken"),
    [
        ("text-input", "a", "a"),
        ("paragraph", "", ""),
        ("number", 5, 5),
        ("number", "5", 5),
        ("number", "-0.5", -0.5),
        ("number", " ", None),
        ("checkbox", True, True),
        ("checkbox", "false", False),
        ("json_object", {"a": 1}, {"a": 1}),
        ("json_object", '{"a": 1}', {"a": 1}),
        ("external_data_tool", "a", "a"),
    ],
)
def test_a_form_value_becomes_what_its_field_holds(field_type: str, value: Any, taken: Any) -> None:
    declared = [{"variable": "v", "type": field_type}]
    result = Start().run(node("start", "dify", variables=declared), pool(n={"v": value}))
    assert result.outputs["v"] == taken
    assert type(result.outputs["v"]) is type(taken)


@pytest.mark.parametrize(
    ("field_type", "value", "wanted"),
    [
        ("text-input", 5, "a text"),
        ("select", ["a"], "a text"),
        ("number", "five", "a number, not 'five'"),
        ("number", "nan", "a number, not 'nan'"),
        ("number", True, "a number"),
        ("checkbox", "maybe", "true or false"),
        ("json_object", "[1]", "a JSON object"),
        ("json_object", "{", "a JSON object"),
        ("file", "a.txt", "a file"),
        ("file-list", {"name": "a.txt"}, "a list of files"),
        ("file-list", ["a.txt"], "a list of files"),
    ],
)
def test_a_form_value_that_does_not_fit_its_field_is_told(
    field_type: str, value: Any, wanted: str
) -> None:
    (problem,) = check_inputs(variable(type=field_type), {"v": value}, "dify")
    assert problem == f"input 'v' must be {wanted}"


def test_files_of_forms_become_files() -> None:
    declared = [{"variable": "f", "type": "file"}, {"variable": "l", "type": "file-list"}]
    given = {"f": {"name": "a.txt"}, "l": [{"name": "b.txt"}]}
    outputs = Start().run(node("start", "dify", variables=declared), pool(n=given)).outputs
    assert FILE_MARK in outputs["f"]
    assert outputs["l"][0]["extension"] == ".txt"


def test_native_files_become_files() -> None:
    declared = [{"variable": "f", "type": " FILE "}]
    outputs = (
        Start().run(node("start", variables=declared), pool(n={"f": {"name": "a.txt"}})).outputs
    )
    assert FILE_MARK in outputs["f"]


@pytest.mark.parametrize(
    ("field_type", "default", "taken"),
    [("text-input", "d", "d"), ("text-input", "", ""), ("number", "7", 7), ("number", "", None)],
)
def test_a_default_is_taken_where_nothing_was_given(
    field_type: str, default: Any, taken: Any
) -> None:
    declared = [{"variable": "v", "type": field_type, "default": default}]
    assert Start().run(node("start", "dify", variables=declared), pool()).outputs["v"] == taken


def test_outputs_are_the_declared_variables_and_the_two_literals() -> None:
    declared = [{"variable": "given"}, {"variable": "missing"}]
    values = pool(n={"given": 1, "undeclared": 2}, sys={"query": "hi"})
    outputs = Start().run(node("start", variables=declared), values).outputs
    assert outputs == {"given": 1, "missing": None, "sys.query": "hi", "sys.files": None}


def test_the_run_is_refused_for_the_same_reasons_as_the_start_of_it() -> None:
    declared = [{"variable": "v", "required": True}]
    with pytest.raises(NodeError, match="Input validation error: input 'v' is required") as caught:
        Start().run(node("start", variables=declared), pool())
    assert caught.value.failure.code == "input_validation_error"


def test_all_that_a_start_node_reads_is_named() -> None:
    drawn = node("start", variables=[{"variable": "v"}])
    assert set(Start().hidden_reads(drawn)) == {("n", "v"), ("sys", "query"), ("sys", "files")}


def test_a_schema_is_asked_for_its_variables() -> None:
    start = NodeSpec(id="s", type="start", data={"variables": [{"variable": "v"}]})
    assert [v.variable for v in start_variables(WorkflowSchema(nodes=(start,)))] == ["v"]
    assert start_variables(WorkflowSchema()) == ()
