"""What JSON can spell and a value of the pool cannot be."""

from __future__ import annotations

import pytest

from xworkflow.domain.foreign_json import NestedTooDeeply, read_json, well_formed
from xworkflow.domain.values import MAX_DEPTH


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[NaN, Infinity, 1e999, 1]", [None, None, None, 1]),
        ("9" * 5_000, None),
        ("9" * 30, 1e30),
        ('{"k\\ud83d": ["\\ude00x", "\\ud83d\\ude00"]}', {"k\ufffd": ["\ufffdx", "😀"]}),
        ('"\ud800"', "\ufffd"),
        (b'"\xed\xa0\x80"', "\ufffd\ufffd\ufffd"),
        ('"\\ud800"'.encode("utf-16"), "\ufffd"),
        (b'\xef\xbb\xbf"\xc3\xa9"', "é"),
    ],
)
def test_every_value_can_be_sent_onwards(text: str | bytes, value: object) -> None:
    assert read_json(text) == value


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 5_000, 500_000])
def test_values_nested_too_deeply_are_refused(depth: int) -> None:
    assert read_json("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    with pytest.raises(NestedTooDeeply):
        read_json("[" * depth + "]" * depth)


@pytest.mark.parametrize("text", ["", "nonsense", b"\xff", "[" * 500_000])
def test_what_is_no_json_is_a_value_error(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"Expecting|nested"):
        read_json(text)


def test_whole_characters_stay() -> None:
    assert well_formed({"é": ["😀", 1, None]}) == {"é": ["😀", 1, None]}
