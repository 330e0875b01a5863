"""The gather node: when it starts, and what it gives."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.nodes.conftest import node, pool
from xworkflow.domain.loading import load
from xworkflow.domain.plan import Join
from xworkflow.nodes.gather import Gather

VALUES = pool(a={"v": 0}, b={"v": None}, c={"v": ["x"]})
VARIABLES = [["c", "v"], "b.v", ["a", "v"]]
GATHER = Gather()


def test_it_gives_what_has_arrived_in_the_order_in_which_it_is_drawn() -> None:
    outputs = GATHER.run(node("gather", variables=VARIABLES), VALUES).outputs
    assert outputs == {"results": [["x"], 0], "completed_count": 2, "first_result": ["x"]}


def test_without_any_value_there_is_no_first_one() -> None:
    outputs = GATHER.run(node("gather", variables=[["b", "v"]]), VALUES).outputs
    assert outputs == {"results": [], "completed_count": 0}


@pytest.mark.parametrize(
    ("data", "join"),
    [
        ({}, Join()),
        ({"join_mode": {"type": "all"}}, Join()),
        ({"join_mode": {"type": "any"}, "cancel_remaining": False}, Join(1, False)),
        (
            {"join_mode": {"type": "n_of_m", "n": 2}, "timeout_secs": 1.5},
            Join(2, timeout_ms=1500),
        ),
        (
            {"timeout_secs": 3, "timeout_strategy": "fail"},
            Join(timeout_ms=3000, on_timeout="fail"),
        ),
    ],
)
def test_a_join_says_how_many_are_enough_and_how_long_it_waits(
    data: dict[str, Any], join: Join
) -> None:
    assert GATHER.join(node("gather", **data)) == join


def test_a_join_mode_that_is_a_plain_text_makes_all_of_it_fall_back() -> None:
    drawn = node(
        "gather", join_mode="any", variables=VARIABLES, timeout_secs=1, cancel_remaining=False
    )
    assert GATHER.join(drawn) == Join()
    assert GATHER.run(drawn, VALUES).outputs == {"results": [], "completed_count": 0}
    assert list(GATHER.hidden_reads(drawn)) == []
    assert [(d.code, d.level) for d in GATHER.check(drawn)] == [("W203", "warning")]


@pytest.mark.parametrize(
    "data",
    [
        {"join_mode": {"type": "some"}},
        {"join_mode": {"type": "n_of_m"}},
        {"join_mode": {"type": "n_of_m", "n": 0}},
        {"timeout_secs": -1},
        {"variables": [[""]]},
    ],
)
def test_what_makes_no_sense_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        node("gather", **data)


def test_a_selector_of_three_parts_is_found() -> None:
    (found,) = GATHER.check(node("gather", variables=[["a", "b", "c"]]))
    assert (found.code, found.field_path) == ("E217", "variables[0]")


@pytest.mark.parametrize("node_type", ["gather", "human-input"])
def test_its_timeout_is_its_own_and_no_limit_of_an_attempt(node_type: str) -> None:
    text = f"""
version: 0.1.0
nodes:
  - {{id: n, data: {{type: {node_type}, timeout_secs: 5}}}}
  - {{id: c, data: {{type: code, timeout_secs: 5}}}}
edges: []
"""
    spec, code = load(text, "yaml").nodes
    assert (spec.timeout_secs, spec.data["timeout_secs"]) == (None, 5)
    assert code.timeout_secs == 5
