"""Scripts that want to harm: each fails with its code in time, and the next script runs at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.runtime_group.sandbox.test_wasm import ECHO, module
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

Run = Callable[..., Awaitable[CodeResult]]

LIMIT = SandboxLimits(timeout_secs=1.0)
TIMEOUT, MEMORY, FAULT = "sandbox_timeout", "sandbox_memory_limit", "sandbox_execution_error"

JAVASCRIPT = {
    "for (;;);": {TIMEOUT},
    "function main() { while (true); }": {TIMEOUT},
    "async function main() { for (;;) await null }": {TIMEOUT},
    "function main() { return new Promise(() => {}) }": {TIMEOUT},
    "function main() { return { then() {} } }": {TIMEOUT},
    "function main() { return /(a+)+$/.test('a'.repeat(60) + 'b') }": {TIMEOUT},
    "function main() { return /^(\\w+\\s?)*$/.test('aaaa '.repeat(30) + '!') }": {TIMEOUT},
    "const spin = () => setTimeout(spin, 0);"
    "const main = () => { spin(); return new Promise(() => 0) }": {TIMEOUT},
    "function main() { return main() }": {FAULT},
    "function main() { const f = () => f(...Array(1000)); return f() }": {FAULT},
    # it takes a second to fill what it may have
    "function main() { return new Array(1e9).fill(0).length }": {MEMORY, TIMEOUT},
    "function main() { return 'x'.repeat(2 ** 28).split('') }": {MEMORY},
    "function main() { return 'x'.repeat(2 ** 30) }": {FAULT},
    "function main() { return 'x'.repeat(2 ** 24) }": {MEMORY},
    "function main() { let s = 'x'; for (;;) s += s }": {FAULT, MEMORY},
    "function main() { const m = new Map(); for (let i = 0; ; i++) m.set(i, [i]) }": {MEMORY},
    "function main() { return new ArrayBuffer(2 ** 40) }": {FAULT},
    "function main() { const l = []; for (;;) l.push(new Uint8Array(1e7).fill(1)) }": {MEMORY},
    "function main() { return 2n ** (10n ** 9n) }": {FAULT, MEMORY, TIMEOUT},
    "function main() { return JSON.parse('['.repeat(1e6)) }": {FAULT, MEMORY},
    "function main() { let o = {}; for (let i = 0; i < 1e5; i++) o = {o}; return o }": {FAULT},
    "async function main() { Promise.reject(1); throw { toString() { throw 1 } } }": {FAULT},
    "function main() { throw null }": {FAULT},
    "function main() { throw Object.create(null) }": {FAULT},
    "const lie = () => { throw 1 };\n"
    "const main = () => { throw new Proxy({}, { get: lie, getPrototypeOf: lie }) }": {FAULT},
    "function main() { const e = new Error('x'); e.toString = () => { for (;;); }; throw e }": {
        TIMEOUT
    },
    "function main() { return { toJSON() { for (;;); } } }": {TIMEOUT},
    "function main() { return { get a() { throw 'late' } } }": {FAULT},
    "function main() { return new Proxy([], { get: () => Infinity }) }": {FAULT, MEMORY, TIMEOUT},
    "Error.prepareStackTrace = () => { for (;;); }; function main() { null.x }": {TIMEOUT, FAULT},
    "function main() { Error.stackTraceLimit = Infinity; return main() }": {FAULT},
    "main = 1; __xworkflow_run({}, 1)": {FAULT},
    "globalThis.JSON = null; Object.prototype.then = f => f(1); function main() { quit() }": {
        FAULT
    },
    # what the host itself calls, changed so that it answers for the script
    "Object.prototype.toJSON = () => ({}); function main() { throw 1 }": {FAULT},
    "Object.prototype.toJSON = () => ({ value: 1, stdout: '', chunks: 5 }); main = () => x": {
        FAULT
    },
    "Object.prototype.toJSON = () => ({ error: 'resource_limit_exceeded' }); main = () => x": {
        FAULT
    },
    "Object.prototype.toJSON = () => ({ error: 'y'.repeat(3e6), text: 'y'.repeat(3e6) });"
    "function main() { throw 1 }": {FAULT, MEMORY},
    "String.prototype.slice = function () { return '' + this };"
    "function main() { throw new Error('x'.repeat(1e6)) }": {FAULT},
    "String.prototype.slice = () => undefined; function main() { return 1 }": {FAULT},
    "function main() { return { then(r) { r(this) } } }": {TIMEOUT},
    "async function main() { const f = () => Promise.resolve().then(f); f();"
    " await new Promise(() => {}) }": {MEMORY, TIMEOUT},
    "const main = () => 1; 10n ** 1000n": {MEMORY},
    "const main = () => 1; 'x'.repeat(5e8)": {MEMORY},
    "function main() { const a = []; a[4294967290] = 1; return a }": {FAULT, MEMORY},
    "function main() { return String.raw({ raw: { length: 1e9 } }) }": {
        FAULT,
        MEMORY,
        TIMEOUT,
    },
    "const spins = { get() { for (;;); } };"
    "function main() { throw Object.defineProperty(new Error, 'message', spins) }": {TIMEOUT},
    "function main() { for (let i = 0; i < 1e7; i++) setTimeout(() => {}, 1e6); return 1 }": {
        MEMORY,
        TIMEOUT,
    },
}
PYTHON = {
    "while True: pass": {TIMEOUT},
    "def main():\n    while True: pass": {TIMEOUT},
    "def main():\n  while True:\n    try:\n      1 / 0\n    except Exception: pass": {TIMEOUT},
    "import time\ndef main():\n    time.sleep(10 ** 6)": {TIMEOUT},
    "import re\ndef main():\n    for _ in range(10 ** 9): re.search('(a|aa)+$', 'a' * 40 + 'b')": {
        TIMEOUT,
        FAULT,
    },
    "def main():\n    while True: print('x' * 10000)": {TIMEOUT},
    "def main():\n    return main()": {FAULT},
    "def main():\n    f = lambda g: g(g)\n    return f(f)": {FAULT},
    "def main():\n    return [0] * 10 ** 9": {MEMORY},
    "def main():\n    return 'x' * 10 ** 9": {MEMORY},
    "def main():\n    return list(range(10 ** 9))": {MEMORY},
    "def main():\n    return 10 ** (10 ** 8)": {MEMORY},
    "def main():\n    return 7 ** (7 ** 9) % 2": {MEMORY, TIMEOUT},
    "def main():\n    s = 'x'\n    while True: s += s": {MEMORY},
    "def main():\n    d = {}\n    while True: d[len(d)] = [len(d)]": {MEMORY},
    "def main():\n    return 'x' * (1 << 21)": {MEMORY},
    "def main():\n    return '{:>1000000000}'.format('x')": {MEMORY, FAULT},
    "def main():\n    x = []\n    for _ in range(100000): x = [x]\n    return x": {FAULT},
    "def main():\n    raise SystemExit(0)": {FAULT},
    "def main():\n    raise KeyboardInterrupt": {FAULT},
    "import os\ndef main():\n    os._exit(1)": {FAULT},
    "import os, signal\ndef main():\n    os.kill(os.getpid(), signal.SIGKILL)": {FAULT},
    "def main():\n    return ''.__class__.__mro__[1].__subclasses__()": {FAULT},
    "def main():\n    return (lambda: 0).__globals__": {FAULT},
    "def main():\n    return {10 ** 5000: 1}": {FAULT},
    "def main():\n    return {(1, 2): 1}": {FAULT},
    "def main():\n    return '%1000000000d' % 1": {MEMORY},
    "def main():\n    return f'{1.5:.1000000000f}'": {MEMORY},
    "def main():\n    return 1 << (1 << 40)": {MEMORY},
    "def main():\n    return int('9' * 100000)": {FAULT},
    "def main():\n    return pow(3, 10 ** 300000, 10 ** 300000 + 1)": {TIMEOUT, MEMORY},
    "class A:\n  def __eq__(self, o): return self == o\ndef main(): return A() == A()": {FAULT},
    "def main():\n    return " + "-" * 100_000 + "1": {"sandbox_compilation_error"},
}
ANSWER = "(i32.store (i32.const 1024) (i32.const 1100)) (i32.store (i32.const 1028) (i32.const 3))"
WASM = {
    module("(loop $l (br $l)) (i32.const 0)"): {FAULT, TIMEOUT},
    module("(loop $l (drop (memory.grow (i32.const 1))) (br $l)) (i32.const 0)"): {FAULT, TIMEOUT},
    module("(call $main (local.get $given) (local.get $length))"): {FAULT},
    module(
        "(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 65536)) (br $l)) unreachable"
    ): {
        FAULT,
        TIMEOUT,
    },
    module("unreachable"): {FAULT},
    module("(i32.load (i32.const 2147483647))"): {FAULT},
    module(ECHO, more="(func $spin (loop $l (br $l))) (start $spin)"): {FAULT, TIMEOUT},
    module(ECHO, memory='(memory (export "memory") 65536)'): {MEMORY},
    module(ECHO, more="(table 100000000 funcref)"): {FAULT},
    # results that are none
    module(f"{ANSWER} (i32.const 1024)", more=r'(data (i32.const 1100) "NaN")'): {FAULT},
    module("(i32.const -1)"): {FAULT},
    module("(i32.store (i32.const 1028) (i32.const -1)) (i32.const 1024)"): {MEMORY},
    "(module" + "(func)" * 100_000 + ")": {"sandbox_compilation_error", MEMORY, TIMEOUT, FAULT},
    f"(module {'(' * 100_000}": {"sandbox_compilation_error", MEMORY},
}
ALL = [
    pytest.param(language, code, codes, id=f"{language}-{number}")
    for language, scripts in (("js", JAVASCRIPT), ("python", PYTHON), ("wasm", WASM))
    for number, (code, codes) in enumerate(scripts.items())
]
NEXT = {
    "js": "const main = () => 'next'",
    "python": "def main():\n    return 'next'",
    "wasm": module(ECHO),
}


async def run(pool: DefaultSandboxPool, language: str, code: str, secs: float = 20) -> CodeResult:
    lender = {"js": pool.js_vm, "python": pool.python_vm, "wasm": pool.wasm_vm}[language]
    async with lender() as vm:
        return await vm.execute(code, {}, SandboxLimits(timeout_secs=secs))


@pytest.mark.parametrize(("language", "code", "codes"), ALL)
async def test_a_hostile_script_harms_only_itself(
    pool: DefaultSandboxPool, language: str, code: str, codes: set[str]
) -> None:
    await pool.warm(javascript=1, python=1, wasm=1)
    began = time.monotonic()
    with pytest.raises(SandboxError) as caught:
        await run(pool, language, code, LIMIT.timeout_secs)
    assert caught.value.code in codes, str(caught.value)
    assert time.monotonic() - began < LIMIT.timeout_secs + 1
    assert len(str(caught.value)) < 3000
    answer = await run(pool, language, NEXT[language])
    assert answer.value == ({} if language == "wasm" else "next")


async def test_hostile_neighbours_do_not_disturb_the_others() -> None:
    pool = DefaultSandboxPool(max_js_vms=4, max_python_vms=4, max_wasm_vms=2)
    attacks = [
        run(pool, "js", "for (;;);", 0.3),
        run(pool, "js", "function main() { return new Array(1e9).fill(0).length }", 0.3),
        run(pool, "python", "while True: pass", 0.3),
        run(pool, "python", "def main():\n    return [0] * 10 ** 9", 0.3),
        run(pool, "wasm", module("(loop $l (br $l)) (i32.const 0)"), 0.3),
    ]
    good = [run(pool, language, code) for language, code in NEXT.items() for _ in range(12)]
    outcomes = await asyncio.gather(*attacks, *good, return_exceptions=True)
    assert all(isinstance(each, SandboxError) for each in outcomes[: len(attacks)])
    values = [each.value for each in outcomes[len(attacks) :] if isinstance(each, CodeResult)]
    assert values == ["next"] * 24 + [{}] * 12
    await pool.aclose()
