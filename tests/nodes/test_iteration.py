"""The iteration node, in both dialects."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nodes.conftest import node, pool
from tests.nodes.repeating import Ran, broken, outputs_of, repeated
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.selectors import Dialect
from xworkflow.errors import NodeError
from xworkflow.nodes.base import AnyNode
from xworkflow.nodes.iteration import Iteration

BODY: dict[str, Any] = {"nodes": [{"id": "s", "type": "start"}], "edges": []}


def native(**data: Any) -> AnyNode:
    given: dict[str, Any] = {
        "input_selector": ["x", "items"],
        "output_variable": "results",
        "sub_graph": BODY,
    }
    return node("iteration", **(given | data))


def dify(**data: Any) -> AnyNode:
    given: dict[str, Any] = {
        "iterator_selector": ["x", "items"],
        "output_selector": ["inner", "text"],
        "sub_graph": BODY,
    }
    return node("iteration", "dify", **(given | data))


def doubled(inner: VariablePool) -> Ran:
    item: Any = inner.get(("__scope__", "item"))
    if item == 0:
        raise broken()
    return {"value": item * 2, "at": inner.get(("__scope__", "index"))}, inner


def results(drawn: AnyNode, items: Any) -> Any:
    return repeated(drawn, pool(x={"items": items}), doubled).outputs["results"]


def said(drawn: AnyNode, items: Any) -> Any:
    """Of a Dify body whose node gives back the item, and fails for "bad"."""

    def body(inner: VariablePool) -> Ran:
        if inner.get((drawn.id, "item")) == "bad":
            raise broken()
        return {}, inner.set(("inner", "text"), inner.get((drawn.id, "item")))

    return repeated(drawn, pool(x={"items": items}), body).outputs


def failure(drawn: AnyNode, items: Any) -> str:
    with pytest.raises(NodeError) as caught:
        Iteration().open(drawn, pool(x={"items": items}))
    return caught.value.failure.text


def codes(drawn: AnyNode) -> list[tuple[str, str | None]]:
    return [(found.code, found.field_path) for found in Iteration().check(drawn)]


# --- native


def test_each_result_is_the_whole_output_object_of_its_item() -> None:
    assert results(native(), [3, 4]) == [{"value": 6, "at": 0}, {"value": 8, "at": 1}]


def test_an_empty_list_gives_an_empty_list() -> None:
    assert results(native(), []) == []


def test_a_failed_item_ends_the_iteration_as_a_rule() -> None:
    with pytest.raises(NodeError, match="divide by zero"):
        results(native(), [1, 0, 2])


def test_a_failed_item_may_be_left_out_or_null() -> None:
    one, two = {"value": 2, "at": 0}, {"value": 4, "at": 2}
    assert results(native(error_handle_mode="remove_abnormal"), [1, 0, 2]) == [one, two]
    assert results(native(error_handle_mode="continue_on_error"), [1, 0, 2]) == [one, None, two]


@pytest.mark.parametrize(
    ("value", "kind"), [(None, "null"), ("text", "string"), ({}, "object"), (5, "number")]
)
@pytest.mark.parametrize("drawn", [native(), dify()])
def test_what_is_no_list_cannot_be_iterated(drawn: AnyNode, value: Any, kind: str) -> None:
    text = f"Type error: Input must be an array: x.items is of type {kind}"
    assert failure(drawn, value) == text


def test_a_list_that_is_too_long_is_refused_before_an_item_runs() -> None:
    text = "Execution error: Array size 3 exceeds max iterations 2"
    assert failure(native(max_iterations=2), [1, 2, 3]) == text
    assert "Array size 1001 exceeds max iterations 1000" in failure(native(), [0] * 1001)


def test_only_a_native_iteration_has_a_limit_of_its_own() -> None:
    repeat = Iteration().open(dify(), pool(x={"items": [0] * 10_000}))
    assert len(repeat.items or ()) == 10_000


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ({}, 1),
        ({"parallelism": 4}, 1),
        ({"parallel": True}, 10),
        ({"is_parallel": True, "parallel_nums": 3}, 3),
        ({"parallel": True, "is_parallel": False, "parallelism": 2, "parallel_nums": 3}, 2),
        ({"parallel": True, "parallelism": 0}, 1),
    ],
)
def test_items_run_side_by_side_only_where_it_is_switched_on(data: Any, expected: int) -> None:
    assert Iteration().open(native(**data), pool(x={"items": []})).parallelism == expected


def test_the_first_of_two_selectors_wins() -> None:
    both = native(iterator_selector=["x", "other"])
    assert list(Iteration().selectors(both)) == [("input_selector", ("x", "items"))]
    alias = native(input_selector=None, iterator_selector=["x", "items"])
    assert list(Iteration().selectors(alias)) == [("iterator_selector", ("x", "items"))]


# --- Dify


def test_a_result_of_dify_is_read_from_the_item_s_final_values() -> None:
    assert said(dify(), ["a", "b"]) == {"output": ["a", "b"]}


@pytest.mark.parametrize(
    ("items", "flat", "output"),
    [
        ([], True, []),
        ([["a"], ["b", "c"]], True, ["a", "b", "c"]),
        ([["a"], ["b", "c"]], False, [["a"], ["b", "c"]]),
        ([["a", ["b"]], []], True, ["a", ["b"]]),
        ([["a"], "b"], True, [["a"], "b"]),
        ([None, None], True, [None, None]),
    ],
)
def test_lists_of_lists_are_flattened_by_one_level(items: Any, flat: bool, output: Any) -> None:
    assert said(dify(flatten_output=flat), items) == {"output": output}


def test_nulls_of_failed_items_do_not_keep_lists_from_being_flattened() -> None:
    drawn = dify(error_handle_mode="continue_on_error")
    assert said(drawn, [["a"], "bad", ["b"]]) == {"output": ["a", "b"]}
    assert said(drawn, ["a", "bad"]) == {"output": ["a", None]}
    assert said(dify(error_handle_mode="remove_abnormal"), ["a", "bad"]) == {"output": ["a"]}


def test_without_an_output_selector_all_results_are_null() -> None:
    assert said(dify(output_selector=[]), ["a", "b"]) == {"output": [None, None]}
    assert codes(dify(output_selector=[])) == [("W212", "output_selector")]


def test_what_the_body_may_read_is_offered() -> None:
    assert list(Iteration().offers(dify())) == [("n", "item"), ("n", "index")]
    offered = list(Iteration().offers(native()))
    assert offered == [("__scope__", "item"), ("__scope__", "index")]


def test_the_output_selector_may_lie_outside_of_the_body() -> None:
    assert list(Iteration().hidden_reads(dify())) == [("inner", "text")]
    assert list(Iteration().hidden_reads(native(output_selector=["a", "b"]))) == []


# --- what can be wrong


@pytest.mark.parametrize("dialect", ["native", "dify"])
def test_a_body_and_a_list_are_needed(dialect: Dialect) -> None:
    empty: dict[str, Any] = {"nodes": [], "edges": []}
    drawn = node("iteration", dialect, sub_graph=empty, output_variable="o", output_selector="a.b")
    assert codes(drawn) == [("E211", "sub_graph.nodes"), ("E212", "input_selector")]


def test_a_native_iteration_names_its_output() -> None:
    assert codes(native(output_variable=None)) == [("E217", "output_variable")]


def test_a_list_by_no_selector_is_a_config_error_of_the_node() -> None:
    drawn = native(input_selector=None)
    assert failure(drawn, []) == "Configuration error: an input_selector is needed"


def test_outputs_come_from_the_body_alone() -> None:
    body = outputs_of(lambda inner: {"seen": inner.get(("x", "items"))})
    found = repeated(native(), pool(x={"items": [1]}), body).outputs
    assert found == {"results": [{"seen": [1]}]}
