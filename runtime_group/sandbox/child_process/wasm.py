"""WebAssembly on wasmtime (spec/runtime.md 2.5): a fresh store and instance for each call.

Compiled modules are kept by the hash of their bytes, in this process only. A compiled module is
machine code, and this process runs guests: what it could write to a disk, nobody could trust. A
worker that keeps modules on disk gives them to it (``wasm_cache.py``).
"""

import base64
import binascii
import hashlib
import json
import re
import struct
import time
from collections import OrderedDict
from contextlib import suppress
from threading import Event, Thread
from typing import Any, ClassVar, TypeVar

from wasmtime import (
    Config,
    Engine,
    Func,
    FuncType,
    Linker,
    Memory,
    Module,
    Store,
    Trap,
    TrapCode,
    ValType,
    WasmtimeError,
    _bindings,
    wat2wasm,
)

from .serving import failure, reply, serve

_MAX_MODULE_BYTES = 5 * 1024 * 1024
_MAX_MEMORY_BYTES = 256 * 64 * 1024
_MAX_STACK_BYTES = 4 * 1024 * 1024
_FUEL = 1_000_000_000
_MAX_TABLE_ELEMENTS = 65_536
_MAGIC = b"\0asm"
_HEADER = struct.Struct("<II")
_UINT32 = 0xFFFFFFFF
_CACHED_MODULES = 64
_CACHED_SECS = 300.0
_CACHED_MODULE_BYTES = 1024 * 1024
_TEXT_LIMIT = 2000
_MODULE_WANTED = "module_wanted"
_TIMEOUT = failure("sandbox_timeout", "Execution timeout")
_OUT_OF_MEMORY = failure("sandbox_memory_limit", "Memory limit exceeded")


_T = TypeVar("_T")


class GuestError(Exception):
    """The guest broke the ABI; ``code`` is one of spec/runtime.md 2.6."""

    def __init__(self, text: str, code: str = "sandbox_execution_error") -> None:
        super().__init__(text)
        self.code = code


class AbortedError(Exception):
    """The guest called ``env.abort``."""


class ModuleCache:
    """Compiled modules, the least recently used dropped first."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._modules: OrderedDict[bytes, tuple[float, Module]] = OrderedDict()

    def compiled(self, binary: bytes, given: bytes | None) -> Module:
        """The module; ``given`` is the same compiled already, or empty: not to be compiled here.

        Raises WasmtimeError for a module that is not valid, GuestError for one that is not here.
        """
        key = hashlib.sha256(binary).digest()
        now = time.monotonic()
        compiled_at, module = self._modules.pop(key, (-_CACHED_SECS, None))
        if module is None or now - compiled_at > _CACHED_SECS:
            if given == b"":
                raise GuestError("the module is wanted", _MODULE_WANTED)
            compiled_at, module = now, self._made(binary, given)
        if len(binary) <= _CACHED_MODULE_BYTES:
            self._modules[key] = compiled_at, module
        while len(self._modules) > _CACHED_MODULES:
            self._modules.popitem(last=False)
        return module

    def _made(self, binary: bytes, given: bytes | None) -> Module:
        if given is not None:
            with suppress(WasmtimeError):  # of another processor
                return Module.deserialize(self._engine, given)
        return Module(self._engine, binary)


class Alarm:
    """Ends the call in progress by an epoch of the engine when its time is over."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._armed, self._over, self._idle = Event(), Event(), Event()
        self._secs = 0.0
        Thread(target=self._watch, daemon=True).start()

    def start(self, secs: float) -> None:
        self._secs = secs
        self._over.clear()
        self._idle.clear()
        self._armed.set()

    def stop(self) -> None:
        """Afterwards no epoch of this call can hit the next."""
        self._over.set()
        self._idle.wait()

    def _watch(self) -> None:
        while True:
            self._armed.wait()
            self._armed.clear()
            if not self._over.wait(self._secs):
                self._engine.increment_epoch()
            self._idle.set()


class Guest:
    """One instance of a module and its protocol."""

    def __init__(self, linker: Linker, module: Module, memory_bytes: int) -> None:
        self._store = Store(linker.engine)
        self._store.set_fuel(_FUEL)
        self._store.set_epoch_deadline(1)
        self._store.set_limits(
            memory_size=min(memory_bytes, _MAX_MEMORY_BYTES),
            table_elements=_MAX_TABLE_ELEMENTS,
            instances=1,
            tables=4,
            memories=1,
        )
        self._exports = linker.instantiate(self._store, module).exports(self._store)
        self._memory = self._export("memory", Memory)

    def answer(self, inputs: bytes, max_output_bytes: int) -> bytes:
        """The JSON that ``main`` gives for the inputs' JSON."""
        alloc, dealloc = self._export("alloc", Func), self._export("dealloc", Func)
        main = self._export("main", Func)
        given = self._address(alloc, len(inputs))
        self._checked_range(given, len(inputs))
        self._memory.write(self._store, inputs, given)
        header = self._address(main, _signed(given), len(inputs))
        start, length = _HEADER.unpack(self._read(header, _HEADER.size))
        if length > max_output_bytes:
            too_large = f"Output too large (max {max_output_bytes} bytes, got {length} bytes)"
            raise GuestError(too_large, "sandbox_memory_limit")
        output = self._read(start, length)
        for place, size in ((given, len(inputs)), (start, length), (header, _HEADER.size)):
            self._call(dealloc, _signed(place), size)
        return output

    def _export(self, name: str, kind: type[_T]) -> _T:
        value = self._exports.get(name)
        if not isinstance(value, kind):
            raise GuestError(f"the module exports no {kind.__name__.lower()} '{name}'")
        return value

    def _address(self, func: Func, *arguments: int) -> int:
        result = self._call(func, *arguments)
        if not isinstance(result, int):
            raise GuestError("alloc and main must return an i32")
        return result & _UINT32

    def _call(self, func: Func, *arguments: int) -> object:
        if len(func.type(self._store).params) != len(arguments):
            raise GuestError("an export takes another number of arguments than the protocol gives")
        try:
            return func(self._store, *arguments)
        except TypeError as error:
            raise GuestError(f"an export has another type than the protocol: {error}") from None

    def _read(self, start: int, length: int) -> bytes:
        self._checked_range(start, length)
        return bytes(self._memory.read(self._store, start, start + length))

    def _checked_range(self, start: int, length: int) -> None:
        if start + length > self._memory.data_len(self._store):
            raise GuestError(f"address {start} is outside of the guest's memory")


class WebAssembly:
    """The engine; its linker knows ``env.abort`` and nothing else."""

    reads_to_start: ClassVar[tuple[str, ...]] = ()
    reads_to_run: ClassVar[tuple[str, ...]] = ()
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = False
    may_keep_bytes: ClassVar[int] = 512 * 1024 * 1024  # compiled modules

    def __init__(self) -> None:
        engine = Engine(config())
        self._linker = Linker(engine)
        self._linker.define_func("env", "abort", FuncType([ValType.i32()], []), _abort)
        self._modules = ModuleCache(engine)
        self._alarm = Alarm(engine)

    def prepare(self) -> None:
        """Nothing to do: stores are made for each call, and modules have no state."""

    def run(self, request: dict[str, Any]) -> bytes:
        self._alarm.start(request["timeout_secs"])
        try:
            return self._run(request)
        finally:
            self._alarm.stop()

    def _run(self, request: dict[str, Any]) -> bytes:
        try:
            given = base64.b64decode(request["compiled"]) if "compiled" in request else None
            module = self._modules.compiled(binary_of(request["code"]), given)
        except (WasmtimeError, ValueError) as error:
            return failure("sandbox_compilation_error", f"Compilation error: {text_of(error)}")
        except GuestError as error:
            return failure(error.code, str(error))
        try:
            guest = Guest(self._linker, module, request["guest_memory_bytes"])
            output = guest.answer(request["inputs"].encode(), request["max_output_bytes"])
        except AbortedError as error:
            return failure("sandbox_execution_error", f"Execution error: {error}")
        except GuestError as error:
            prefix = "" if error.code == "sandbox_memory_limit" else "Execution error: "
            return failure(error.code, prefix + str(error))
        except Trap as trap:
            return _failure_of(trap)
        except WasmtimeError as error:
            if "exceeds memory limits" in str(error):
                return _OUT_OF_MEMORY
            return failure("sandbox_execution_error", f"Execution error: {text_of(error)}")
        return _as_reply(output)


def config() -> Config:
    config = Config()
    config.consume_fuel = True
    config.epoch_interruption = True
    config.parallel_compilation = False
    config.memory_init_cow = False  # it writes data segments into a file in memory; no file here
    # the public interface has no setter for these two, and panics without them: a stack above
    # 2 MiB needs a larger one for async, and reference types are needed by async components
    _bindings.wasmtime_config_async_stack_size_set(config.ptr(), 2 * _MAX_STACK_BYTES)
    _bindings.wasmtime_config_wasm_component_model_async_set(config.ptr(), False)
    config.wasm_component_model = False
    config.max_wasm_stack = _MAX_STACK_BYTES
    config.wasm_gc = False
    config.wasm_function_references = False
    config.wasm_reference_types = False
    config.wasm_threads = False
    config.wasm_memory64 = False
    config.wasm_multi_memory = False
    config.wasm_exceptions = False
    config.wasm_stack_switching = False
    return config


def _abort(code: int) -> None:
    raise AbortedError(f"the guest aborted with code {code}")


def binary_of(code: str) -> bytes:
    """The module of a code node: base64 of a binary, else text. Raises WasmtimeError, ValueError,
    GuestError."""
    text = code.strip()
    if not text:
        raise ValueError("the module is empty")
    try:
        binary = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):  # text holds a parenthesis, which base64 never does
        binary = bytes(wat2wasm(text))
    if len(binary) > _MAX_MODULE_BYTES:
        sizes = f"(max {_MAX_MODULE_BYTES} bytes, got {len(binary)} bytes)"
        raise GuestError(f"Code too large {sizes}")
    if not binary.startswith(_MAGIC):
        raise ValueError("the code is neither a WebAssembly binary in base64 nor module text")
    return binary


def _signed(address: int) -> int:
    return address - (1 << 32) if address >> 31 else address


def _failure_of(trap: Trap) -> bytes:
    match trap.trap_code:
        case TrapCode.INTERRUPT:
            return _TIMEOUT
        case TrapCode.OUT_OF_FUEL:
            text = f"the guest used up its {_FUEL} units of fuel"
        case _:
            text = text_of(trap)
    return failure("sandbox_execution_error", f"Execution error: {text}")


def text_of(error: Exception) -> str:
    """The innermost cause: the last line of a report with a backtrace, else the first line."""
    lines = str(error).strip().splitlines()
    last_is_cause = "Caused by:" in lines or isinstance(error, Trap)
    line = (lines[-1 if last_is_cause else 0] if lines else "unknown").strip()
    return re.sub(r"^\d+: ", "", line)[:_TEXT_LIMIT]


def _as_reply(output: bytes) -> bytes:
    try:
        # in ASCII: a text may hold half a surrogate pair, which UTF-8 cannot
        text = json.dumps(json.loads(output.decode()), allow_nan=False)
    except RecursionError:
        return failure(
            "sandbox_execution_error", "Execution error: the result is nested too deeply"
        )
    except ValueError as error:
        return failure("sandbox_execution_error", f"Serialization error: {error}")
    return reply(text, "")


def main() -> None:
    serve(WebAssembly)
