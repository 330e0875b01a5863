"""What a user probably meant is said in the message, and nothing where no word is close."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.near_miss import did_you_mean, nearest
from xworkflow.domain.schema import EdgeSpec, NodeSpec, WorkflowSchema
from xworkflow.engine.validation import validate


def messages(*middle: NodeSpec) -> str:
    nodes = (
        NodeSpec(id="start", type="start", data={"variables": [{"variable": "query"}]}),
        *middle,
        NodeSpec(id="end", type="end", data={"outputs": []}),
    )
    edges = tuple(
        EdgeSpec(id=f"e{i}", source=a.id, target=b.id)
        for i, (a, b) in enumerate(itertools.pairwise(nodes))
    )
    return " ".join(d.message for d in validate(WorkflowSchema(nodes=nodes, edges=edges)).errors)


def test_a_misspelt_type_is_answered_with_the_right_one() -> None:
    assert "did you mean 'http-request'?" in messages(NodeSpec(id="h", type="http-reqest"))


def test_a_misspelt_type_that_is_not_supported_yet_is_known_too() -> None:
    assert "did you mean 'iteration'?" in messages(NodeSpec(id="i", type="iterration"))


def test_a_misspelt_key_is_recognised_as_the_one_that_is_missing() -> None:
    node = NodeSpec(id="t", type="template-transform", data={"tempalte": "x"})
    assert "was 'tempalte' meant to be 'template'?" in messages(node)


def test_a_misspelt_node_in_a_selector_is_answered_with_the_right_one() -> None:
    variables = [{"variable": "a", "value_selector": ["strat", "query"]}]
    data = {"template": "x", "variables": variables}
    node = NodeSpec(id="t", type="template-transform", data=data)
    assert "did you mean 'start'?" in messages(node)


def test_a_start_node_that_cannot_be_read_is_one_error_and_no_crash() -> None:
    start = NodeSpec(id="start", type="start", data={"variables": "query"})
    outputs = [{"variable": "o", "value_selector": ["start", "qeury"]}]
    end = NodeSpec(id="end", type="end", data={"outputs": outputs})
    edge = EdgeSpec(id="e", source="start", target="end")
    report = validate(WorkflowSchema(nodes=(start, end), edges=(edge,)))
    assert [d.code for d in report.errors] == ["E217"]


def test_a_word_that_is_like_no_other_gets_no_suggestion() -> None:
    assert "did you mean" not in messages(NodeSpec(id="x", type="zebra"))


@pytest.mark.parametrize("known", [["b", "ab", "ba"], ["ba", "ab", "b"]])
def test_the_order_of_the_known_words_does_not_matter(known: list[str]) -> None:
    assert nearest("aba", known) == nearest("aba", sorted(known))


@given(st.text(max_size=20), st.sets(st.text(max_size=10), max_size=5))
def test_a_suggestion_is_always_a_known_word_and_never_the_word_itself(
    word: str, known: set[str]
) -> None:
    near = nearest(word, known)
    assert near is None or (near in known and near != word)
    assert (did_you_mean(word, known) == "") == (near is None)
