"""Callbacks of scripts: streams are played to them piece by piece (spec/runtime.md 2.6)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence

import pytest

from tests.runtime_group.sandbox.conftest import PATIENT
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, JsRuntime, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

Play = Callable[..., Awaitable[CodeResult]]


@pytest.fixture
async def play(pool: DefaultSandboxPool) -> AsyncIterator[Play]:
    vm: JsRuntime

    async def run(
        code: str, limits: SandboxLimits = PATIENT, **streams: Sequence[str]
    ) -> CodeResult:
        inputs: Mapping[str, str] = {name: "".join(pieces) for name, pieces in streams.items()}
        return await vm.execute(code, {**inputs, "plain": 7}, limits, streams=streams)

    async with pool.js_vm() as lent:
        vm = lent
        yield run


async def test_each_piece_is_heard_and_then_the_end(play: Play) -> None:
    code = """function main(inputs) {
        let result = "";
        inputs.text.on_chunk((chunk) => { result += chunk.toUpperCase(); return result; })
            .on_end((whole) => whole + "!").on_error(() => "never");
        return { early: result, plain: inputs.plain };
    }"""
    result = await play(code, text=["abc", "", "def"])
    assert result.value == {"early": "", "plain": 7}
    assert result.chunks == ("ABC", "ABC", "ABCDEF", "abcdef!")


async def test_nothing_and_null_are_no_chunks(play: Play) -> None:
    code = """function main({text}) {
        text.on_chunk((chunk) => chunk === "a" ? null : chunk === "b" ? undefined : 0)
    }"""
    result = await play(code, text=["a", "b", "c"])
    assert (result.value, result.chunks) == (None, (0,))


async def test_streams_are_played_one_after_another(play: Play) -> None:
    code = """function main({a, b}) { for (const one of [b, a]) one.on_chunk((c) => c) }"""
    assert (await play(code, a=["1", "2"], b=["3"])).chunks == ("1", "2", "3")


@pytest.mark.parametrize("listen", ["", "inputs.text.on_end && inputs.text.on_end(() => 1);"])
async def test_a_script_that_asks_for_no_pieces_runs_again_with_the_whole(
    play: Play, listen: str
) -> None:
    code = f"""let runs = 0;
    function main(inputs) {{
        {listen}
        console.log(typeof inputs.text); return [inputs.text, ++runs];
    }}"""
    result = await play(code, text=["a", "b"])
    assert result.value == ["ab", 2]
    assert result.chunks is None
    assert result.stdout == "string"


async def test_main_and_callbacks_may_be_asynchronous(play: Play) -> None:
    code = """async function main({text}) {
        await null; text.on_chunk(async (chunk) => { await null; return chunk + "?" }); return 1;
    }"""
    result = await play(code, text=["a"])
    assert (result.value, result.chunks) == (1, ("a?",))


@pytest.mark.parametrize(
    "body",
    [
        "throw new Error('boom')",
        "text.on_chunk(() => { throw new Error('boom') })",
        "text.on_chunk(() => 1).on_end(() => { throw new Error('boom') })",
    ],
)
async def test_what_is_thrown_fails_the_script(play: Play, body: str) -> None:
    with pytest.raises(SandboxError, match="Execution error: Error: boom"):
        await play(f"function main({{text}}) {{ {body} }}", text=["a"])


async def test_what_callbacks_give_counts_as_output(play: Play) -> None:
    code = "function main({text}) { text.on_chunk((chunk) => chunk.repeat(400)) }"
    with pytest.raises(SandboxError, match="Output too large"):
        await play(code, SandboxLimits(timeout_secs=20, max_output_bytes=1000), text=["a"] * 3)
