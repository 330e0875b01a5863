"""YAML to JSON values: what a plain scalar means, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.loading.limits import MAX_DEPTH
from xworkflow.domain.loading.text import parse
from xworkflow.errors import DslParseError


def value_of(written: str) -> Any:
    return parse(f"v: {written}").root["v"]


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("0", 0),
        ("-7", -7),
        ("+7", 7),
        ("1.5", 1.5),
        ("-.5", -0.5),
        ("3.", 3.0),
        ("1.0e+3", 1000.0),
        ("9223372036854775807", 9223372036854775807),
        ("9223372036854775808", 9.223372036854775808e18),
    ],
)
def test_plain_scalars_become_json_values(written: str, value: Any) -> None:
    found = value_of(written)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    "written",
    [
        "yes",
        "no",
        "on",
        "off",
        "010",
        "1_000",
        "0x1F",
        "0o17",
        "12:30:45",
        "2024-01-02",
        "2024-01-02T03:04:05Z",
        ".inf",
        ".nan",
        "1e5",
        "0.1.0",
        "1.0e+999",
        "9" * 500,
    ],
)
def test_what_is_no_certain_json_value_stays_the_text_it_was(written: str) -> None:
    assert value_of(written) == written


@pytest.mark.parametrize("written", ["'1'", '"true"', "!!str 1", "! 1", "|-\n  1"])
def test_quoted_and_tagged_texts_are_never_converted(written: str) -> None:
    assert value_of(written) in {"1", "true"}


@pytest.mark.parametrize(
    ("written", "value"), [("!!int '5'", 5), ("!!bool 'true'", True), ("!!int x", "x")]
)
def test_the_tags_of_json_s_types_mean_those_types(written: str, value: Any) -> None:
    assert value_of(written) == value


def test_keys_are_the_text_that_is_written() -> None:
    assert parse("{true: 1, 010: 2, 1: 3, null: 4}").root == {
        "true": 1,
        "010": 2,
        "1": 3,
        "null": 4,
    }


def test_an_alias_repeats_its_anchor() -> None:
    root = parse("a: &x {k: [1]}\nb: *x\nc: &y text\nd: *y\n&z e: 1\nf: *z").root
    assert root["b"] == {"k": [1]}
    assert root["d"] == "text"
    assert root["f"] == "e"


def test_objects_know_their_lines() -> None:
    document = parse("nodes:\n- id: a\n\n- id: b\n  data:\n    x: 1\n")
    first, second = document.root["nodes"]
    found = [document.lines[id(o)] for o in (document.root, first, second, second["data"])]
    assert found == [1, 2, 4, 6]


def test_a_value_as_deep_as_allowed_is_read() -> None:
    assert parse("[" * MAX_DEPTH + "]" * MAX_DEPTH).root != []


@pytest.mark.parametrize(
    ("text", "detail", "line"),
    [
        ("a: 1\na: 2", "the key 'a' stands twice in one object", 2),
        ("a:\n  <<: {b: 1}", "merge keys (<<) are not supported", 2),
        ("a: !!python/object:os.system x", "python/object:os.system is not allowed", 1),
        ("a: !!binary aGk=", "binary is not allowed", 1),
        ("a: !mine [1]", "the tag !mine is not allowed", 1),
        ("a: !!set {x}", "set is not allowed", 1),
        ("a: &x [*x]", "the alias *x has no anchor before it", 1),
        ("a: *x", "the alias *x has no anchor before it", 1),
        ("a: 1\n---\nb: 2", "more than one YAML document", 2),
        ("? [a, b]\n: c", "a key must be a text", 1),
        ("a: &x [1]\n*x : 2", "a key must be a text", 2),
        ("a:\n\tb: 1", "cannot start any token", 2),
        ("a: [1, 2\n", "did not find expected", 2),
        ("a: b: c", "mapping values are not allowed", 1),
        ("[" * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels", 1),
        ("- " * (MAX_DEPTH + 1), f"nested deeper than {MAX_DEPTH} levels", 1),
        ("a: 1\x00", "control characters are not allowed", None),
        ('a: "\\ud800"', "invalid Unicode character escape code", 1),
        ("%TAG !a! tag:x\n" * 200 + "--- 1", "too many YAML directives", None),
    ],
)
def test_a_refusal_says_what_is_wrong_and_where(text: str, detail: str, line: int | None) -> None:
    with pytest.raises(DslParseError) as caught:
        parse(text)
    assert detail in str(caught.value)
    assert str(caught.value).startswith("DSL parse error: ")
    assert caught.value.line == line


def test_a_quoted_merge_key_is_a_plain_key() -> None:
    assert parse('{"<<": 1}').root == {"<<": 1}


def test_a_bomb_of_aliases_is_refused_before_it_grows() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    with pytest.raises(DslParseError, match="more than 500000 values"):
        parse("\n".join(rows))


def test_a_bomb_of_one_long_text_is_refused() -> None:
    text = f"a: &a {'x' * 1_000_000}\nb: [{', '.join(['*a'] * 11)}]"
    with pytest.raises(DslParseError, match="larger than 10 MB"):
        parse(text)
