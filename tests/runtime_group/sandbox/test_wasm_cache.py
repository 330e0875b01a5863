"""Compiled modules on disk: found again, and believed only when they are ours."""

from __future__ import annotations

import base64
import hmac
import os
import stat
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import pytest
from wasmtime import wat2wasm

from tests.runtime_group.sandbox.test_wasm import ECHO, module
from xworkflow.errors import MisuseError, SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, wasm_cache
from xworkflow.runtime_group.sandbox.wasm_cache import WORTH_BYTES, WasmCache

LIMITS = SandboxLimits(timeout_secs=20)
FILLER = "(func (result i32) (i32.mul (i32.const 3) (i32.add (i32.const 4) (i32.const 5))))" * 6000
CODE = base64.b64encode(wat2wasm(module(ECHO, more=FILLER))).decode()
OTHER = base64.b64encode(wat2wasm(module("unreachable", more=FILLER))).decode()


def test_the_modules_of_these_tests_are_worth_keeping() -> None:
    assert min(len(CODE), len(OTHER)) >= WORTH_BYTES


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "modules"


@asynccontextmanager
async def pool_of(directory: Path) -> AsyncGenerator[DefaultSandboxPool]:
    pool = DefaultSandboxPool(max_wasm_vms=1, wasm_cache=directory)
    yield pool
    await pool.aclose()


async def answer(pool: DefaultSandboxPool, code: str = CODE) -> object:
    async with pool.wasm_vm() as vm:
        return (await vm.execute(code, {"a": 1}, LIMITS)).value


async def compilations(directory: Path, code: str = CODE) -> int:
    """How many modules a new pool compiles for one call; its answer must be right."""
    async with pool_of(directory) as pool:
        assert await answer(pool, code) == {"a": 1}
        return pool.stats().wasm_compiler.created


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.module"))


async def test_a_module_is_compiled_once_for_all_pools(directory: Path) -> None:
    async with pool_of(directory) as first, pool_of(directory) as second:
        assert [await answer(first) for _ in range(3)] == [{"a": 1}] * 3
        assert await answer(second) == {"a": 1}
        assert first.stats().wasm_compiler.created == 1
        assert second.stats().wasm_compiler.created == 0
    assert len(files(directory)) == 1


async def test_a_process_that_compiled_a_module_takes_no_other(directory: Path) -> None:
    async with pool_of(directory) as pool:
        assert await answer(pool) == {"a": 1}
        with pytest.raises(SandboxError, match="unreachable"):
            await answer(pool, OTHER)
        stats = pool.stats().wasm_compiler
        assert (stats.created, stats.reused) == (2, 0)


async def test_a_small_module_is_not_worth_a_file(directory: Path) -> None:
    assert await compilations(directory, module(ECHO)) == 0
    assert files(directory) == []


async def test_a_module_that_is_not_valid_is_not_kept(directory: Path) -> None:
    async with pool_of(directory) as pool:
        with pytest.raises(SandboxError, match=r"^Compilation error: ") as caught:
            await answer(pool, "A" * WORTH_BYTES)
    assert caught.value.code == "sandbox_compilation_error"
    assert files(directory) == []


@pytest.mark.parametrize("place", [0, 40, -1])
async def test_a_file_that_was_changed_is_compiled_anew(directory: Path, place: int) -> None:
    assert await compilations(directory) == 1
    (kept,) = files(directory)
    good = kept.read_bytes()
    bad = bytearray(good)
    bad[place] ^= 1
    kept.write_bytes(bad)
    assert WasmCache(directory).load(CODE) is None
    assert await compilations(directory) == 1
    assert WasmCache(directory).load(CODE) == good[32:]
    assert await compilations(directory) == 0


async def test_a_file_cut_short_is_compiled_anew(directory: Path) -> None:
    assert await compilations(directory) == 1
    (kept,) = files(directory)
    for length in (0, 31, 32, 1000):
        kept.write_bytes(kept.read_bytes()[:length])
        assert WasmCache(directory).load(CODE) is None
    assert await compilations(directory) == 1


async def test_the_file_of_another_module_is_not_taken_for_this_one(directory: Path) -> None:
    async with pool_of(directory) as pool:
        assert await answer(pool) == {"a": 1}
        (kept,) = files(directory)
        with pytest.raises(SandboxError):
            await answer(pool, OTHER)
    (other,) = set(files(directory)) - {kept}
    kept.write_bytes(other.read_bytes())
    assert await compilations(directory) == 1


async def test_a_file_under_another_key_is_not_believed(directory: Path) -> None:
    assert await compilations(directory) == 1
    (kept,) = files(directory)
    compiled = kept.read_bytes()[32:]
    forged = hmac.digest(b"x" * 32, kept.name.encode() + compiled, sha256)
    kept.write_bytes(forged + compiled)
    assert await compilations(directory) == 1


async def test_another_version_of_the_engine_does_not_see_the_file(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert await compilations(directory) == 1
    monkeypatch.setattr(wasm_cache, "_engine_version", lambda: "another")
    assert await compilations(directory) == 1
    assert len(files(directory)) == 2


async def test_what_is_no_module_of_this_processor_is_compiled_in_place(directory: Path) -> None:
    """Under our own key and name, but not for wasmtime: it looks before it runs anything."""
    WasmCache(directory).store(CODE, b"\x7fELF no module")
    assert await compilations(directory) == 0


def test_the_modules_used_last_are_kept(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wasm_cache, "_MAX_MODULES", 2)
    kept = WasmCache(directory)
    for age, code in ((3, "a"), (2, "b"), (1, "c")):
        kept.store(code, b"compiled")
        for path in files(directory):
            if path.stat().st_mtime > 10:
                os.utime(path, (10 - age, 10 - age))
    assert kept.load("a") is None
    assert kept.load("c") == b"compiled"


def test_the_directory_is_its_owners_alone(directory: Path) -> None:
    WasmCache(directory)
    modes = [stat.S_IMODE(path.stat().st_mode) for path in (directory, directory / "key")]
    assert modes == [0o700, 0o600]
    directory.chmod(0o750)
    with pytest.raises(MisuseError, match="chmod 700"):
        DefaultSandboxPool(wasm_cache=directory)


def test_a_key_that_was_cut_is_refused(directory: Path) -> None:
    WasmCache(directory)
    (directory / "key").write_bytes(b"short")
    with pytest.raises(MisuseError, match="no key of 32 bytes"):
        WasmCache(directory)
