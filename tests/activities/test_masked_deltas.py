"""Live pieces hold no secret, however they are cut."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from xworkflow.activities.masked_deltas import MaskedDeltas
from xworkflow.runtime_group.masking import MASK, Masker

SECRET = "sk-abcab-1"  # its own beginning comes again in it


class Sink:
    def __init__(self) -> None:
        self.pieces: list[str] = []

    def put(self, variable: str, text: str) -> None:
        assert variable == "text"
        self.pieces.append(text)


def masked(pieces: list[str], *secrets: str) -> list[str]:
    sink, masker = Sink(), Masker()
    for secret in secrets:
        masker.add(secret)
    deltas = MaskedDeltas(sink, masker)
    for piece in pieces:
        deltas.put("text", piece)
    deltas.close()
    return sink.pieces


def test_pieces_without_a_secret_keep_their_bounds() -> None:
    pieces = ["one ", "two sk-", "abc", "x", ""]
    assert masked(pieces, SECRET) == pieces
    assert masked(pieces) == pieces


@given(cuts=st.sets(st.integers(1, 30)), before=st.text("sk-abc1", max_size=8))
def test_a_secret_is_masked_wherever_it_is_cut(cuts: set[int], before: str) -> None:
    text = f"{before}{SECRET} and after"
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    told = "".join(masked(pieces, SECRET))
    assert SECRET not in told
    assert told.endswith(f"{MASK} and after")
