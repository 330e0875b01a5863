"""Compiles one WebAssembly module and hands it back; never runs any."""

import base64
import json
from typing import Any, ClassVar

from wasmtime import Engine, Module, WasmtimeError

from .serving import failure, serve
from .wasm import GuestError, binary_of, config, text_of


class WebAssemblyCompiler:
    """The engine. Its process ends after one module, so that none can reach another one's code."""

    reads_to_start: ClassVar[tuple[str, ...]] = ()
    reads_to_run: ClassVar[tuple[str, ...]] = ()
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = False
    may_keep_bytes: ClassVar[int] = 0

    def __init__(self) -> None:
        self._engine = Engine(config())

    def prepare(self) -> None:
        """Nothing to do."""

    def run(self, request: dict[str, Any]) -> bytes:
        try:
            compiled = Module(self._engine, binary_of(request["code"])).serialize()
        except (WasmtimeError, ValueError) as error:
            return failure("sandbox_compilation_error", f"Compilation error: {text_of(error)}")
        except GuestError as error:
            return failure(error.code, str(error))
        return json.dumps({"compiled": base64.b64encode(compiled).decode()}).encode()


def main() -> None:
    serve(WebAssemblyCompiler)
