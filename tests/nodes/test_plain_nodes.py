"""End, answer and variable-aggregator."""

from __future__ import annotations

from tests.nodes.conftest import node, pool
from xworkflow.nodes.answer import Answer
from xworkflow.nodes.end import End
from xworkflow.nodes.variable_aggregator import VariableAggregator


def test_an_end_gives_null_for_what_is_missing() -> None:
    outputs = [
        {"variable": "a", "value_selector": ["x", "v"]},
        {"variable": "b", "variable_selector": "x.gone"},
    ]
    assert End().run(node("end", outputs=outputs), pool(x={"v": 1})).outputs == {"a": 1, "b": None}


def test_an_end_may_have_no_outputs() -> None:
    assert End().run(node("end"), pool()).outputs == {}


def test_an_end_reads_into_objects_in_dify() -> None:
    outputs = [{"variable": "a", "value_selector": ["x", "v", "deep"]}]
    assert End().run(node("end", "dify", outputs=outputs), pool(x={"v": {"deep": 1}})).outputs == {
        "a": 1
    }


def test_an_answer_fills_its_references() -> None:
    drawn = node("answer", answer="{{#x.v#}} and {{#x.gone#}}.")
    assert Answer().run(drawn, pool(x={"v": 1.0})).outputs == {"answer": "1 and ."}


def test_end_and_answer_make_the_outputs_of_a_run() -> None:
    assert End().is_output
    assert Answer().is_output


def test_an_aggregator_takes_the_first_value_that_is_not_null() -> None:
    drawn = node("variable-aggregator", variables=[["a", "v"], ["b", "v"], ["c", "v"]])
    values = pool(a={"v": None}, b={"v": ""}, c={"v": "late"})
    assert VariableAggregator().run(drawn, values).outputs == {"output": ""}


def test_an_aggregator_without_a_value_gives_null() -> None:
    drawn = node("variable-aggregator", variables=[["a", "v"]])
    assert VariableAggregator().run(drawn, pool()).outputs == {"output": None}


def test_each_group_of_an_aggregator_chooses_for_itself() -> None:
    groups = [
        {"group_name": "g", "variables": [["a", "v"], ["b", "v"]]},
        {"group_name": "h", "variables": [["c", "v"]]},
    ]
    drawn = node("variable-aggregator", "dify", groups=groups, variables=[["x", "ignored"]])
    outputs = VariableAggregator().run(drawn, pool(b={"v": 2})).outputs
    assert outputs == {"g": {"output": 2}, "h": {"output": None}}
    read = [selector for _, selector in VariableAggregator().selectors(drawn)]
    assert read == [("a", "v"), ("b", "v"), ("c", "v")]
