"""WebAssembly: the ABI of spec/runtime.md 2.5, its limits, and every error of 2.6."""

from __future__ import annotations

import base64
from collections.abc import Awaitable, Callable, Mapping

import pytest
from wasmtime import wat2wasm

from xworkflow.domain.values import JsonValue
from xworkflow.errors import SandboxError
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

Run = Callable[..., Awaitable[CodeResult]]

PATIENT = SandboxLimits(timeout_secs=20)
ALLOC = """
  (global $heap (mut i32) (i32.const 32768))
  (func (export "alloc") (param $size i32) (result i32)
    (local $address i32)
    (local.set $address (global.get $heap))
    (global.set $heap (i32.add (global.get $heap) (local.get $size)))
    (local.get $address))"""
DEALLOC = '(func (export "dealloc") (param i32 i32))'
MEMORY = '(memory (export "memory") 1)'
ECHO = """
  (i32.store (i32.const 0) (local.get $given))
  (i32.store (i32.const 4) (local.get $length))
  (i32.const 0)"""


def module(body: str, *, imports: str = "", memory: str = MEMORY, more: str = "") -> str:
    """A module whose ``main`` has the given body."""
    main = (
        f'(func $main (export "main") (param $given i32) (param $length i32) (result i32) {body})'
    )
    return f"(module {imports} {memory} {ALLOC} {DEALLOC} {more} {main})"


def giving(text: str) -> str:
    """A module that gives the same output whatever its input is."""
    data = "".join(f"\\{byte:02x}" for byte in text.encode())
    body = f"""(i32.store (i32.const 0) (i32.const 16))
      (i32.store (i32.const 4) (i32.const {len(text.encode())})) (i32.const 0)"""
    return module(body, more=f'(data (i32.const 16) "{data}")')


@pytest.fixture
def run_wasm(pool: DefaultSandboxPool) -> Run:
    async def run(
        code: str,
        inputs: Mapping[str, JsonValue] | None = None,
        limits: SandboxLimits = PATIENT,
    ) -> CodeResult:
        async with pool.wasm_vm() as vm:
            return await vm.execute(code, inputs or {}, limits)

    return run


async def test_the_module_gets_the_inputs_and_gives_the_outputs_as_json(run_wasm: Run) -> None:
    inputs: dict[str, JsonValue] = {"text": "é😀\u2028", "list": [1, None, True, {}], "n": -1.5}
    result = await run_wasm(module(ECHO), inputs)
    assert result == CodeResult(value=inputs, engine="wasmtime")


async def test_numbers_come_back_as_pool_values(run_wasm: Run) -> None:
    value = (await run_wasm(giving(f"[20, 0.5, {2**70}, {'9' * 3000}]"))).value
    assert value == [20, 0.5, float(2**70), None]


async def test_a_binary_travels_as_base64(run_wasm: Run) -> None:
    code = base64.b64encode(wat2wasm(module(ECHO))).decode()
    assert (await run_wasm(f"\n{code}\n", {"a": 1})).value == {"a": 1}


@pytest.mark.parametrize(
    ("code", "kind", "text"),
    [
        ("  ", "compilation_error", "Compilation error: the module is empty"),
        ("(module", "compilation_error", "Compilation error: expected `)`"),
        ("QUJDRA==", "compilation_error", "Compilation error: the code is neither a WebAssembly"),
        ("AGFzbQ==", "compilation_error", "Compilation error: "),
        ("(module)", "execution_error", "Execution error: the module exports no memory 'memory'"),
        (f"(module {MEMORY})", "execution_error", "Execution error: the module exports no func"),
        (
            f'(module {MEMORY} {ALLOC} {DEALLOC} (func (export "main")))',
            "execution_error",
            "Execution error: an export takes another number of arguments",
        ),
        (module("unreachable"), "execution_error", "Execution error: wasm trap: wasm `unreach"),
        (module("(i32.load (i32.const -1))"), "execution_error", "Execution error: wasm trap: out"),
        (
            module("(call $main (local.get $given) (local.get $length))"),
            "execution_error",
            "Execution error: wasm trap: call stack exhausted",
        ),
        (module("(i32.const -4)"), "execution_error", "Execution error: address 4294967292 is out"),
        (
            module("(i32.store (i32.const 0) (i32.const -1)) (i32.const 0)"),
            "execution_error",
            "Execution error: address 4294967295 is outside",
        ),
        (
            module("(loop $l (br $l)) (i32.const 0)"),
            "execution_error",
            "Execution error: the guest used up its 1000000000 units of fuel",
        ),
        (
            module(
                "(call $abort (i32.const 7)) (i32.const 0)",
                imports='(import "env" "abort" (func $abort (param i32)))',
            ),
            "execution_error",
            "Execution error: the guest aborted with code 7",
        ),
        (giving("{'a'"), "execution_error", "Serialization error: "),
        (giving("NaN"), "execution_error", "Serialization error: "),
        (giving("1e999"), "execution_error", "Serialization error: "),
        (giving("[" * 3000 + "]" * 3000), "execution_error", "Execution error: the result is nest"),
    ],
)
async def test_a_faulty_module_fails_with_the_text_of_its_fault(
    run_wasm: Run, code: str, kind: str, text: str
) -> None:
    with pytest.raises(SandboxError) as caught:
        await run_wasm(code, {"a": 1})
    assert str(caught.value).startswith(text)
    assert caught.value.code == f"sandbox_{kind}"


@pytest.mark.parametrize(
    "imports",
    [
        '(import "wasi_snapshot_preview1" "fd_write" (func (param i32 i32 i32 i32) (result i32)))',
        '(import "wasi_snapshot_preview1" "sock_open" (func))',
        '(import "env" "system" (func (param i32)))',
        '(import "env" "abort" (func (param i64)))',
        '(import "env" "memory" (memory 1))',
    ],
)
async def test_a_module_can_import_nothing_but_abort(run_wasm: Run, imports: str) -> None:
    memory = "" if "(memory 1)" in imports else MEMORY
    with pytest.raises(SandboxError, match=r"^Execution error: (unknown import|.*incompatible)"):
        await run_wasm(module(ECHO, imports=imports, memory=memory))


@pytest.mark.parametrize("declared", ["257", "1 257 shared", "i64 1"])
async def test_memory_is_at_most_256_pages_and_plain(run_wasm: Run, declared: str) -> None:
    with pytest.raises(SandboxError):
        await run_wasm(module(ECHO, memory=f'(memory (export "memory") {declared})'))
    exact = module(ECHO, memory='(memory (export "memory") 256)')
    assert (await run_wasm(exact, {"a": 1})).value == {"a": 1}


async def test_a_guest_grows_to_the_limit_of_its_call_and_no_further(run_wasm: Run) -> None:
    grow = "(if (i32.eq (memory.grow (i32.const {})) (i32.const -1)) (then unreachable))" + ECHO
    limits = SandboxLimits(timeout_secs=20, max_memory_bytes=10 * 65536)
    assert (await run_wasm(module(grow.format(9)), {"a": 1}, limits)).value == {"a": 1}
    with pytest.raises(SandboxError, match="unreachable"):
        await run_wasm(module(grow.format(10)), {"a": 1}, limits)


async def test_reference_types_are_off_and_simd_is_on(run_wasm: Run) -> None:
    with pytest.raises(SandboxError, match=r"^Compilation error: ") as caught:
        await run_wasm(module(ECHO, more="(func (param externref))"))
    assert caught.value.code == "sandbox_compilation_error"
    simd = "(drop (i32x4.splat (i32.const 1)))" + ECHO
    assert (await run_wasm(module(simd), {"a": 1})).value == {"a": 1}


async def test_the_clock_ends_a_guest_before_its_fuel_does(
    pool: DefaultSandboxPool, run_wasm: Run
) -> None:
    spin = module("(loop $l (br $l)) (i32.const 0)")
    with pytest.raises(SandboxError, match=r"^Execution timeout$") as caught:
        await run_wasm(spin, limits=SandboxLimits(timeout_secs=0.05))
    assert caught.value.failure.retryable
    assert (await run_wasm(module(ECHO), {"a": 1})).value == {"a": 1}
    assert pool.stats().wasm.killed == 0  # an epoch ends the guest; the process lives on


async def test_sizes_of_inputs_outputs_and_modules_are_limited(run_wasm: Run) -> None:
    with pytest.raises(SandboxError, match=r"^Input too large \(max 1048576 bytes, got 1048584"):
        await run_wasm(module(ECHO), {"a": "x" * (1 << 20)})
    with pytest.raises(SandboxError, match=r"^Output too large \(max 6 bytes, got 7 bytes\)$"):
        await run_wasm(module(ECHO), {"a": 1}, SandboxLimits(max_output_bytes=6))
    filler = "x" * 65_536
    data = "".join(f'(data (i32.const 0) "{filler}")' for _ in range(81))
    with pytest.raises(SandboxError, match=r"^Code too large \(max 5242880 bytes, got 53"):
        await run_wasm(module(ECHO, more=data))


async def test_a_large_module_compiles(run_wasm: Run) -> None:
    functions = "(func (result i32) (i32.mul (i32.const 3) (i32.add (i32.const 4) (i32.const 5))))"
    code = base64.b64encode(wat2wasm(module(ECHO, more=functions * 60_000))).decode()
    assert len(code) > 800_000
    assert (await run_wasm(code, {"a": 1})).value == {"a": 1}


async def test_half_a_surrogate_pair_in_a_text_is_replaced(run_wasm: Run) -> None:
    answer = module(
        "(i32.store (i32.const 1024) (i32.const 1100))"
        "(i32.store (i32.const 1028) (i32.const 8)) (i32.const 1024)",
        more=r'(data (i32.const 1100) "\22\5cud800\22")',
    )
    assert (await run_wasm(answer)).value == "\ufffd"
