"""A message names the line of a key."""

from __future__ import annotations

import pytest

from xworkflow.configuration.key_lines import KeyLines

TEXT = """\
a = 1
[b]
c = { d = 1, e = 2 }
"f.g" = 3
[b."h.i"] # and why
j.k = 4
[[l]]
m = 5
"""


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a",), 1),
        (("b",), 2),
        (("b", "c"), 3),
        (("b", "c", "e"), 3),
        (("b", "f.g"), 4),
        (("b", "h.i"), 5),
        (("b", "h.i", "j", "k"), 6),
        (("b", "nowhere"), 2),
        (("l", "m"), 8),
        (("nowhere",), None),
    ],
)
def test_a_key_is_on_its_line_or_on_that_of_its_table(
    path: tuple[str, ...], line: int | None
) -> None:
    assert KeyLines(TEXT).line_of(path) == line


def test_what_is_no_toml_has_no_lines() -> None:
    assert KeyLines('[[[\n= 3\n"a" b = 1\n').line_of(("a",)) is None
