"""The code node around its sandbox; the sandboxes have tests of their own."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.nodes.conftest import FakeSandbox, node, pool, ports
from xworkflow.domain.streams import CHUNKS
from xworkflow.errors import NodeError
from xworkflow.nodes.base import CrossedValues
from xworkflow.nodes.code import Code
from xworkflow.ports import SandboxLimits


async def outputs(returned: Any, dialect: Any = "native", **data: Any) -> dict[str, Any]:
    drawn = node("code", dialect, **({"code": "c"} | data))
    return (await Code().execute(drawn, pool(), ports(FakeSandbox(returned)))).outputs


@pytest.mark.parametrize(
    ("returned", "mapped"),
    [
        ({"a": 1, "b": [2]}, {"a": 1, "b": [2]}),
        (42, {"result": 42}),
        ([1], {"result": [1]}),
        (None, {"result": None}),
    ],
)
async def test_a_return_value_becomes_outputs(returned: Any, mapped: dict[str, Any]) -> None:
    assert await outputs(returned) == mapped


async def test_an_output_variable_takes_the_whole_value() -> None:
    assert await outputs({"a": 1}, output_variable="all") == {"all": {"a": 1}}


@pytest.mark.parametrize(
    ("language", "vm"),
    [
        ("javascript", "js"), ("js", "js"), ("javascript3", "js"),
        ("typescript", "js"), ("ts", "js"),
        ("python", "python"), ("python3", "python"), ("wasm", "wasm"),
    ],
)  # fmt: skip
async def test_each_language_runs_in_its_own_vm_which_is_given_back(language: str, vm: str) -> None:
    sandbox = FakeSandbox({"a": 1})
    await Code().execute(node("code", code="c", language=language), pool(), ports(sandbox))
    assert [name for name, made in sandbox.vms.items() if made.calls] == [vm]
    assert sandbox.returned == [vm]


@pytest.mark.parametrize("language", ["lua", "ruby"])
async def test_another_language_is_a_config_error(language: str) -> None:
    with pytest.raises(
        NodeError, match=f"Configuration error: Unsupported code language: {language}"
    ):
        await outputs(1, language=language)


@pytest.mark.parametrize(
    ("language", "typescript"), [("ts", True), ("typescript", True), ("js", False)]
)
async def test_types_are_stripped_from_typescript_alone(language: str, typescript: bool) -> None:
    sandbox = FakeSandbox({"a": 1})
    await Code().execute(node("code", code="c", language=language), pool(), ports(sandbox))
    assert sandbox.vms["js"].typescript is typescript
    found = [each.code for each in Code().check(node("code", code="c", language=language))]
    assert found == ([] if typescript else ["E208"])


async def test_inputs_override_variables_of_the_same_name() -> None:
    sandbox = FakeSandbox()
    drawn = node(
        "code",
        code="c",
        variables=[
            {"variable": "a", "value_selector": ["x", "v"]},
            {"variable": "b", "value_selector": ["x", "gone"]},
        ],
        inputs={"a": ["x", "w"], "c": "x.v"},
    )
    result = await Code().execute(drawn, pool(x={"v": 1, "w": 2}), ports(sandbox))
    (_, inputs, _) = sandbox.vms["js"].calls[0]
    assert inputs == result.inputs == {"a": 2, "b": None, "c": 1}
    assert result.metadata == {"stdout": "printed"}


@pytest.mark.parametrize(("drawn", "used"), [({}, 30), ({"timeout": 2}, 2), ({"timeout": 0}, 30)])
async def test_the_time_limit_is_the_drawn_one(drawn: dict[str, Any], used: float) -> None:
    sandbox = FakeSandbox()
    limits = SandboxLimits(timeout_secs=99, max_output_bytes=7)
    lent = ports(sandbox, sandbox_limits=limits)
    await Code().execute(node("code", code="c", **drawn), pool(), lent)
    taken = sandbox.vms["js"].calls[0][2]
    assert (taken.timeout_secs, taken.max_output_bytes) == (used, 7)


def test_a_negative_time_limit_is_refused() -> None:
    with pytest.raises(ValidationError):
        node("code", code="c", timeout=-1)


def spec(declared: str, **more: Any) -> dict[str, Any]:
    return {"v": {"type": declared, **more}}


PASSING: list[tuple[Any, Any]] = [
    (spec("string"), "a"),
    (spec("string"), None),
    (spec("number"), 1.5),
    (spec("boolean"), False),
    (spec("object"), {"a": 1}),
    (spec("array[string]"), ["a"] * 30),
    (spec("array[number]"), [1] * 1000),
    (spec("array[object]"), [{}]),
    (spec("array[boolean]"), [True]),
    (spec("object", children={"a": {"type": "number"}}), {"a": 1}),
    (spec("object"), {"a": {"b": [{"c": 1}]}}),
    (spec("some-new-type"), 1),
]


@pytest.mark.parametrize(("declared", "value"), PASSING)
async def test_a_declared_output_of_its_type_passes(declared: dict[str, Any], value: Any) -> None:
    assert await outputs({"v": value, "more": 1}, "dify", outputs=declared) == {"v": value}


FAILING: list[tuple[Any, Any, str]] = [
    (spec("string"), {}, "v is missing"),
    (spec("string"), {"v": 1}, "v must be a string, not number"),
    (spec("number"), {"v": "1"}, "v must be a number, not string"),
    (spec("number"), {"v": True}, "v must be a number, not boolean"),
    (spec("object"), {"v": []}, "v must be a object, not array"),
    (spec("array[string]"), {"v": "a"}, "v must be an array[string], not string"),
    (spec("array[string]"), {"v": ["a", 1]}, "v[1] must be a string, not number"),
    (spec("array[string]"), {"v": ["a"] * 31}, "v has more than 30 items"),
    (spec("array[object]"), {"v": [{}] * 31}, "v has more than 30 items"),
    (spec("array[number]"), {"v": [1] * 1001}, "v has more than 1000 items"),
    (spec("string"), {"v": "a" * 400_001}, "v is longer than 400000 characters"),
    (
        spec("object", children={"a": {"type": "number"}}),
        {"v": {"a": "1"}},
        "v.a must be a number, not string",
    ),
    (spec("object"), {"v": {"a": {"b": [{"c": {}}]}}}, "v is nested deeper"),
    (spec("string"), "text", "main must return an object, not string"),
]


@pytest.mark.parametrize(("declared", "returned", "problem"), FAILING)
async def test_a_declared_output_that_does_not_fit_fails_the_node(
    declared: dict[str, Any], returned: Any, problem: str
) -> None:
    with pytest.raises(NodeError) as caught:
        await outputs(returned, "dify", outputs=declared)
    assert caught.value.failure.code == "output_validation_error"
    assert problem in str(caught.value)


async def test_declared_outputs_are_ignored_in_the_native_dialect() -> None:
    assert await outputs({"w": 1}, outputs=spec("string")) == {"w": 1}


async def test_every_wrong_output_is_named() -> None:
    declared = {"a": {"type": "string"}, "b": {"type": "string"}}
    with pytest.raises(NodeError, match=r"a is missing; b must be a string"):
        await outputs({"b": 1}, "dify", outputs=declared)


# --- callbacks


LISTENS = "inputs.text.on_chunk(...)"
TEXT = pool(llm={"text": "abc", CHUNKS: {"text": [1, 2]}}, start={"q": "plain", CHUNKS: {"q": [5]}})
BOUND = [
    {"variable": "text", "value_selector": ["llm", "text"]},
    {"variable": "none", "value_selector": ["llm", "none"]},
]


async def heard(dialect: Any = "native", **data: Any) -> Any:
    """The pieces that cross to the sandbox, reading nothing but what the node says it reads."""
    drawn = node("code", dialect, **({"code": LISTENS, "variables": BOUND} | data))
    selectors = [s for _, s in Code().selectors(drawn)] + list(Code().hidden_reads(drawn))
    sandbox = FakeSandbox({})
    values = CrossedValues({selector: TEXT.get(selector) for selector in selectors})
    await Code().execute(drawn, values, ports(sandbox))
    (streams,) = [found for vm in sandbox.vms.values() for found in vm.streams]
    return streams


async def test_the_pieces_of_an_input_cross_to_a_script_that_listens() -> None:
    assert await heard() == {"text": ("a", "bc")}
    first = await heard(inputs={"z": "start.q", "text": "llm.text"})
    assert list(first) == ["text", "z"], "in the order of the drawing"


async def test_pieces_cross_to_nobody_else() -> None:
    assert await heard(code="function main({text}) { return text }") is None
    assert await heard("dify") is None
    assert await heard(language="python3") is None
    assert await heard(variables=BOUND[1:]) is None


async def returned_with(*chunks: Any, **data: Any) -> dict[str, Any]:
    sandbox = FakeSandbox("")
    sandbox.vms["js"].chunks = chunks
    drawn = node("code", code=LISTENS, variables=BOUND, **data)
    return (await Code().execute(drawn, TEXT, ports(sandbox))).outputs


async def test_what_callbacks_give_last_is_one_more_output() -> None:
    assert await returned_with("A", "AB", "AB") == {"result": "", "output": "AB"}
    assert await returned_with(1, {"n": 2}) == {"result": "", "output": {"n": 2}}
    assert await returned_with("A", output_variable="own") == {
        "own": "",
        "output": "A",
        CHUNKS: {"output": [1]},
    }


async def test_callbacks_that_give_nothing_make_a_null() -> None:
    assert await returned_with() == {"result": "", "output": None}
