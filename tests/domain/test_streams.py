"""Pieces of an output: their lengths travel, and cut the text again where it was cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.pool import VariablePool
from xworkflow.domain.streams import CHUNKS, chunks_of, in_one_piece, merged, pieces_at, visible


def pieces(outputs: dict[str, Any], *selector: str) -> tuple[str, ...] | None:
    return pieces_at(VariablePool({"n": outputs}).get, selector or ("n", "text"))


@given(st.lists(st.text(max_size=5)))
def test_a_text_is_cut_again_where_it_was_cut(drawn: list[str]) -> None:
    outputs = {"text": "".join(drawn), **chunks_of("text", drawn)}
    assert pieces(outputs) == tuple(drawn)


@pytest.mark.parametrize(
    "lengths", [[1], [3, 1], [4, -1], [3.0], [True, 2], "3", None, {"text": [3]}]
)
def test_lengths_that_do_not_fit_are_none(lengths: Any) -> None:
    assert pieces({"text": "abc", CHUNKS: {"text": lengths}}) is None


def test_what_has_no_pieces_has_none() -> None:
    assert pieces({"text": "abc"}) is None
    assert pieces({"text": "abc", CHUNKS: [3]}) is None
    assert pieces({"text": ["abc"], CHUNKS: {"text": [3]}}) is None
    assert pieces({"text": "abc", "other": "d", CHUNKS: {"text": [3]}}, "n", "other") is None
    assert pieces({"text": "abc", CHUNKS: {"text": [3]}}, "n", "text", "0") is None


def test_what_stands_for_a_stream_is_one_piece() -> None:
    outputs = in_one_piece({"text": "sorry", "n": 1})
    assert pieces(outputs) == ("sorry",)
    assert visible(outputs) == {"text": "sorry", "n": 1}
    assert in_one_piece({"n": 1}) == {"n": 1}


def test_lengths_are_not_shown() -> None:
    assert visible({"text": "a", CHUNKS: {"text": [1]}}) == {"text": "a"}


@given(st.lists(st.text(max_size=3), max_size=40), st.integers(1, 50))
def test_merged_pieces_are_the_same_text_in_few(drawn: list[str], most: int) -> None:
    few = merged(drawn, most)
    assert "".join(few) == "".join(drawn)
    assert len(few) == min(len(drawn), most)
