"""Server-sent events, however the network cuts them."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.runtime_group.sse import SseDecoder


def decoded(*parts: bytes) -> list[str]:
    decoder = SseDecoder()
    return [data for part in parts for data in decoder.feed(part)] + decoder.close()


@pytest.mark.parametrize(
    ("stream", "data"),
    [
        (b"data: a\n\ndata: b\n\n", ["a", "b"]),
        (b"data:a\r\n\r\ndata:  b\r\r", ["a", " b"]),
        (b": ping\n\nevent: x\nid: 1\ndata: a\nretry: 3\n\n", ["a"]),
        (b"data: a\ndata: b\n\n", ["a\nb"]),
        (b"data: a\n\ndata: [DONE]", ["a", "[DONE]"]),
        (b"data\n\n\n\n", []),
        (b"data: \xff\n\n", ["\ufffd"]),
        (b"", []),
    ],
)
def test_the_data_of_events_is_found(stream: bytes, data: list[str]) -> None:
    assert decoded(stream) == data


LINES = st.sampled_from([b"data: x", b"data: \xc3\xa9", b": c", b"event: e", b"data:", b""])
ENDS = st.sampled_from([b"\n", b"\r\n", b"\r"])


@given(st.lists(st.tuples(LINES, ENDS), max_size=12), st.lists(st.integers(0, 80), max_size=6))
def test_where_the_network_cuts_makes_no_difference(
    lines: list[tuple[bytes, bytes]], cuts: list[int]
) -> None:
    stream = b"".join(line + end for line, end in lines)
    edges = [0, *sorted(cuts), len(stream)]
    parts = [stream[a:b] for a, b in pairwise(edges)]
    assert decoded(*parts) == decoded(stream)
