"""JavaScript: how ``main`` is called, what comes back, and every error of spec/runtime.md 2.6."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits

Run = Callable[..., Awaitable[CodeResult]]

SHORT = SandboxLimits(timeout_secs=0.3)


@pytest.mark.parametrize(
    "code",
    [
        "function main(inputs) { return inputs.a + inputs.b }",
        "function main({a, b}) { return a + b }",
        "const main = ({a, b}) => a + b",
        "let main = function (inputs) { return inputs.a + inputs.b };",
        "var main = async ({a, b}) => { await null; return a + b }",
        "async function main({a, b}) { await new Promise(r => setTimeout(r, 1)); return a + b }",
        "class Adder { add(a, b) { return a + b } }\nconst main = i => new Adder().add(i.a, i.b)",
        "function main(i) { return { then(done) { done(i.a + i.b) } } }",
        "function main({a, b}) { return a + b } // a comment without an end of line",
    ],
)
async def test_main_is_called_with_the_inputs_however_it_is_written(run_js: Run, code: str) -> None:
    assert (await run_js(code, {"a": 40, "b": 2})).value == 42


async def test_results_come_back_as_pool_values(run_js: Run) -> None:
    code = """function main() { return {
        whole: 20.0, half: 0.5, nan: NaN, infinite: Infinity, big: 2 ** 70, missing: undefined,
        list: [undefined, null, true], text: "é😀", broken: "\\ud83d", date: new Date(0),
    } }"""
    value = (await run_js(code)).value
    assert value == {
        "whole": 20,
        "half": 0.5,
        "nan": None,
        "infinite": None,
        "big": float(2**70),
        "list": [None, None, True],
        "text": "é😀",
        "broken": "\ufffd",
        "date": "1970-01-01T00:00:00.000Z",
    }
    assert isinstance(value["whole"], int)
    assert isinstance(value["big"], float)


@pytest.mark.parametrize("body", ["", "return undefined", "return () => 1", "return NaN"])
async def test_a_result_that_json_lacks_is_null(run_js: Run, body: str) -> None:
    assert (await run_js(f"function main() {{ {body} }}")).value is None


async def test_inputs_arrive_unchanged(run_js: Run) -> None:
    inputs: dict[str, JsonValue] = {
        "q": "\"'`\\ \u2028 </script> ${x} é😀",
        "n": -1.5,
        "o": {"l": [1, None, {}]},
    }
    assert (await run_js("const main = inputs => inputs", inputs)).value == inputs


async def test_the_console_is_captured_line_by_line(run_js: Run) -> None:
    code = """console.log('top');
    function main() { console.log('a', {b: [1]}, 2, null); console.warn('w'); console.error(); }"""
    assert (await run_js(code)).stdout == 'top\na {"b":[1]} 2 null\nw\n'


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("function main( {", "compilation_error", "Compilation error: SyntaxError: "),
        ("function main() { return 1 } /*", "compilation_error", "Compilation error: SyntaxError"),
        ("}); function main() { return 1", "compilation_error", "Compilation error: SyntaxError"),
        ("const x = 1", "execution_error", "Execution error: the code defines no function main"),
        ("const main = 1", "execution_error", "Execution error: the code defines no function main"),
        ("throw new Error('top')", "execution_error", "Execution error: Error: top (line 1)"),
        (
            "function main() { throw new RangeError('boom') }",
            "execution_error",
            "Execution error: RangeError: boom",
        ),
        ("function main() { throw {code: 7} }", "execution_error", 'Execution error: {"code":7}'),
        ("async function main() { throw 'late' }", "execution_error", "Execution error: late"),
        (
            "function main() { return main() }",
            "execution_error",
            "Execution error: RangeError: Max",
        ),
        ("function main() { return 1n }", "execution_error", "Execution error: TypeError: "),
        (
            "function main() { const o = {}; o.o = o; return o }",
            "execution_error",
            "Execution error: TypeError: Converting circular",
        ),
        (
            "function main() { let x = []; for (let i = 0; i < 300; i++) x = [x]; return x }",
            "execution_error",
            "Execution error: the result is nested too deeply",
        ),
    ],
)
async def test_a_faulty_script_fails_with_the_text_of_its_fault(
    run_js: Run, code: str, kind: str, text: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        await run_js(code)
    assert caught.value.code == f"sandbox_{kind}"
    assert str(caught.value).startswith(text)
    assert not caught.value.failure.retryable


@pytest.mark.parametrize(
    "code",
    [
        "while (true) {}",
        "function main() { for (;;); }",
        "function main() { return /(a+)+$/.test('a'.repeat(60) + 'b') }",
        "async function main() { while (true) await null }",
        "function main() { return new Promise(() => {}) }",
    ],
)
async def test_a_script_that_does_not_end_is_killed(run_js: Run, code: str) -> None:
    with pytest.raises(SandboxError, match=r"^Execution timeout$") as caught:
        await run_js(code, limits=SHORT)
    assert caught.value.code == "sandbox_timeout"
    assert caught.value.failure.retryable
    assert (await run_js("const main = () => 'next'")).value == "next"


@pytest.mark.parametrize(
    "code",
    [
        "function main() { return new Array(1e9).fill(0).length }",
        "function main() { const l = []; for (;;) l.push({a: [1, 2, 3]}) }",
        "function main() { const l = []; for (;;) l.push(new Uint8Array(1e7).fill(1)) }",
        "async function main() { const l = []; await null; for (;;) l.push({a: [1, 2, 3]}) }",
        "function main() { let s = 'x'; const l = []; for (;;) l.push((s += 'y').split('')) }",
    ],
)
async def test_a_memory_eater_is_stopped(run_js: Run, code: str) -> None:
    with pytest.raises(SandboxError, match=r"^Memory limit exceeded$") as caught:
        await run_js(code)
    assert caught.value.code == "sandbox_memory_limit"
    assert (await run_js("const main = () => 'next'")).value == "next"


async def test_sizes_of_code_input_and_output_are_limited_to_the_byte(run_js: Run) -> None:
    code = "function main(i) { return i.t + i.t }"
    inputs = {"t": "ééé"}
    exact = SandboxLimits(max_code_bytes=len(code), max_input_bytes=14, max_output_bytes=14)
    assert (await run_js(code, inputs, exact)).value == "éééééé"
    for field, size, kind in (
        ("code", 37, "execution_error"),
        ("input", 14, "memory_limit"),
        ("output", 14, "memory_limit"),
    ):
        tight = SandboxLimits(**dict[str, Any]({f"max_{field}_bytes": size - 1}))
        with pytest.raises(SandboxError) as caught:
            await run_js(code, inputs, tight)
        name = field.capitalize()
        assert str(caught.value) == f"{name} too large (max {size - 1} bytes, got {size} bytes)"
        assert caught.value.code == f"sandbox_{kind}"


async def test_a_flood_of_output_is_cut(run_js: Run) -> None:
    code = "function main() { for (let i = 0; i < 1e6; i++) console.log('xxxxxxxxx'); return 1 }"
    result = await run_js(code, limits=SandboxLimits(max_output_bytes=1000))
    assert result.value == 1
    assert len(result.stdout) == 1000


async def test_values_that_json_cannot_hold_are_refused_as_inputs(run_js: Run) -> None:
    with pytest.raises(SandboxError, match=r"^Serialization error: "):
        await run_js("const main = i => i", {"n": float("nan")})


async def test_scripts_see_no_way_out(run_js: Run) -> None:
    names = ["process", "require", "WebAssembly", "Atomics", "SharedArrayBuffer", "fetch"]
    code = f"const main = () => {names}.filter(name => typeof globalThis[name] !== 'undefined')"
    assert (await run_js(code)).value == []


async def test_built_ins_may_be_shadowed(run_js: Run) -> None:
    code = "const crypto = 1; let datetime = 2; function btoa() { return 3 }; var random = 4;"
    code += "class console {}; const main = () => [crypto, datetime, btoa(), random]"
    assert (await run_js(code)).value == [1, 2, 3, 4]


async def test_nothing_passes_from_one_use_to_the_next(run_js: Run) -> None:
    spoiler = """
    globalThis.leak = 1; var leak2 = 2; Object.prototype.leak3 = 3;
    JSON.stringify = () => '"forged"';
    function main() {
        setTimeout(() => { for (;;); }, 0); console.log('noise');
        Promise.prototype.then = Array.prototype.map = String = null;
        return 1;
    }"""
    assert (await run_js(spoiler)).value == 1
    clean = await run_js("""function main() { return [
        typeof leak, typeof leak2, typeof {}.leak3, [1].map(x => x), JSON.stringify(1), String(2)
    ] }""")
    assert clean.value == ["undefined", "undefined", "undefined", [1], "1", "2"]
    assert clean.stdout == ""


@pytest.mark.parametrize("sign", ["\\u0001", "\\u00e9", "\\u4e00"])
async def test_a_flood_of_signs_that_json_writes_long_is_cut_too(run_js: Run, sign: str) -> None:
    prints = f"for (let i = 0; i < 40; i++) console.log('{sign}'.repeat(30000));"
    result = await run_js(f"function main() {{ {prints} return 1 }}")
    assert result.value == 1
    assert 1_000_000 < len(result.stdout) <= 1024 * 1024
