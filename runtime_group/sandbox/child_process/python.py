"""Python on monty: an interpreter in a process of its own below this one, a new session each call.

This process stands between because monty's client converts whatever a script returns, however large
or deep, and keeps threads of its own: neither belongs into the worker.
"""

import json
import os
import shutil
import sysconfig
from pathlib import Path
from typing import Any, ClassVar

from pydantic_monty import (
    Monty,
    MontyCrashedError,
    MontyError,
    MontyRuntimeError,
    MontySession,
    MontySyntaxError,
)

from .host_modules import host_modules
from .python_values import NotJsonError, Printed, as_json
from .serving import failure, reply, serve

_RECURSION_LIMIT = 1000
_HOST_CALLS = 1_000_000  # the clock is the limit
_TEXT_LIMIT = 2000
_CALL = "main(**_inputs)"
_TIMEOUT = failure("sandbox_timeout", "Execution timeout")
_OUT_OF_MEMORY = failure("sandbox_memory_limit", "Memory limit exceeded")


def _interpreter() -> str:
    """Where the package of the interpreter installed it: with the scripts of this Python."""
    beside = Path(sysconfig.get_path("scripts"), "monty")
    return str(beside) if beside.exists() else shutil.which("monty", path=os.defpath) or "monty"


class Python:
    """The engine. When a script broke the interpreter this process ends with it: it has given up
    starting another."""

    reads_to_start: ClassVar[tuple[str, ...]] = ()
    reads_to_run: ClassVar[tuple[str, ...]] = ()
    executes: ClassVar[tuple[str, ...]] = (_interpreter(),)
    forks: ClassVar[bool] = False
    may_keep_bytes: ClassVar[int] = 64 * 1024 * 1024

    def __init__(self) -> None:
        self._broken = False
        self._modules = host_modules()
        # the worker's clock is the one that ends a stuck interpreter: it kills the process group
        self._pool = Monty(
            binary_path=self.executes[0],
            min_processes=1,
            max_processes=1,
            feed_duration_limit_grace=None,
        )
        self._pool.__enter__()
        with self._pool.checkout() as session:
            session.feed_run("None")  # the first session costs 30 ms, the others 0.3 ms

    def prepare(self) -> None:
        """A session is made for each call, and nothing outlives it."""
        if self._broken:
            os._exit(0)  # at once: the client's threads may wait for an interpreter that is gone

    def run(self, request: dict[str, Any]) -> bytes:
        printed = Printed(request["max_output_bytes"])
        try:
            value = self._call(request, printed)
            text = json.dumps(as_json(value), ensure_ascii=False, allow_nan=False)
        except MontyError as error:
            self._broken = isinstance(error, MontyCrashedError)
            return _failure_of(error)
        except NotJsonError as error:
            return failure("sandbox_execution_error", f"Execution error: {error}")
        except RecursionError:
            return failure(
                "sandbox_execution_error", "Execution error: the result is nested too deeply"
            )
        size, limit = len(text.encode()), request["max_output_bytes"]
        if size > limit:
            too_large = f"Output too large (max {limit} bytes, got {size} bytes)"
            return failure("sandbox_memory_limit", too_large)
        return reply(text, printed.text())

    def _call(self, request: dict[str, Any], printed: Printed) -> object:
        """Two feeds, so that no syntax of the script can swallow the call of ``main``."""
        with self._session(request) as session:
            session.feed_run(request["code"], print_callback=printed)
            inputs = {"_inputs": json.loads(request["inputs"])}
            return session.feed_run(_CALL, inputs=inputs, print_callback=printed)

    def _session(self, request: dict[str, Any]) -> MontySession:
        seconds: float = request["timeout_secs"]
        return self._pool.checkout(
            limits={
                "max_feed_duration_secs": seconds,
                "max_total_sleep_secs": seconds,
                "max_memory": request["memory_bytes"],
                "max_recursion_depth": _RECURSION_LIMIT,
                "max_suspensions": _HOST_CALLS,
            },
            external_modules=self._modules,
        )


def _failure_of(error: MontyError) -> bytes:
    """Map monty's errors to spec/runtime.md 2.6."""
    if isinstance(error, MontySyntaxError):
        return failure("sandbox_compilation_error", f"Compilation error: {_text(error)}")
    if isinstance(error, MontyCrashedError):
        return _TIMEOUT if error.timed_out else _OUT_OF_MEMORY
    cause = error.exception()
    if isinstance(cause, MemoryError):
        return _OUT_OF_MEMORY
    # a limit's own TimeoutError says so; a script may raise one for its own reasons
    if isinstance(cause, TimeoutError) and "limit exceeded" in str(cause):
        return _TIMEOUT
    if isinstance(cause, NameError) and str(cause) == "name 'main' is not defined":
        return failure(
            "sandbox_execution_error", "Execution error: the code defines no function main"
        )
    return failure("sandbox_execution_error", f"Execution error: {_text(error)}")


def _text(error: MontyError) -> str:
    if isinstance(error, (MontySyntaxError, MontyRuntimeError)):
        return error.display("type-msg")[:_TEXT_LIMIT] + _line(error)
    return str(error)[:_TEXT_LIMIT]


def _line(error: MontySyntaxError | MontyRuntimeError) -> str:
    frames = error.traceback()
    return f" (line {frames[-1].line})" if frames and isinstance(error, MontySyntaxError) else ""


def main() -> None:
    serve(Python)
