"""Large inputs of runs travel packed, small ones as people can read them."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.domain.packing import PACK_ABOVE, packed, unpacked
from xworkflow.domain.wire import RunInput


@given(st.text(max_size=50), st.sampled_from([1, PACK_ABOVE]))
def test_what_was_packed_is_what_is_unpacked(text: str, times: int) -> None:
    whole = text * times
    assert unpacked(packed(whole)) == whole


def test_a_small_input_is_readable_and_a_large_one_small() -> None:
    small = RunInput(schema_text="{}", state={"nodes": "x"})
    assert json.loads(small.model_dump_json())["schema_text"] == "{}"
    assert json.loads(small.model_dump_json())["state"] == {"nodes": "x"}
    large = RunInput(schema_text="{}" + " " * 3_000_000, state={"pool": ["ü"] * 1_000_000})
    text = large.model_dump_json()
    assert len(text) < 200_000
    assert RunInput.model_validate_json(text) == large


@pytest.mark.parametrize("text", ["zlib:", "zlib:!!", "zlib:aGVsbG8="])
def test_a_packed_text_that_is_broken_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a packed text"):
        unpacked(text)
