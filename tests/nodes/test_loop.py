"""The loop node, in both dialects, and the marks of bodies."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nodes.conftest import node, pool
from tests.nodes.repeating import Body, Ran, broken, outputs_of, repeated
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.repeats import LOOP_ENDED
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.assigner import Assigner
from xworkflow.nodes.base import AnyNode
from xworkflow.nodes.body_marks import IterationStart, LoopEnd, LoopStart
from xworkflow.nodes.loop import Loop

BODY = {"nodes": [{"id": "s", "type": "start"}], "edges": []}


def native(limit: Any = 3, **data: Any) -> AnyNode:
    condition = {
        "variable_selector": ["loop", "counter"],
        "comparison_operator": "less_than",
        "value": limit,
    }
    given: dict[str, Any] = {
        "condition": condition,
        "initial_vars": {"counter": 0},
        "max_iterations": 10,
        "output_variable": "result",
        "sub_graph": BODY,
    }
    return node("loop", **(given | data))


def number(value: Any, **more: Any) -> dict[str, Any]:
    return {"label": "num", "var_type": "number", "value_type": "constant", "value": value, **more}


def until(value: Any, operator: str = "≥", name: str = "num") -> dict[str, Any]:
    return {"variable_selector": ["n", name], "comparison_operator": operator, "value": value}


def dify(*conditions: Any, variables: Any = None, **data: Any) -> AnyNode:
    given = {
        "loop_count": 10,
        "break_conditions": list(conditions),
        "loop_variables": [number("1")] if variables is None else variables,
        "sub_graph": BODY,
    }
    return node("loop", "dify", **(given | data))


INCREMENT = node(
    "assigner",
    "dify",
    items=[
        {
            "variable_selector": ["n", "num"],
            "operation": "+=",
            "input_type": "constant",
            "value": 1,
        }
    ],
)


def written(result: NodeRunResult, inner: VariablePool) -> VariablePool:
    for write in result.writes:
        inner = inner.set(write.selector, write.value)
    return inner


def increment(inner: VariablePool) -> Ran:
    """The body of Dify's fixture: an assigner that adds one."""
    return {}, written(Assigner().run(INCREMENT, inner), inner)


def counting(inner: VariablePool) -> dict[str, Any]:
    counter: Any = inner.get(("loop", "counter"))
    return {"counter": counter + 1}


def outputs(drawn: AnyNode, body: Body) -> Any:
    return repeated(drawn, pool(x={"y": 7}), body).outputs


def failure(drawn: AnyNode, body: Body) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        outputs(drawn, body)
    return caught.value.failure


def codes(drawn: AnyNode) -> list[tuple[str, str | None]]:
    return [(found.code, found.field_path) for found in Loop().check(drawn)]


# --- native


def test_a_native_loop_goes_on_while_its_condition_is_true() -> None:
    found = outputs(native(), outputs_of(counting))
    assert found == {"result": {"counter": 3}, "_iterations": 3}


def test_a_condition_that_is_false_at_once_gives_no_round() -> None:
    found = outputs(native(limit=0), outputs_of(counting))
    assert found == {"result": {"counter": 0}, "_iterations": 0}


def test_a_mismatch_ends_the_loop() -> None:
    drawn = native(initial_vars={"counter": "zero"})
    assert outputs(drawn, outputs_of(counting))["_iterations"] == 0


def test_the_limit_is_asked_before_the_condition() -> None:
    found = failure(native(max_iterations=3), outputs_of(counting))
    assert found.text == "Execution error: Max iterations 3 exceeded"
    assert outputs(native(max_iterations=4), outputs_of(counting))["_iterations"] == 3


def test_the_condition_sees_nothing_but_the_variables() -> None:
    outside = {"variable_selector": ["x", "y"], "comparison_operator": "=", "value": 7}
    drawn = native(condition=outside)
    assert outputs(drawn, outputs_of(counting))["_iterations"] == 0
    assert codes(drawn) == [("W214", "condition.variable_selector")]


def test_every_output_of_the_body_becomes_a_variable() -> None:
    body = outputs_of(
        lambda inner: {**counting(inner), "at": inner.get(("__scope__", "_iteration"))}
    )
    assert outputs(native(), body)["result"] == {"counter": 3, "at": 2}


def test_a_value_that_the_condition_does_not_know_is_ignored() -> None:
    condition = {
        "variable_selector": "loop.counter",
        "comparison_operator": "less_than",
        "value_selector": ["x", "y"],
    }
    drawn = native(condition=condition)
    assert codes(drawn) == []
    assert outputs(drawn, outputs_of(counting))["_iterations"] == 0


def test_a_failure_of_the_body_fails_the_loop() -> None:
    def body(_: VariablePool) -> Ran:
        raise broken()

    assert failure(native(), body).text == "Execution error: divide by zero"


def test_a_name_with_a_dot_is_no_variable() -> None:
    drawn = native(initial_vars={"a.b": 1})
    assert codes(drawn) == [("E217", "initial_vars")]
    text = "Execution error: Scope error: Invalid scope key: loop.a.b"
    assert failure(drawn, outputs_of(counting)).text == text
    body = outputs_of(lambda _: {"c.d": 1})
    assert "Invalid scope key: loop.c.d" in failure(native(), body).text


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({"sub_graph": {"nodes": [], "edges": []}}, ("E213", "sub_graph.nodes")),
        ({"output_variable": None}, ("E217", "output_variable")),
        ({"condition": None}, ("E217", "condition")),
        (
            {
                "condition": {
                    "variable_selector": ["loop", "a", "b"],
                    "comparison_operator": "is",
                }
            },
            ("E214", "condition.variable_selector"),
        ),
    ],
)
def test_a_native_loop_says_what_it_lacks(data: Any, expected: Any) -> None:
    assert codes(native(**data)) == [expected]


# --- Dify


def test_a_dify_loop_breaks_once_its_condition_is_true() -> None:
    assert outputs(dify(until("5")), increment) == {"num": 5, "loop_round": 4}


def test_a_dify_loop_ends_after_its_count() -> None:
    assert outputs(dify(until("50"), loop_count=3), increment) == {"num": 4, "loop_round": 3}
    assert outputs(dify(), increment) == {"num": 11, "loop_round": 10}


def test_a_dify_loop_that_breaks_at_once_has_no_outputs_but_readable_variables() -> None:
    result = repeated(dify(until("0")), pool(), increment)
    assert result.outputs == {}
    assert [(write.selector, write.value) for write in result.writes] == [(("n", "num"), 1)]


@pytest.mark.parametrize(("operator", "rounds"), [("and", 5), ("or", 1)])
def test_break_conditions_are_joined_by_the_logical_operator(operator: str, rounds: int) -> None:
    drawn = dify(until("2"), until("6"), logical_operator=operator)
    assert outputs(drawn, increment)["loop_round"] == rounds


@pytest.mark.parametrize(
    ("var_type", "value", "first"),
    [
        ("number", "1", 1),
        ("number", "1.5", 1.5),
        ("number", 3, 3),
        ("number", "", None),
        ("string", "1", "1"),
        ("string", "", ""),
        ("boolean", "true", True),
        ("object", '{"a": 1}', {"a": 1}),
        ("array[string]", '["a"]', ["a"]),
        ("array[object]", "", []),
        ("array[number]", [1], [1]),
    ],
)
def test_constants_get_the_type_that_they_are_declared_as(
    var_type: str, value: Any, first: Any
) -> None:
    drawn = dify(variables=[number(value, var_type=var_type)])
    assert Loop().open(drawn, pool()).carry == {"num": first}
    assert codes(drawn) == []


def test_a_constant_of_another_type_is_refused() -> None:
    drawn = dify(variables=[number("abc")])
    assert codes(drawn) == [("E217", "loop_variables[0].value")]
    assert failure(drawn, increment).code == "type_error"


def test_a_variable_is_read_where_the_loop_begins() -> None:
    drawn = dify(variables=[number(["x", "y"], value_type="variable")], loop_count=2)
    assert outputs(drawn, increment) == {"num": 9, "loop_round": 2}
    assert list(Loop().selectors(drawn)) == [("loop_variables[0].value", ("x", "y"))]


def test_a_break_condition_on_a_missing_variable_fails_the_loop_after_a_round() -> None:
    drawn = dify(until("5", name="nope"))
    found = failure(drawn, increment)
    assert (found.code, "n.nope" in found.text) == ("variable_not_found", True)
    assert codes(drawn) == [("W214", "break_conditions[0].variable_selector")]


def test_a_break_condition_may_compare_what_the_body_gives() -> None:
    condition = {
        "variable_selector": ["inner", "text"],
        "comparison_operator": "contains",
        "value": "stop",
    }

    def body(inner: VariablePool) -> Ran:
        return {}, inner.set(("inner", "text"), "please stop")

    drawn = dify(condition)
    assert outputs(drawn, body) == {"num": 1, "loop_round": 1}
    assert ("inner", "text") in list(Loop().hidden_reads(drawn))


def test_a_break_condition_may_ask_whether_something_is_missing() -> None:
    assert outputs(dify(until("", "empty", name="nope")), increment) == {}


def test_a_condition_that_compares_a_text_with_a_number_fails_the_loop() -> None:
    drawn = dify(until("5"), variables=[number("abc", var_type="string")])
    found = failure(drawn, outputs_of(lambda _: {}))
    assert found.code == "type_error"
    assert "expected number, got string" in found.text


def test_what_an_expected_value_refers_to_is_read() -> None:
    drawn = dify(until("{{#x.y#}}"))
    assert ("x", "y") in list(Loop().hidden_reads(drawn))
    assert outputs(drawn, increment) == {"num": 7, "loop_round": 6}


def test_a_dify_loop_needs_its_count() -> None:
    assert codes(dify(loop_count=None)) == [("E217", "loop_count")]


# --- the end of a loop from inside


@pytest.mark.parametrize("drawn", [native(), dify(), dify(until("5"))])
def test_a_loop_end_node_makes_its_round_the_last(drawn: AnyNode) -> None:
    def body(inner: VariablePool) -> Ran:
        result = LoopEnd().run(node("loop-end", drawn.dialect), inner)
        return {}, written(result, inner)

    found = repeated(drawn, pool(), body).outputs
    assert found.get("loop_round", found.get("_iterations")) == 1


def test_the_end_of_an_outer_loop_does_not_end_an_inner_one() -> None:
    ended = pool().set(LOOP_ENDED, True)
    assert repeated(dify(loop_count=2), ended, increment).outputs["loop_round"] == 2
    assert repeated(native(), ended, outputs_of(counting)).outputs["_iterations"] == 3


def test_a_dify_loop_may_be_called_loop() -> None:
    drawn = node("loop", "dify", loop_count=1, loop_variables=[number("1")], sub_graph=BODY)
    called = type(drawn)("loop", drawn.type, drawn.title, drawn.data, drawn.dialect)
    spaces = Loop().scope(called, 0, None, {"num": 1})
    assert spaces == {"loop": {"__ended": False, "num": 1}}


def test_start_marks_are_silent_and_give_nothing() -> None:
    for mark in (IterationStart(), LoopStart()):
        assert mark.silent
        assert mark.run(node(mark.type), pool()) == NodeRunResult()
    assert not LoopEnd().silent


@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_what_the_body_may_read_is_offered(dialect: Dialect) -> None:
    drawn = native() if dialect == "native" else dify()
    expected = ("__scope__", "_iteration") if dialect == "native" else ("n", "num")
    assert list(Loop().offers(drawn)) == [expected]
