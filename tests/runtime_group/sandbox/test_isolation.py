"""Scripts that leave something for the next one: fifty in each language, and none succeeds."""

from __future__ import annotations

import asyncio
from typing import cast

import pytest

from tests.runtime_group.sandbox.test_wasm import ALLOC, DEALLOC, MEMORY, module
from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, PythonTier2

LIMITS = SandboxLimits(timeout_secs=20)

JS_LEFT = [
    "globalThis.leak = 1",
    "var leak = 1",
    "let leak = 1",
    "const leak = 1",
    "function leak() {}",
    "class leak {}",
    "this.leak = 1",
    "leak = 1",
    "(0, eval)('var leak = 1')",
    "new Function('globalThis.leak = 1')()",
    "Object.defineProperty(globalThis, 'leak', {value: 1, configurable: false})",
    "Object.defineProperty(Object.prototype, 'leak', {get: () => 1})",
    "Object.prototype.leak = 1",
    "Array.prototype.leak = 1",
    "Function.prototype.leak = 1",
    "String.prototype.leak = 1",
    "Error.prototype.leak = 1",
    "Promise.prototype.leak = 1",
    "RegExp.prototype.leak = 1",
    "Map.prototype.leak = 1",
    "Symbol.prototype.leak = 1",
    "Object.getPrototypeOf(async function () {}).leak = 1",
    "Object.getPrototypeOf(function* () {}).leak = 1",
    "Object.getPrototypeOf([][Symbol.iterator]()).leak = 1",
    "Object.setPrototypeOf(Object.prototype, null); Object.setPrototypeOf(Array, {leak: 1})",
    "Array.prototype.map = () => 'leak'",
    "Array.prototype[Symbol.iterator] = function* () { yield 'leak' }",
    "JSON.stringify = () => '\"leak\"'",
    "JSON.parse = () => ({leak: 1})",
    "JSON = {leak: 1}",
    "Math.random = () => 4",
    "Math.leak = 1",
    "Date.now = () => 0",
    "Date = class {}",
    "Promise = class {}; Promise.leak = 1",
    "Promise.prototype.then = () => 'leak'",
    "String.prototype.toString = () => 'leak'",
    "Symbol.leak = Symbol.for('leak')",
    "console.log('leak'); console.log = () => {}",
    "console.leak = 1",
    "crypto.leak = 1; crypto.md5 = () => 'leak'",
    "datetime.leak = 1",
    "random.leak = 1; randomInt = () => 'leak'",
    "btoa = () => 'leak'",
    "setTimeout(() => { globalThis.leak = 1 }, 0)",
    "setTimeout(() => { for (;;); }, 20)",
    "const again = () => setTimeout(again, 0); again()",
    "Promise.resolve().then(() => { globalThis.leak = 1 })",
    "const tick = async () => { for (let i = 0; i < 1e3; i++) await null; leak = 1 }; tick()",
    "new Promise(() => {}).finally(() => { leak = 1 }); Promise.reject('leak')",
    "Error.prepareStackTrace = () => 'leak'; Error.stackTraceLimit = 0",
    "/leak/.exec('leak')",
    "new FinalizationRegistry(() => { leak = 1 }).register({}, 1)",
    "Object.freeze(Object.prototype); Object.freeze(globalThis)",
    "delete globalThis.Array; delete globalThis.JSON; delete globalThis.console",
]
JS_PROBE = """function main() {
  const matched = RegExp.$_;
  class Probe {}
  const objects = [globalThis, {}, [], () => 1, '', new Error('x'), new Probe(), Promise.resolve(),
    /x/, new Map(), Symbol('x'), async () => 1, function* () {}, [][Symbol.iterator](), Math, JSON,
    console, crypto, datetime, random, Array, Symbol, Promise];
  let fresh = 0;
  globalThis.fresh = 1; Object.prototype.fresh2 = 1; fresh = globalThis.fresh + ({}).fresh2;
  delete Object.prototype.fresh2;
  return [
    typeof leak, objects.filter(each => 'leak' in Object(each)).length, [1].map(x => x + 1)[0],
    [...[7]][0], JSON.stringify({a: 1}), JSON.parse('[2]')[0], Date.now() > 1.6e12,
    new Date(0).getTime(), String(1), btoa('a'), crypto.md5('').length, randomInt(3, 3),
    datetime.format('%%'), matched, Error.stackTraceLimit, fresh, Object.isFrozen(globalThis),
    typeof Error.prepareStackTrace, Math.random() < 1,
  ];
}"""
JS_CLEAN: list[JsonValue] = [
    "undefined", 0, 2, 7, '{"a":1}', 2, True, 0, "1", "YQ==", 32, 3, "%", "", 10, 2, False,
    "undefined", True,
]  # fmt: skip

PY_NAMES = ("leak", "json", "re", "_inputs", "inputs", "first", "Thing", "func", "helper", "item")
PY_LEFT = [
    *(f"{name} = 1" for name in PY_NAMES),
    *(f"def {name}():\n    return 1" for name in PY_NAMES),
    *(f"def set_it():\n    global {name}\n    {name} = 1\nset_it()" for name in PY_NAMES),
    *(f"import math as {name}" for name in PY_NAMES),
    "class leak:\n    value = 1",
    "leak: int = 1",
    "for leak in range(3): pass",
    "[leak := 1 for _ in range(1)]",
    "leak, item = 1, 2",
    "with_leak = leak = [1]",
    "import json\njson.leak = 1",
    "import math\nmath.pi = 3",
    "import random\nrandom.seed(1)\nfirst = random.random()",
    "import sys\nsys.leak = 1",
    "print('leak')",
    "len = None\nstr = None\nlist = None",
    "def main(leak=[]):\n    leak.append(1)",
    "import asyncio\nasync def leak():\n    pass\ncoroutine = leak()",
    "open = 1\n__name__ = 'leak'",
]
PY_PROBE = (
    "def main():\n    found = []\n"
    + "".join(
        f"    try:\n        {name}\n        found.append('{name}')\n    except NameError: pass\n"
        for name in (*PY_NAMES[:3], *PY_NAMES[4:], "coroutine", "with_leak")
    )
    + """    import math, random
    return [found, round(math.pi, 2), len(str(12)), list((1,)), random.random()]"""
)

FILL = "(memory.fill (i32.const 256) (i32.const {byte}) (i32.const 30000))"
SAY_NOTHING = """(i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 2))
  (i32.store16 (i32.const 64) (i32.const 0x7d7b)) (i32.const 0)"""
STATE = "(global $state (mut i32) (i32.const 0)) (table 4 funcref) (elem (i32.const 0) func)"
WASM_LEFT = [
    *(module(FILL.format(byte=byte) + SAY_NOTHING, more=STATE) for byte in range(1, 16)),
    *(
        module(f"(global.set $state (i32.const {n})) {SAY_NOTHING}", more=STATE)
        for n in range(1, 16)
    ),
    *(
        module(f"(drop (memory.grow (i32.const {n}))) {SAY_NOTHING}", more=STATE)
        for n in range(1, 11)
    ),
    *(
        module(f"(i32.store (i32.const {at}) (i32.const -1)) {SAY_NOTHING}", more=STATE)
        for at in range(1024, 2024, 100)
    ),
]
# the sum of what must be 0 or as declared: memory, global, pages; printed as one digit
WASM_PROBE = module(
    """(local $at i32) (local $sum i32)
    (local.set $at (i32.const 256))
    (loop $next
      (local.set $sum (i32.or (local.get $sum) (i32.load (local.get $at))))
      (local.set $at (i32.add (local.get $at) (i32.const 4)))
      (br_if $next (i32.lt_u (local.get $at) (i32.const 32000))))
    (local.set $sum (i32.or (local.get $sum) (global.get $state)))
    (local.set $sum (i32.or (local.get $sum) (i32.ne (memory.size) (i32.const 1))))
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 64) (i32.add (i32.const 48) (i32.ne (local.get $sum) (i32.const 0))))
    (i32.const 0)""",
    more=STATE,
)


def test_there_are_fifty_in_each_language() -> None:
    for scripts in (JS_LEFT, PY_LEFT, WASM_LEFT):
        assert len(set(scripts)) >= 50


@pytest.fixture
async def one() -> DefaultSandboxPool:
    """A pool of one process for each language, which every script must share."""
    return DefaultSandboxPool(max_js_vms=1, max_python_vms=1, max_wasm_vms=1)


async def test_javascript_leaves_nothing(one: DefaultSandboxPool) -> None:
    processes: set[int] = set()
    for left in JS_LEFT:
        for spoiler in (f"{left}\nfunction main() {{ return 1 }}", f"function main() {{ {left} }}"):
            async with one.js_vm() as vm:
                try:
                    await vm.execute(spoiler, {}, LIMITS)
                except SandboxError as error:
                    assert error.code == "sandbox_execution_error", (left, error)  # noqa: PT017
            async with one.js_vm() as vm:
                result = await vm.execute(JS_PROBE, {}, LIMITS)
                processes.add(vm.process_id)
            assert result.value == JS_CLEAN, left
            assert result.stdout == ""
    assert len(processes) < len(JS_LEFT)  # a spinning timer costs its process, no more
    await one.aclose()


async def test_python_leaves_nothing(one: DefaultSandboxPool) -> None:
    drawn: list[JsonValue] = []
    for left in PY_LEFT:
        async with one.python_vm() as vm:
            try:
                await vm.execute(left + "\ndef main(leak=None):\n    return 1", {}, LIMITS)
            except SandboxError as error:
                assert error.code.endswith(("execution_error", "compilation_error"))  # noqa: PT017
        async with one.python_vm() as vm:
            result = await vm.execute(PY_PROBE, {}, LIMITS)
        *state, number = cast("list[JsonValue]", result.value)
        assert state == [[], 3.14, 2, [1]], left
        assert result.stdout == ""
        drawn.append(number)
    assert len({str(each) for each in drawn}) == len(drawn)
    assert one.stats().python.created == 1
    await one.aclose()


async def test_python_leaves_nothing_in_the_second_tier() -> None:
    pool = DefaultSandboxPool(max_python_vms=1, python_tier2=PythonTier2())
    first = "import tempfile\n"
    for left in PY_LEFT:
        async with pool.python_vm() as vm:
            try:
                await vm.execute(f"{first}{left}\ndef main(leak=None):\n    return 1", {}, LIMITS)
            except SandboxError as error:
                if "did not start" in str(error):
                    pytest.skip("this kernel has no seccomp or no Landlock")
        async with pool.python_vm() as vm:
            result = await vm.execute(first + PY_PROBE, {}, LIMITS)
        assert result.engine == "cpython"
        assert cast("list[JsonValue]", result.value)[:-1] == [[], 3.14, 2, [1]], left
    assert pool.stats().cpython.created == 1
    await pool.aclose()


async def test_webassembly_leaves_nothing(one: DefaultSandboxPool) -> None:
    for left in WASM_LEFT:
        async with one.wasm_vm() as vm:
            assert (await vm.execute(left, {}, LIMITS)).value == {}
        async with one.wasm_vm() as vm:
            assert (await vm.execute(WASM_PROBE, {}, LIMITS)).value == 0
    assert one.stats().wasm.created == 1
    await one.aclose()


async def test_one_module_used_twice_is_two_instances(one: DefaultSandboxPool) -> None:
    counting = f"""(module {MEMORY} {ALLOC} {DEALLOC} (global $calls (mut i32) (i32.const 0))
      (func (export "main") (param i32 i32) (result i32)
        (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
        (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 1))
        (i32.store8 (i32.const 64) (i32.add (i32.const 48) (global.get $calls))) (i32.const 0)))"""
    async with one.wasm_vm() as vm:
        assert [(await vm.execute(counting, {}, LIMITS)).value for _ in range(3)] == [1, 1, 1]
    await one.aclose()


async def test_two_groups_never_share_a_process() -> None:
    pools = [DefaultSandboxPool(max_js_vms=2) for _ in range(3)]

    async def processes_of(pool: DefaultSandboxPool) -> set[int]:
        seen: set[int] = set()
        for _ in range(5):
            async with pool.js_vm() as vm:
                await vm.execute("const main = () => 1", {}, LIMITS)
                seen.add(vm.process_id)
        return seen

    first, second, third = await asyncio.gather(*map(processes_of, pools))
    assert not first & second | second & third | first & third
    await asyncio.gather(*(pool.aclose() for pool in pools))
