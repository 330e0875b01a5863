"""JavaScript on V8: one fresh isolate for each call, made while the process waits for it.

What an isolate costs is what a call costs. A first isolate, in which no script ever runs, is kept
for as long as the process lives: with the last of them V8 drops what all of them share, its
read-only heap and its tables, and would make that anew for each call. Our built-ins take the place
of mini-racer's own ``setTimeout``, the first script that it runs in a new isolate.
"""

import asyncio
import json
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

import py_mini_racer
from py_mini_racer import (
    JSEvalException,
    JSOOMException,
    JSParseException,
    JSPromise,
    JSPromiseError,
    MiniRacer,
    _mini_racer,
    mini_racer,
)

from .serving import failure, serve

_LATE_SOURCES = {
    "console": ("console",),
    "streams": ("streams",),
    "timers": ("timers",),
    "tools": ("encoding", "digests", "random", "aes_gcm", "datetime", "tools"),
}
_ENTROPY_BYTES = 32
_ENTROPY = "/dev/urandom"  # V8 opens it for each isolate
_TYPESCRIPT_FILES = tuple(
    str(Path(found.origin).parent)
    for name in ("tree_sitter", "tree_sitter_typescript")
    if (found := find_spec(name)) and found.origin
)
_OOM_POLL_SECS = 0.05
_NO_TYPESCRIPT = failure(
    "config_error",
    "TypeScript needs an extra of the worker's installation: pip install 'xworkflow[typescript]'",
)
_OUT_OF_MEMORY = failure("sandbox_memory_limit", "Memory limit exceeded")


def _read_builtins() -> str:
    """All built-ins; those that few scripts use as texts, which ``entry.js`` reads when needed."""
    late = {name: '"use strict";\n' + _read(parts) for name, parts in _LATE_SOURCES.items()}
    return f"const LATE_SOURCES = {json.dumps(late)};\n{_read(('entry',))}"


def _read(parts: tuple[str, ...]) -> str:
    folder = Path(__file__).parent / "builtins"
    return "\n".join((folder / f"{part}.js").read_text(encoding="utf-8") for part in parts)


def _typescript() -> Callable[[str], str] | None:
    """What makes JavaScript of TypeScript, where the extra for it is installed."""
    try:
        from .typescript import TypeScript
    except ImportError:
        return None
    return TypeScript().javascript


class JavaScript:
    """The engine. All built-ins lie in one function: scripts see what ``entry.js`` makes global."""

    reads_to_start: ClassVar[tuple[str, ...]] = (
        str(Path(py_mini_racer.__file__).parent),
        *_TYPESCRIPT_FILES,
        _ENTROPY,
        "/proc/self/status",
    )
    reads_to_run: ClassVar[tuple[str, ...]] = (_ENTROPY,)
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = False
    _vm: MiniRacer
    may_keep_bytes: ClassVar[int] = 64 * 1024 * 1024  # V8 keeps the pages of a heap that is gone

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._builtins = _read_builtins()
        self._typescript = _typescript()
        self._isolate, self._first = ExitStack(), ExitStack()
        with self._in_loop():
            self._first.enter_context(mini_racer(self._loop))

    def prepare(self) -> None:
        self._isolate.close()
        entropy = os.urandom(_ENTROPY_BYTES).hex()
        builtins = f'((HOST_ENTROPY) => {{ "use strict";\n{self._builtins}\n}})("{entropy}")'
        _mini_racer.INSTALL_SET_TIMEOUT = builtins  # pyright: ignore[reportPrivateImportUsage]
        with self._in_loop():
            self._vm = self._isolate.enter_context(mini_racer(self._loop))

    def run(self, request: dict[str, Any]) -> bytes:
        if "typescript" not in request:
            return self._run(request)
        if self._typescript is None:
            return _NO_TYPESCRIPT
        try:
            code = self._typescript(request["code"])
        except ValueError as error:
            return failure("sandbox_compilation_error", f"Compilation error: {error}")
        return self._run({**request, "code": code})

    def _run(self, request: dict[str, Any]) -> bytes:
        self._vm.set_hard_memory_limit(request["memory_bytes"])
        inputs, limit = json.dumps(request["inputs"]), request["max_output_bytes"]
        streams = json.dumps(request.get("streams", ""))
        try:
            with self._in_loop():
                self._load(request["code"])
                outcome = self._vm.eval(f"__xworkflow_run({inputs}, {limit}, {streams})")
            if isinstance(outcome, JSPromise):
                outcome = self._loop.run_until_complete(self._settled(outcome))
        except JSParseException as error:
            return failure("sandbox_compilation_error", f"Compilation error: {_headline(error)}")
        except JSOOMException:
            return _OUT_OF_MEMORY
        except (JSEvalException, JSPromiseError) as error:
            return failure("sandbox_execution_error", f"Execution error: {_headline(error)}")
        return str(outcome).encode()

    @contextmanager
    def _in_loop(self) -> Generator[None]:
        """Stand where mini-racer insists to be called: most scripts need no turn of the loop."""
        asyncio._set_running_loop(self._loop)
        try:
            yield
        finally:
            asyncio._set_running_loop(None)

    def _load(self, code: str) -> None:
        """Run the script's top level; the value of its last statement means nothing."""
        try:
            self._vm.eval(code)
        except JSEvalException:
            raise
        except (ValueError, OverflowError, OSError):
            pass  # the last value has no Python form (an invalid Date), but the script did run

    async def _settled(self, promise: JSPromise) -> object:
        """Wait for an async ``main``; an isolate that ran out of memory never settles it."""
        waiting = asyncio.ensure_future(promise)
        while not waiting.done():
            await asyncio.wait({waiting}, timeout=_OOM_POLL_SECS)
            if self._vm.was_hard_memory_limit_reached():
                raise JSOOMException("memory limit reached while waiting")
        return waiting.result()


def _headline(error: Exception) -> str:
    """``SyntaxError: … (line 3)`` out of V8's report ``<anonymous>:3: SyntaxError: …``."""
    first = str(error).partition("\n")[0]
    place, separator, message = first.partition(": ")
    line = place.rpartition(":")[2]
    return f"{message} (line {line})" if separator and line.isdigit() else first


def main() -> None:
    serve(JavaScript)
