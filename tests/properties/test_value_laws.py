"""Laws of values and selectors: printing, normalising, reading back (spec/graph.md 3.2, 1.7)."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS
from xworkflow.domain.selectors import SCOPE, parse_selector, show
from xworkflow.domain.values import compact_json, display, display_float, normalise

FLOATS = st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | FLOATS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=10,
)


@LAWS
@given(number=FLOATS)
def test_a_float_prints_without_an_exponent_and_reads_back_equal(number: float) -> None:
    text = display_float(number)
    assert re.fullmatch(r"-?\d+(\.\d*[1-9])?", text)
    assert float(text) == number


@LAWS
@given(number=st.integers(-(2**53), 2**53))
def test_a_whole_float_prints_as_the_integer(number: int) -> None:
    assert display_float(float(number)) == ("-0" if str(float(number)) == "-0.0" else str(number))


@LAWS
@given(value=JSON)
def test_normalising_keeps_what_64_bits_hold_and_is_done_once(value: Any) -> None:
    normal = normalise(value)
    assert normalise(normal) == normal
    assert json.loads(json.dumps(normal)) == normal


@LAWS
@given(value=st.lists(JSON, max_size=3) | st.dictionaries(st.text(max_size=3), JSON, max_size=3))
def test_lists_and_objects_print_as_json_that_reads_back_equal(value: Any) -> None:
    assert display(value) == compact_json(value)
    assert json.loads(display(value)) == value


@LAWS
@given(parts=st.lists(st.text(alphabet="ab_-1é", min_size=1, max_size=3), min_size=1, max_size=5))
def test_both_written_forms_of_a_selector_mean_the_same(parts: list[str]) -> None:
    selector = parse_selector(parts)
    assert parse_selector(".".join(parts)) == selector
    assert parse_selector(["", *parts, ""]) == selector
    assert selector == ((SCOPE, *parts) if len(parts) == 1 else tuple(parts))
    assert show(selector) == ".".join(parts)
