"""Patterns of users: what is run, what is refused, and that neither takes long."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xworkflow.nodes.linear_pattern import (
    MAX_SIZE,
    MAX_WORK,
    PatternError,
    TooLongError,
    check_pattern,
    found_in,
)


@pytest.mark.parametrize(
    ("pattern", "text", "found"),
    [
        ("b+", "abc", True),
        ("^b", "abc", False),
        (r"\d{4}-\d{2}", "on 2026-10", True),
        (r"^\p{Lu}", "Émile", True),
        ("(?i)ANN", "ann", True),
        ("", "", True),
    ],
)
def test_a_pattern_may_match_anywhere(pattern: str, text: str, found: bool) -> None:
    assert found_in(check_pattern(pattern), text) is found


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)",
        "(?<!a)b",
        r"(a)\1",
        "(",
        "a{" + "9" * 6000 + "}",
        "a{1000000}",
        "((a{100}){100}){2}",
        "([a[b])]){9000}",
        "(?x) a{ 1 }",
        "(?ix:a)",
        "a" * (MAX_SIZE + 1),
        "[" * MAX_SIZE,
    ],
)
def test_what_is_wrong_not_linear_or_too_large_is_refused(pattern: str) -> None:
    with pytest.raises(PatternError):
        check_pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "text"),
    [("^(a+)+$", "a" * 50_000 + "b"), ("(.*?,){11}P", "1,2,3," * 5_000), ("(a|aa)+$", "a" * 9999)],
)
def test_a_pattern_that_ruins_backtracking_engines_is_quick(pattern: str, text: str) -> None:
    started = time.process_time()
    found_in(pattern, text)
    assert time.process_time() - started < 1


def test_a_large_pattern_takes_short_texts_only() -> None:
    pattern = "(.{0,900}b){5}y"
    assert not found_in(pattern, "ab" * 1000)
    with pytest.raises(TooLongError):
        found_in(pattern, "a" * (MAX_WORK // 900))


@given(st.from_regex(r"([a-z.()|*+?\[\]{}0-9,\\^$x-]){0,20}", fullmatch=True), st.text())
def test_any_pattern_is_run_or_refused(pattern: str, text: str) -> None:
    try:
        check_pattern(pattern)
    except PatternError:
        return
    assert found_in(pattern, text) in (True, False)
