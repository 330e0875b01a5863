"""Laws of conversions: what is declared, typed as text or filled into a form, against an oracle.

The oracle is plain Python written from spec/graph.md 3.4 and 3.5 and spec/dify.md E1 and E2; it
asks none of the code under test.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.nodes.conftest import node, pool
from tests.properties.graphs import LAWS
from xworkflow.domain.loading.typed_values import TypedValueError, typed
from xworkflow.domain.values import coerce_declared
from xworkflow.errors import NodeError
from xworkflow.nodes.code_outputs import OutputSpec, declared
from xworkflow.nodes.start import Start, StartVariable, check_inputs

MARK = {"dify_model_identity": "__dify__file__"}
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
NUMBER = st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False, allow_infinity=False)
SCALAR = st.none() | st.booleans() | NUMBER | TEXT
JSON = st.recursive(
    SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=6,
)
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "name": TEXT | st.sampled_from(["a.txt", "b.tar.gz", ".", "x."]) | st.integers(),
    "size": st.integers(0, 9) | st.floats(0, 9) | st.booleans() | TEXT,
    "mime_type": st.sampled_from(["text/plain", "", 5]),
    "transfer_method": st.sampled_from(
        ["remote_url", "local_file", "tool_file", "internal_storage", "pigeon", None]
    ),
    "id": st.none() | TEXT | st.integers(),
    "url": st.none() | TEXT | st.lists(TEXT, max_size=1),
    "extension": st.none() | st.sampled_from([".md", 1]),
    "hash": st.none() | TEXT | st.booleans(),
    "last_modified": SCALAR,
    "extra": st.none() | st.dictionaries(TEXT, SCALAR, max_size=1) | TEXT,
    "own": SCALAR,
}
FILES = st.fixed_dictionaries({}, optional=FIELDS)
GIVEN = JSON | FILES | st.lists(FILES, max_size=3) | st.lists(FILES | JSON, max_size=2)


def is_a(value: Any, *kinds: type) -> bool:
    """Of one of the kinds itself: true is no integer here."""
    return type(value) in kinds


def same(one: Any, other: Any) -> bool:
    """Equal, and alike in every type: 3 is not 3.0, and true is not 1."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


# ---- files: spec/graph.md 3.4, 3.5


def fits(value: Any) -> bool:
    """Whether an object is a file as 3.5 says it; without ``type`` it is none of Dify's API."""
    if not is_a(value, dict):
        return False
    texts = ("name", "mime_type", "transfer_method")
    if any(key in value and not is_a(value[key], str) for key in texts):
        return False
    if "size" in value and not is_a(value["size"], int):
        return False
    methods = {"remote_url", "local_file", "tool_file", "internal_storage"}
    if value.get("transfer_method", "remote_url") not in methods:
        return False
    optional = ("id", "url", "extension", "hash")
    if any(not is_a(value.get(key), str, type(None)) for key in optional):
        return False
    return is_a(value.get("extra"), dict, type(None))


def file_of(value: dict[str, Any]) -> dict[str, Any]:
    """The file: defaults for what is absent, the suffix for the extension, unknown keys kept."""
    file: dict[str, Any] = {
        "name": "",
        "size": 0,
        "mime_type": "application/octet-stream",
        "transfer_method": "remote_url",
        **value,
    }
    if value.get("extension") is None and (suffix := re.search(r"\.[^.]*$", file["name"])):
        file["extension"] = suffix[0]
    return {**file, **MARK}


def converted(value: Any, declared_type: str) -> Any:
    if declared_type == "file" and fits(value):
        return file_of(value)
    if declared_type in ("array[file]", "file-list") and is_a(value, list):
        return [file_of(item) for item in value] if all(map(fits, value)) else value
    return value


NATIVE_TYPES = (
    "string", "number", "boolean", "object", "array[string]", "array[number]", "array[object]",
    "file", "array[file]",
)  # fmt: skip


@LAWS
@given(value=GIVEN, declared_type=st.sampled_from(NATIVE_TYPES))
def test_a_declared_type_converts_files_and_nothing_else(value: Any, declared_type: str) -> None:
    assert same(coerce_declared(value, declared_type), converted(value, declared_type))


@LAWS
@given(value=GIVEN, declared_type=st.sampled_from(NATIVE_TYPES))
def test_a_conversion_is_done_once_and_leaves_what_was_given_as_it_was(
    value: Any, declared_type: str
) -> None:
    before = json.dumps(value)
    once = coerce_declared(value, declared_type)
    assert same(coerce_declared(once, declared_type), once)
    assert json.dumps(value) == before


# ---- start inputs


def start(dialect: Any, drawn: dict[str, Any], value: Any) -> Any:
    """What a start node makes of an input, and whether its rules have told of it before."""
    variable = {"variable": "v", **drawn}
    problems = check_inputs([StartVariable.model_validate(variable)], {"v": value}, dialect)
    try:
        result = Start().run(node("start", dialect, variables=[variable]), pool(n={"v": value}))
    except NodeError as error:
        assert error.failure.code == "input_validation_error"  # noqa: PT017
        assert str(error) == f"Input validation error: {'; '.join(problems)}"  # noqa: PT017
        return problems
    assert problems == ()
    return result.outputs["v"]


@LAWS
@given(value=GIVEN, drawn_type=st.sampled_from(NATIVE_TYPES), required=st.booleans())
def test_the_native_start_node_takes_any_value_that_is_there(
    value: Any, drawn_type: str, required: bool
) -> None:
    found = start("native", {"type": drawn_type, "required": required}, value)
    if value is None and required:
        assert found == ("input 'v' is required",)
    else:
        assert same(found, converted(value, drawn_type))


NUMERIC_TEXT = st.from_regex(r"\A *[-+]?[0-9]{1,25}(\.[0-9]{0,5})?([eE][-+]?[0-9]{1,3})? *\Z")
ODD_TEXT = st.sampled_from(
    ["", " ", "1_000", "0x10", "nan", "inf", "-Infinity", "1e999", "9" * 400, "9" * 5000, "1 2",
     "true", "TRUE", " False ", "1", "0", "yes", "{}", '{"a": 1}', "[1]", "{", '{"a": NaN}',
     '{"n": 9223372036854775808}', "[" * 50_000, '{"a":' * 50_000, '"\\ud800"']
)  # fmt: skip
TYPED = GIVEN | NUMERIC_TEXT | ODD_TEXT | NUMBER.map(json.dumps) | JSON.map(json.dumps)

_NUMERIC = re.compile(r"[-+]?(\d+)(\.\d*)?([eE][-+]?\d+)?|[-+]?\.\d+([eE][-+]?\d+)?")
_WRONG = object()


def number_of(text: str) -> Any:
    """The number of a text: whole where it is spelled so and 64 bits hold it."""
    plain = text.strip()
    if not _NUMERIC.fullmatch(plain) or not math.isfinite(float(plain)):
        return _WRONG
    if re.fullmatch(r"[-+]?\d+", plain) and -(2**63) <= int(plain) < 2**63:
        return int(plain)
    return float(plain)


def filled_in(field: str, value: Any) -> Any:
    """What a field of a form holds, ``_WRONG`` where it does not fit (spec/dify.md E2)."""
    match field:
        case "text-input" | "paragraph" | "select":
            return value if isinstance(value, str) else _WRONG
        case "number":
            if is_a(value, str):
                return number_of(value) if value.strip() else None
            return value if is_a(value, int, float) else _WRONG
        case "checkbox":
            known = {"true": True, "1": True, "false": False, "0": False}
            spelled = str(value).strip().lower() if is_a(value, str, int, bool) else ""
            return known.get(spelled, _WRONG)
        case "file":
            return file_of(value) if fits(value) else _WRONG
        case _:
            fitting = is_a(value, list) and all(map(fits, value))
            return list(map(file_of, value)) if fitting else _WRONG


MUST_BE = {
    "text-input": "a text",
    "paragraph": "a text",
    "select": "a text",
    "checkbox": "true or false",
    "file": "a file",
    "file-list": "a list of files",
}


@LAWS
@given(value=TYPED, field=st.sampled_from([*MUST_BE, "number"]))
@example(value="9" * 400, field="number")
@example(value=str(2**63), field="number")
def test_a_field_of_a_form_holds_what_the_oracle_says_or_tells_what_it_wants(
    value: Any, field: str
) -> None:
    found = start("dify", {"type": field}, value)
    expected = None if value is None else filled_in(field, value)
    if expected is not _WRONG:
        assert same(found, expected)
    elif field == "number" and isinstance(value, str):
        assert found == (f"input 'v' must be a number, not '{value}'",)
    else:
        assert found == (f"input 'v' must be {MUST_BE.get(field, 'a number')}",)


@LAWS
@given(value=TYPED)
def test_a_field_of_json_holds_an_object_that_json_can_hold_or_tells_that_it_wants_one(
    value: Any,
) -> None:
    found = start("dify", {"type": "json_object"}, value)
    if isinstance(found, tuple):
        assert found == ("input 'v' must be a JSON object",)
        assert not isinstance(value, dict)
    elif value is None:
        assert found is None
    else:
        assert isinstance(found, dict)
        json.dumps(found, allow_nan=False).encode()
        assert isinstance(value, str) or same(found, value)


@LAWS
@given(value=st.dictionaries(TEXT, JSON, max_size=3))
def test_an_object_and_its_text_are_one_input(value: dict[str, Any]) -> None:
    assert same(start("dify", {"type": "json_object"}, json.dumps(value)), value)


# ---- values that Dify's editor keeps as text


def is_of(declared_type: str, value: Any) -> bool:
    if declared_type in ("number", "integer", "float"):
        return type(value) in (int, float)
    kinds = {"boolean": bool, "object": dict}
    return type(value) is kinds.get(declared_type, list)


DRAWN = ("number", "integer", "float", "boolean", "object", "array", "array[string]", "array[any]")


@LAWS
@given(value=JSON, declared_type=st.sampled_from(DRAWN))
def test_a_value_and_its_json_text_are_one_typed_value(value: Any, declared_type: str) -> None:
    if isinstance(value, str):
        value = [value]
    assert typed(value, declared_type) is value
    text = json.dumps(value)
    if is_of(declared_type, value):
        assert same(typed(text, declared_type), value)
    else:
        with pytest.raises(TypedValueError) as caught:
            typed(text, declared_type)
        assert str(caught.value) == f"'{text[:40]}' is no {declared_type}"


@LAWS
@given(text=NUMERIC_TEXT | ODD_TEXT | TEXT, declared_type=st.sampled_from(DRAWN))
def test_any_text_has_a_value_of_its_type_or_is_told_to_be_none(
    text: str, declared_type: str
) -> None:
    try:
        value = typed(text, declared_type)
    except TypedValueError as error:
        assert str(error) == f"'{text[:40]}' is no {declared_type}"  # noqa: PT017
        return
    assert is_of(declared_type, value)
    json.dumps(value, allow_nan=False).encode()


@LAWS
@given(text=TEXT | NUMERIC_TEXT | ODD_TEXT, declared_type=st.sampled_from(["string", "secret", ""]))
def test_a_text_of_another_type_stays_a_text(text: str, declared_type: str) -> None:
    assert typed(text, declared_type) == text


@pytest.mark.parametrize("text", ["true", "True", "TRUE", " true "])
def test_a_boolean_may_be_spelled_pythons_way(text: str) -> None:
    assert typed(text, "boolean") is True
    assert typed(text.replace("ue", "x").replace("UE", "X").lower().replace("trx", "false"),
                 "boolean") is False  # fmt: skip


# ---- declared outputs of code (spec/dify.md E1)

OUTPUT_TYPES = (
    "string", "number", "boolean", "object", "array[string]", "array[number]", "array[object]",
    "array[boolean]",
)  # fmt: skip
JSON_TYPES = {"string": (str,), "number": (int, float), "boolean": (bool,), "object": (dict,)}
PRINTED = {
    type(None): "null", str: "string", int: "number", float: "number", bool: "boolean",
    list: "array", dict: "object",
}  # fmt: skip


def told(name: str, declared_type: str, value: Any) -> list[str]:
    """The problems of one returned value, as sentences."""
    if value is None:
        return []
    if not declared_type.startswith("array["):
        if type(value) in JSON_TYPES[declared_type]:
            return []
        return [f"{name} must be a {declared_type}, not {PRINTED[type(value)]}"]
    if not is_a(value, list):
        return [f"{name} must be an {declared_type}, not {PRINTED[type(value)]}"]
    item_type = declared_type[6:-1]
    return [
        problem
        for index, item in enumerate(value)
        for problem in told(f"{name}[{index}]", item_type, item)
    ]


SPECS = st.dictionaries(
    st.sampled_from(["a", "b", "c"]), st.sampled_from(OUTPUT_TYPES), min_size=1, max_size=3
)
RETURNED = st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), JSON | st.lists(SCALAR))


def checked(specs: dict[str, Any], returned: dict[str, Any]) -> Any:
    """The outputs; or the problems, in order."""
    models = {name: OutputSpec.model_validate(spec) for name, spec in specs.items()}
    try:
        return declared(models, returned)
    except NodeError as error:
        assert error.failure.code == "output_validation_error"  # noqa: PT017
        return str(error).removeprefix("Output validation error: ").split("; ")


def depth(value: Any) -> int:
    members: Any = value.values() if is_a(value, dict) else value
    return 1 + max(map(depth, members), default=0) if is_a(value, dict, list) else 0


@LAWS
@given(types=SPECS, returned=RETURNED)
def test_declared_outputs_are_those_that_are_of_their_types(
    types: dict[str, str], returned: dict[str, Any]
) -> None:
    problems: list[str] = []
    for name, declared_type in types.items():
        if name not in returned:
            problems.append(f"{name} is missing")
        else:
            value = returned[name]
            problems += told(name, declared_type, value)
            limit = 1000 if declared_type == "array[number]" else 30
            if declared_type.startswith("array[") and is_a(value, list):
                assert len(value) <= limit  # hypothesis makes none that long
    problems += [
        f"{name} is nested deeper than 5 levels"
        for name in types
        if 1 + depth(returned.get(name)) > 5
    ]
    found = checked({name: {"type": each} for name, each in types.items()}, returned)
    assert same(found, problems or {name: returned[name] for name in types})


@LAWS
@given(returned=RETURNED, types=SPECS)
def test_members_of_an_object_are_held_to_their_declarations_too(
    returned: dict[str, Any], types: dict[str, str]
) -> None:
    spec = {"type": "object", "children": {name: {"type": each} for name, each in types.items()}}
    problems = [
        problem
        for name, each in types.items()
        for problem in (
            told(f"o.{name}", each, returned[name])
            if name in returned
            else [f"o.{name} is missing"]
        )
    ]
    if 1 + depth(returned) > 5:
        problems.append("o is nested deeper than 5 levels")
    assert same(checked({"o": spec}, {"o": returned}), problems or {"o": returned})


SIZES: list[tuple[str, Any, str | None]] = [
    ("string", "x" * 400_000, "v is longer than 400000 characters"),
    ("array[string]", ["x"] * 30, "v has more than 30 items"),
    ("array[object]", [{}] * 30, "v has more than 30 items"),
    ("array[boolean]", [True] * 30, "v has more than 30 items"),
    ("array[number]", [1] * 1000, "v has more than 1000 items"),
    ("object", {"k": "x"}, None),
]


@pytest.mark.parametrize(("declared_type", "fitting", "problem"), SIZES)
def test_the_sizes_of_outputs_end_where_difys_do(
    declared_type: str, fitting: Any, problem: str | None
) -> None:
    spec = {"v": {"type": declared_type}}
    assert checked(spec, {"v": fitting}) == {"v": fitting}
    if problem is not None:
        assert checked(spec, {"v": fitting + fitting[:1]}) == [problem]
