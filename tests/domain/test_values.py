"""Values of the pool: kinds, printing, normalising, files (spec/graph.md 3.2, 3.4, 3.5)."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.values import (
    coerce_declared,
    compact_json,
    display,
    display_float,
    is_file,
    is_number,
    kind_of,
    normalise,
    to_file,
)

MARKED = {"dify_model_identity": "__dify__file__"}


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2.0, "2"),
        (0.1, "0.1"),
        (-2.5, "-2.5"),
        (1e21, "1000000000000000000000"),
        (1.5e-7, "0.00000015"),
        (1e-5, "0.00001"),
        (1.2345e20, "123450000000000000000"),
        (-1e300, "-1" + "0" * 300),
        (5e-324, "0." + "0" * 323 + "5"),
        (0.0, "0"),
        (float("nan"), "NaN"),
        (float("inf"), "inf"),
        (float("-inf"), "-inf"),
    ],
)
def test_a_float_prints_its_shortest_decimal_without_an_exponent(number: float, text: str) -> None:
    assert display_float(number) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""),
        ("text", "text"),
        (True, "true"),
        (False, "false"),
        (7, "7"),
        (2.0, "2"),
        ([1, 2.0, "é"], '[1,2.0,"é"]'),
        ({"k": None}, '{"k":null}'),
        ([], "[]"),
    ],
)
def test_a_value_has_one_display_string(value: Any, text: str) -> None:
    assert display(value) == text


def test_compact_json_keeps_letters_and_fractions_and_leaves_out_spaces() -> None:
    assert compact_json({"ä": [1.0, True, None]}) == '{"ä":[1.0,true,null]}'


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (None, "null"),
        ("", "string"),
        (1, "number"),
        (1.5, "number"),
        (True, "boolean"),
        ({}, "object"),
        ([], "array"),
        (MARKED, "file"),
    ],
)
def test_every_value_has_a_kind(value: Any, kind: str) -> None:
    assert kind_of(value) == kind


def test_booleans_are_no_numbers() -> None:
    assert is_number(1)
    assert is_number(1.5)
    assert not is_number(True)
    assert not is_number("1")


# ---- normalising


def test_foreign_data_become_plain_values() -> None:
    assert normalise({"a": (1, [2.5, None]), 3: True}) == {"a": [1, [2.5, None]], "3": True}


def test_integers_beyond_64_bits_become_floats() -> None:
    assert normalise(2**63 - 1) == 2**63 - 1
    assert isinstance(normalise(2**63 - 1), int)
    assert isinstance(normalise(2**63), float)
    assert isinstance(normalise(-(2**63) - 1), float)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1, 2}, "set is not a JSON value"),
        ([b"x"], "bytes is not a JSON value"),
        (object(), "object is not a JSON value"),
        (float("nan"), "nan is not a JSON value"),
        ({"x": float("-inf")}, "-inf is not a JSON value"),
        (10**400, "an integer that large is not a JSON value"),
    ],
)
def test_what_json_cannot_hold_is_refused_by_name(value: Any, message: str) -> None:
    with pytest.raises(TypeError) as caught:
        normalise(value)
    assert str(caught.value) == message


# ---- files


def test_all_fields_of_a_file_are_optional() -> None:
    assert to_file({}) == {
        **MARKED,
        "name": "",
        "size": 0,
        "mime_type": "application/octet-stream",
        "transfer_method": "remote_url",
    }


def file_of(value: Any) -> dict[str, Any]:
    """The file that an object describes; there must be one."""
    file = to_file(value)
    assert file is not None
    return file


def test_the_extension_is_the_suffix_of_the_name_unless_it_is_given() -> None:
    assert file_of({"name": "a.tar.gz"})["extension"] == ".gz"
    assert file_of({"name": "a.tar.gz", "extension": ".tgz"})["extension"] == ".tgz"
    assert "extension" not in file_of({"name": "plain"})


def test_unknown_fields_of_a_file_are_kept() -> None:
    assert file_of({"name": "a", "own": 1})["own"] == 1


@pytest.mark.parametrize(
    "value",
    [
        None,
        "a.png",
        [],
        {"name": 1},
        {"size": "3"},
        {"size": True},
        {"transfer_method": "pigeon"},
        {"url": 5},
        {"extra": []},
    ],
)
def test_what_does_not_fit_is_no_file(value: Any) -> None:
    assert to_file(value) is None


def test_only_the_mark_makes_a_file() -> None:
    assert is_file(to_file({}))
    assert not is_file({"name": "a.png"})
    assert not is_file("__dify__file__")


def test_declared_files_are_converted_and_nothing_else() -> None:
    assert coerce_declared({"name": "a"}, "file") == to_file({"name": "a"})
    assert coerce_declared([{"name": "a"}], "array[file]") == [to_file({"name": "a"})]
    assert coerce_declared(5, "string") == 5
    assert coerce_declared("5", "number") == "5"


def test_what_does_not_fit_its_declared_file_type_stays_as_it_is() -> None:
    assert coerce_declared({"name": 1}, "file") == {"name": 1}
    assert coerce_declared([{"name": "a"}, 1], "array[file]") == [{"name": "a"}, 1]
    assert coerce_declared("x", "array[file]") == "x"
