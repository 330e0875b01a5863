"""Python's second tier: CPython itself, for what monty cannot run.

CPython is no sandbox: here the kernel is the only wall, so this engine runs only where seccomp and
Landlock are there. A warm parent, which never runs a script, forks for each call; the fork
gives up what the parent still had (forking), runs one script, and ends. Scripts can read Python's
own library and the packages of the group, and write nothing.
"""

import json
import os
import random
import signal
import sys
import sysconfig
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, NoReturn

from . import lockdown, seccomp
from .python_values import NotJsonError, Printed, as_json
from .serving import failure, reply, serve

_PACKAGES = tuple(sys.argv[3:])
_USUAL_MODULES = (
    "base64",
    "collections",
    "csv",
    "dataclasses",
    "datetime",
    "decimal",
    "enum",
    "functools",
    "hashlib",
    "hmac",
    "html",
    "io",
    "itertools",
    "json",
    "math",
    "operator",
    "random",
    "re",
    "statistics",
    "string",
    "textwrap",
    "time",
    "traceback",
    "typing",
    "urllib.parse",
    "uuid",
    "zoneinfo",
)
_TEXT_LIMIT = 2000
_REPLY_SLACK = 64 * 1024
_CHUNK = 1 << 18
_OUT_OF_MEMORY = failure("sandbox_memory_limit", "Memory limit exceeded")
_TIMEOUT = failure("sandbox_timeout", "Execution timeout")
_ENDED = failure("sandbox_execution_error", "Execution error: the script ended its own process")
_TOO_DEEP = failure("sandbox_execution_error", "Execution error: the result is nested too deeply")
_NO_MAIN = failure("sandbox_execution_error", "Execution error: the code defines no function main")


class CPython:
    """The engine: the parent that forks."""

    reads_to_start: ClassVar[tuple[str, ...]] = _PACKAGES
    reads_to_run: ClassVar[tuple[str, ...]] = (
        sysconfig.get_path("stdlib"),
        *lockdown.SYSTEM_LIBRARIES,
        "/usr/share/zoneinfo",
        os.devnull,
        *_PACKAGES,
    )
    executes: ClassVar[tuple[str, ...]] = ()
    forks: ClassVar[bool] = True
    may_keep_bytes: ClassVar[int] = 64 * 1024 * 1024

    def __init__(self) -> None:
        for name in _USUAL_MODULES:
            import_module(name)
        compiled = [entry for entry in sys.path if entry.endswith("lib-dynload")]
        sys.path[:] = [sysconfig.get_path("stdlib"), *compiled, *_PACKAGES]
        sys.argv[:] = [""]
        self._script_process = 0

    def prepare(self) -> None:
        """Wait until the last script is gone; the worker kills this process if it never is."""
        if self._script_process:
            os.waitpid(self._script_process, 0)
            self._script_process = 0

    def run(self, request: dict[str, Any]) -> bytes:
        reading, writing = os.pipe()
        parent = os.getpid()
        process = os.fork()
        if process == 0:
            os.close(reading)
            _run_and_end(request, writing, parent)
        os.close(writing)
        try:
            answer = _read(reading, 7 * request["max_output_bytes"] + _REPLY_SLACK)
        finally:
            os.close(reading)
        if answer:
            self._script_process = process
            return answer
        _, status = os.waitpid(process, 0)
        return _failure_of(status)


def _read(pipe: int, limit: int) -> bytes:
    """All that the script's process sends, or nothing if that is more than it may be."""
    parts: list[bytes] = []
    while limit > 0 and (part := os.read(pipe, _CHUNK)):
        parts.append(part)
        limit -= len(part)
    return b"".join(parts) if limit > 0 else b""


def _failure_of(status: int) -> bytes:
    match os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0:
        case signal.SIGXCPU:
            return _TIMEOUT
        case signal.SIGKILL:  # the kernel's own answer to a lack of memory
            return _OUT_OF_MEMORY
        case _:
            return _ENDED


def _run_and_end(request: dict[str, Any], writing: int, parent: int) -> NoReturn:
    """In the fork: give up what is left, run, answer, and end without tearing anything down."""
    try:
        lockdown.die_with_parent()
        lockdown.close_all_but({0, 1, 2, writing})
        lockdown.keep_limits()
        if os.getppid() == parent and seccomp.apply(seccomp.SCRIPT, counted=True):
            random.seed()
            _write(writing, _answer(request))
    finally:
        os._exit(0)


def _write(pipe: int, frame: bytes) -> None:
    rest = memoryview(frame)
    while rest:
        rest = rest[os.write(pipe, rest) :]


def _answer(request: dict[str, Any]) -> bytes:
    limit = request["max_output_bytes"]
    printed = Printed(limit)
    sys.stdout = sys.stderr = _Stream(printed)
    try:
        script = compile(request["code"], "<code>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError) as error:
        return failure("sandbox_compilation_error", f"Compilation error: {_text(error)}")
    except MemoryError:
        return _OUT_OF_MEMORY
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    try:
        exec(script, module.__dict__)  # noqa: S102 - what this process is for
        main = module.__dict__.get("main")
        if not callable(main):
            return _NO_MAIN
        value = main(**json.loads(request["inputs"]))
    except MemoryError:
        return _OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001 - SystemExit and the script's own among them
        return failure("sandbox_execution_error", f"Execution error: {_text(error)}")
    return _as_reply(value, printed, limit)


def _as_reply(value: object, printed: Printed, limit: int) -> bytes:
    try:
        text = json.dumps(as_json(value), ensure_ascii=False, allow_nan=False)
        size = len(text.encode("utf-8", "replace"))
    except NotJsonError as error:
        return failure("sandbox_execution_error", f"Execution error: {error}")
    except RecursionError:
        return _TOO_DEEP
    except MemoryError:
        return _OUT_OF_MEMORY
    if size > limit:
        too_large = f"Output too large (max {limit} bytes, got {size} bytes)"
        return failure("sandbox_memory_limit", too_large)
    return reply(json.dumps(json.loads(text)), printed.text())


def _text(error: BaseException) -> str:
    try:
        message = str(error)
    except BaseException:  # noqa: BLE001 - a script's own exception may fail at this too
        message = ""
    name = type(error).__name__
    return f"{name}: {message}"[:_TEXT_LIMIT] if message else name


class _Stream:
    """A text stream that keeps what is printed and has nothing else."""

    encoding = "utf-8"
    errors = "replace"

    def __init__(self, printed: Printed) -> None:
        self._printed = printed

    def write(self, text: str) -> int:
        self._printed("stdout", text)
        return len(text)

    def flush(self) -> None:
        """Nothing is held back."""

    def isatty(self) -> bool:
        return False


def main() -> None:
    serve(CPython)
