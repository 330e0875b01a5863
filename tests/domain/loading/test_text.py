"""Formats, encodings and sizes; JSON and TOML to JSON values."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.loading.limits import MAX_BYTES, MAX_DEPTH, MAX_TOML_BYTES, MAX_VALUES
from xworkflow.domain.loading.text import Format, format_of, parse
from xworkflow.errors import DslParseError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.yml", "yaml"),
        ("a.yaml", "yaml"),
        ("dir.json/a", "yaml"),
        ("a.JSON", "json"),
        ("x/workflow.toml", "toml"),
        ("-", "yaml"),
        ("", "yaml"),
    ],
)
def test_the_suffix_names_the_format(name: str, expected: Format) -> None:
    assert format_of(name) == expected


@pytest.mark.parametrize("format_", ["yaml", "json"])
def test_a_byte_order_mark_is_dropped(format_: Format) -> None:
    assert parse(b'\xef\xbb\xbf{"a": 1}', format_).root == {"a": 1}


@pytest.mark.parametrize(
    ("text", "format_", "expected"),
    [
        ('{"n": 1e999}', "json", "1e999"),
        ('{"n": NaN}', "json", "NaN"),
        ('{"n": -Infinity}', "json", "-Infinity"),
        ('{"n": 1e5}', "json", 100000.0),
        ('{"n": 18446744073709551616}', "json", 18446744073709551616.0),
        ('{"n": "\\ud83d\\ude00"}', "json", "😀"),
        ("n = inf", "toml", "inf"),
        ("n = nan", "toml", "nan"),
        ("n = 18446744073709551616", "toml", 18446744073709551616.0),
        ("n = 1979-05-27T07:32:00Z", "toml", "1979-05-27T07:32:00Z"),
        ("n = 1979-05-27T00:32:00-07:00", "toml", "1979-05-27T00:32:00-07:00"),
        ("n = 1979-05-27T07:32:00", "toml", "1979-05-27T07:32:00"),
        ("n = 1979-05-27", "toml", "1979-05-27"),
        ("n = 07:32:00", "toml", "07:32:00"),
        ("n = 1_000", "toml", 1000),
    ],
)
def test_numbers_and_times_become_what_json_can_hold(
    text: str, format_: Format, expected: Any
) -> None:
    assert parse(text, format_).root["n"] == expected


NESTED = MAX_DEPTH + 1


@pytest.mark.parametrize(
    ("text", "format_", "detail"),
    [
        ("", None, "the text is empty"),
        (" \n\t", "json", "the text is empty"),
        ("\ufeff", "toml", "the text is empty"),
        (b"a: \xff", None, "the text is not UTF-8"),
        ("a: 1".encode("utf-16"), None, "the text is not UTF-8"),
        ("a: \ud800", None, "the text is not UTF-8"),
        ("x" * (MAX_BYTES + 1), None, "the text is larger than 10 MB"),
        ("字" * (MAX_BYTES // 2), None, "the text is larger than 10 MB"),
        ("#" * (MAX_TOML_BYTES + 1), "toml", "the text is larger than 1 MB"),
        ("[" + "1," * MAX_VALUES + "1]", "json", f"more than {MAX_VALUES} values"),
        ("[" + "1," * MAX_VALUES + "1]", "yaml", f"more than {MAX_VALUES} values"),
        ("[" * NESTED + "]" * NESTED, "json", f"nested deeper than {MAX_DEPTH} levels"),
        ("[" * 100_000, "json", f"nested deeper than {MAX_DEPTH} levels"),
        ("a=" + "[" * 100_000, "toml", f"nested deeper than {MAX_DEPTH} levels"),
        (".".join(["a"] * 60) + "=1", "toml", "a dotted key of more than 50 parts"),
        ("[" + ' . "a"' * 60, "toml", "a dotted key of more than 50 parts"),
        ('{"a": 1, "a": 2}', "json", "the key 'a' stands twice in one object"),
        ("a = 1\na = 2", "toml", "Cannot overwrite a value"),
        ('{"a": "\\ud800"}', "json", "half of a surrogate pair"),
        ('{"\\udfff": 1}', "json", "half of a surrogate pair"),
        ('{"a": "\x00"}', "json", "Invalid control character at"),
        ("{'a': 1}", "json", "Expecting property name"),
        ("a = ", "toml", "Invalid value"),
        ("a: 1", "toml", "Expected '='"),
        (f"a = {'9' * 5000}", "toml", "4300 digits"),
    ],
)
def test_a_text_that_cannot_be_read_says_why(
    text: str | bytes, format_: Format | None, detail: str
) -> None:
    with pytest.raises(DslParseError, match=r"^DSL parse error: ") as caught:
        parse(text, format_)
    assert detail in caught.value.detail


@pytest.mark.parametrize(
    ("text", "format_"), [('{\n\n"a": }', "json"), ("a = 1\n\nb = \n", "toml")]
)
def test_syntax_errors_of_json_and_toml_have_a_line(text: str, format_: Format) -> None:
    with pytest.raises(DslParseError) as caught:
        parse(text, format_)
    assert caught.value.line == 3
