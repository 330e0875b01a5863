"""Every operation of the assigner with every pair of kinds, against tables written by hand.

The tables give, for each operation, what the new value is made of; the code under test is not
asked. An outcome is a value or the exact text of the error.
"""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest

from tests.nodes.conftest import node, pool
from xworkflow.domain.values import FILE_MARK, FILE_MARK_VALUE
from xworkflow.errors import NodeError
from xworkflow.nodes.assigner import Assigner

FILE = {FILE_MARK: FILE_MARK_VALUE, "name": "a.txt"}
KINDS: dict[str, Any] = {
    "null": None,
    "empty text": "",
    "text": "ab",
    "numeric text": " 7 ",
    "list text": "[5]",
    "zero": 0,
    "integer": 3,
    "float": 1.5,
    "true": True,
    "false": False,
    "empty list": [],
    "list": [1, "x"],
    "empty object": {},
    "object": {"k": [1]},
    "file": FILE,
}
JSON_KIND = {
    "null": "null",
    **dict.fromkeys(("empty text", "text", "numeric text", "list text"), "string"),
    **dict.fromkeys(("zero", "integer", "float"), "number"),
    **dict.fromkeys(("true", "false"), "boolean"),
    **dict.fromkeys(("empty list", "list"), "array"),
    **dict.fromkeys(("empty object", "object"), "object"),
    "file": "file",
}
PAIRS = list(itertools.product(KINDS, KINDS))


class Refused(NamedTuple):
    """The error's text without the operation's name and its variable."""

    problem: str


class Given(NamedTuple):
    """One of the two values: the name of its kind in the tables, and itself."""

    name: str
    value: Any

    @property
    def kind(self) -> str:
        return JSON_KIND[self.name]


# ---- Dify's operations

EMPTY: dict[str, Any] = {"string": "", "number": 0, "boolean": False, "object": {}, "array": []}
NUMBERS = {"zero": 0, "integer": 3, "float": 1.5, "numeric text": 7}
ARITHMETIC: dict[str, dict[tuple[float, float], float]] = {
    # (old, operand): the new value; the operands are those of NUMBERS
    "+=": {
        (0, 0): 0, (0, 3): 3, (0, 1.5): 1.5, (0, 7): 7,
        (3, 0): 3, (3, 3): 6, (3, 1.5): 4.5, (3, 7): 10,
        (1.5, 0): 1.5, (1.5, 3): 4.5, (1.5, 1.5): 3.0, (1.5, 7): 8.5,
        (7, 0): 7, (7, 3): 10, (7, 1.5): 8.5, (7, 7): 14,
    },
    "-=": {
        (0, 0): 0, (0, 3): -3, (0, 1.5): -1.5, (0, 7): -7,
        (3, 0): 3, (3, 3): 0, (3, 1.5): 1.5, (3, 7): -4,
        (1.5, 0): 1.5, (1.5, 3): -1.5, (1.5, 1.5): 0.0, (1.5, 7): -5.5,
        (7, 0): 7, (7, 3): 4, (7, 1.5): 5.5, (7, 7): 0,
    },
    "*=": {
        (0, 0): 0, (0, 3): 0, (0, 1.5): 0.0, (0, 7): 0,
        (3, 0): 0, (3, 3): 9, (3, 1.5): 4.5, (3, 7): 21,
        (1.5, 0): 0.0, (1.5, 3): 4.5, (1.5, 1.5): 2.25, (1.5, 7): 10.5,
        (7, 0): 0, (7, 3): 21, (7, 1.5): 10.5, (7, 7): 49,
    },
    "/=": {
        (0, 3): 0.0, (0, 1.5): 0.0, (0, 7): 0.0,
        (3, 3): 1.0, (3, 1.5): 2.0, (3, 7): 3 / 7,
        (1.5, 3): 0.5, (1.5, 1.5): 1.0, (1.5, 7): 1.5 / 7,
        (7, 3): 7 / 3, (7, 1.5): 7 / 1.5, (7, 7): 1.0,
    },
}  # fmt: skip


def no_list(value: Given) -> Refused:
    return Refused(f"expected a list, got {value.kind}")


def appended(old: Given, operand: Given) -> Any:
    if old.kind not in ("array", "null"):
        return no_list(old)
    return [*(old.value or []), operand.value]


def extended(old: Given, operand: Given) -> Any:
    for side in (old, operand):
        if side.kind not in ("array", "null"):
            return no_list(side)
    return [*(old.value or []), *(operand.value or [])]


def shortened(old: Given, kept: slice) -> Any:
    return list(old.value or [])[kept] if old.kind in ("array", "null") else no_list(old)


def calculated(operation: str, old: Given, operand: Given) -> Any:
    numbers: list[float] = []
    for side in (old, operand):
        if side is old and old.kind == "null":
            numbers.append(0)  # nothing counts as zero
        elif side.name in NUMBERS:
            numbers.append(NUMBERS[side.name])
        else:
            return Refused(f"expected a number, got {side.kind}")
    if operation == "/=" and numbers[1] == 0:
        return Refused("division by zero")
    return ARITHMETIC[operation][numbers[0], numbers[1]]


def assigned(old: Given, operand: Given, *, constant: bool) -> Any:
    if not constant or operand.kind != "string":
        return operand.value
    # the editor keeps constants as text: what was there says how they are read
    if old.kind in ("object", "array", "file"):
        parsed = {"numeric text": 7, "list text": [5]}
        return parsed.get(operand.name, Refused("the constant is no valid JSON"))
    if old.kind == "number":
        wrong = Refused("expected a number, got string")
        return NUMBERS.get(operand.name, wrong)
    return operand.value


def dify_outcome(operation: str, old: Given, operand: Given, *, constant: bool) -> Any:
    match operation:
        case "over-write" | "set":
            return assigned(old, operand, constant=constant)
        case "clear":
            return EMPTY.get(old.kind)
        case "append":
            return appended(old, operand)
        case "extend":
            return extended(old, operand)
        case "remove-first":
            return shortened(old, slice(1, None))
        case "remove-last":
            return shortened(old, slice(0, -1))
        case _:
            return calculated(operation, old, operand)


OPERATIONS = (
    "over-write", "set", "clear", "append", "extend", "remove-first", "remove-last",
    "+=", "-=", "*=", "/=",
)  # fmt: skip


@pytest.mark.parametrize("input_type", ["constant", "variable"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_of_dify_does_what_its_table_says_for_every_pair_of_kinds(
    operation: str, input_type: str
) -> None:
    for old, operand in PAIRS:
        expected = dify_outcome(
            operation,
            Given(old, KINDS[old]),
            Given(operand, KINDS[operand]),
            constant=input_type == "constant",
        )
        found = dify(operation, input_type, KINDS[old], KINDS[operand])
        if isinstance(expected, Refused):
            expected = Refused(f"Type error: {operation} conversation.v: {expected.problem}")
        assert same(found, expected), (old, operand, found, expected)


def dify(operation: str, input_type: str, old: Any, operand: Any) -> Any:
    before = copy.deepcopy((old, operand))
    value = operand if input_type == "constant" else ["x", "operand"]
    item = {
        "variable_selector": ["conversation", "v"],
        "operation": operation,
        "input_type": input_type,
        "value": value,
    }
    values = pool(conversation={"v": old}, x={"operand": operand})
    drawn = node("assigner", "dify", items=[item])
    try:
        (write,) = Assigner().run(drawn, values).writes
    except NodeError as error:
        assert error.failure.code == "type_error"  # noqa: PT017
        return Refused(str(error))
    assert (old, operand) == before  # values of a pool are never changed
    assert write.selector == ("conversation", "v")
    return write.value


def same(one: Any, other: Any) -> bool:
    """Equal, and alike in every type: 3 is not 3.0, and true is not 1."""
    if isinstance(one, Refused) or isinstance(other, Refused):
        return type(one) is type(other) and one == other
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# ---- the native modes


SHOWN: dict[str, Callable[[Any], str]] = {
    "null": lambda _: "",
    "string": lambda value: value,
    "number": lambda value: "1.5" if value == 1.5 else str(value),
    "boolean": lambda value: "true" if value else "false",
    "array": lambda value: "[]" if value == [] else '[1,"x"]',
    "object": lambda value: '{"k":[1]}' if value else "{}",
    "file": lambda _: '{"dify_model_identity":"__dify__file__","name":"a.txt"}',
}


def native_outcome(mode: str, old: Given, value: Given) -> Any:
    if mode == "overwrite":
        return value.value
    if mode == "clear":
        return None
    match old.kind:
        case "null":
            return [value.value]
        case "array":
            return [*old.value, value.value]
        case "string":
            return old.value + SHOWN[value.kind](value.value)
        case _:
            return [old.value, value.value]


@pytest.mark.parametrize("source", ["value", "input_variable_selector"])
@pytest.mark.parametrize("mode", ["overwrite", "append", "clear"])
def test_a_native_mode_does_what_its_table_says_for_every_pair_of_kinds(
    mode: str, source: str
) -> None:
    for old, value in PAIRS:
        expected = native_outcome(mode, Given(old, KINDS[old]), Given(value, KINDS[value]))
        found = native(mode, source, KINDS[old], KINDS[value])
        assert same(found, expected), (old, value, found, expected)


def native(mode: str, source: str, old: Any, value: Any) -> Any:
    before = copy.deepcopy((old, value))
    given = value if source == "value" else ["x", "operand"]
    drawn = node(
        "assigner",
        "native",
        assigned_variable_selector=["conversation", "v"],
        write_mode=mode,
        **{source: given},
    )
    result = Assigner().run(drawn, pool(conversation={"v": old}, x={"operand": value}))
    assert (old, value) == before
    assert result.outputs["output"] == result.writes[0].value
    return result.writes[0].value


# ---- constants at the edges of what a pool can hold


@pytest.mark.parametrize(
    ("old", "text", "expected"),
    [
        ({}, '{"n": 9223372036854775808}', {"n": 9223372036854775808.0}),
        ({}, "[" * 100_000, Refused("the constant is no valid JSON")),
        ({}, '{"a": 1, "a": 2}', Refused("the constant is no valid JSON")),
        ([], '["\\ud800"]', Refused("the constant is no valid JSON")),
        (1, "9223372036854775808", 9223372036854775808.0),
        (1, "-9223372036854775808", -9223372036854775808),
        (1, "9" * 400, Refused("expected a number, got string")),
        (1, "9" * 5000, Refused("expected a number, got string")),
        (1, "1e999", Refused("expected a number, got string")),
        (1, "nan", Refused("expected a number, got string")),
        (1, "1_000", Refused("expected a number, got string")),
    ],
)
def test_a_constant_becomes_a_value_that_every_reader_can_hold(
    old: Any, text: str, expected: Any
) -> None:
    if isinstance(expected, Refused):
        expected = Refused(f"Type error: set conversation.v: {expected.problem}")
    found = dify("set", "constant", old, text)
    assert same(found, expected), found


def test_a_constant_holds_no_number_that_json_cannot() -> None:
    found = dify("set", "constant", {}, '{"a": NaN, "b": 1e999}')
    assert found == {"a": "NaN", "b": "1e999"}  # as the loader reads them


@pytest.mark.parametrize(
    ("old", "operation", "operand", "expected"),
    [
        (2**62, "*=", 2, float(2**63)),
        (-(2**62), "*=", 2, -(2**63)),
        (2**63 - 1, "+=", 1, float(2**63)),
        (10**18, "/=", 10, 1e17),
        (1e308, "+=", 1e308, Refused("the result is too large")),
        (1e308, "*=", "1e308", Refused("the result is too large")),
        (1, "/=", 5e-324, Refused("the result is too large")),
        (1, "/=", -0.0, Refused("division by zero")),
    ],
)
def test_arithmetic_stays_within_what_json_can_hold(
    old: Any, operation: str, operand: Any, expected: Any
) -> None:
    if isinstance(expected, Refused):
        expected = Refused(f"Type error: {operation} conversation.v: {expected.problem}")
    found = dify(operation, "variable", old, operand)
    assert same(found, expected), found
