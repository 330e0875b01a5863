"""The if-else node; the conditions themselves have tests of their own."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nodes.conftest import node, pool
from xworkflow.nodes.if_else import IfElse


def case(case_id: str, operator: str, value: Any) -> dict[str, Any]:
    condition = {
        "variable_selector": ["x", "v"],
        "comparison_operator": operator,
        "value": value,
    }
    return {"case_id": case_id, "logical_operator": "and", "conditions": [condition]}


CASES = [case("small", "less_than", 10), case("big", "greater_than", 100)]


@pytest.mark.parametrize(("value", "selected"), [(5, "small"), (500, "big"), (50, "false")])
def test_the_first_true_case_names_the_branch(value: int, selected: str) -> None:
    result = IfElse().run(node("if-else", cases=CASES), pool(x={"v": value}))
    assert result.outputs == {"selected_case": selected}
    assert result.edge_source_handle == selected


def test_a_type_mismatch_takes_the_else_branch_and_is_noted() -> None:
    result = IfElse().run(node("if-else", cases=CASES), pool(x={"v": "text"}))
    assert result.edge_source_handle == "false"
    assert "condition_mismatch" in result.metadata


def test_dify_names_its_outputs_in_its_own_way() -> None:
    drawn = node("if-else", "dify", cases=[case("true", "is", "a")])
    assert IfElse().run(drawn, pool(x={"v": "a"})).outputs == {
        "result": True,
        "selected_case_id": "true",
    }
    assert IfElse().run(drawn, pool(x={"v": "b"})).outputs["result"] is False


def test_the_handles_are_the_cases_and_the_else_branch() -> None:
    assert IfElse().handles(node("if-else", cases=CASES)) == ("small", "big", "false")


def test_what_expected_values_refer_to_is_read() -> None:
    cases = [case("a", "is", "{{#y.v#}}"), case("b", "in", ["{{#z.v#}}", 1])]
    drawn = node("if-else", "dify", cases=cases)
    assert list(IfElse().hidden_reads(drawn)) == [("y", "v"), ("z", "v")]
