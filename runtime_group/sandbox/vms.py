"""What the pool lends: a process for the time between acquire and release."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final, Protocol

from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue
from xworkflow.errors import MisuseError, NodeError, SandboxError
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import failures
from xworkflow.runtime_group.sandbox.process import Engine, SandboxProcess
from xworkflow.runtime_group.sandbox.replies import result_of
from xworkflow.runtime_group.sandbox.wasm_cache import WORTH_BYTES

_ENGINE_NAMES: Final[Mapping[Engine, str]] = {
    "javascript": "v8",
    "python": "monty",
    "cpython": "cpython",
    "wasm": "wasmtime",
}
_WORTH_A_SECOND_TIER: Final = ("sandbox_compilation_error", "sandbox_execution_error")
_REPLY_SLACK: Final = 64 * 1024
_LONGEST_SECS: Final = 7 * 86_400.0
"""What a process may be told; there are numbers that no clock of an engine holds."""
_INPUT_GROWTH: Final = 4
"""Bytes of an engine's heap per byte of input JSON: inputs are not the script's own doing."""
_WASM_CODE_BYTES: Final = 7 * 1024 * 1024
"""Base64 of the largest module, 5 MiB; the process counts the module itself."""
_WASM_TALK_BYTES: Final = 1024 * 1024
_COMPILE_GROWTH: Final = 400
"""Bytes that compiling may take per byte of a module."""
_COMPILED_BYTES: Final = 64 * 1024 * 1024
"""Base64 of what the largest module becomes."""
_MODULE_WANTED: Final = "module_wanted"
"""What a process answers that is to compile nothing, and does not have the module."""


class LentVm:
    """A process as one borrower sees it; useless once it is given back."""

    def __init__(self, process: SandboxProcess) -> None:
        self._process: SandboxProcess | None = process
        self._process_id = process.process_id

    @property
    def process_id(self) -> int:
        return self._process_id

    def hand_back(self) -> SandboxProcess | None:
        """End the loan. Raises MisuseError the second time."""
        process = self._borrowed()
        self._process = None
        return process

    def _borrowed(self) -> SandboxProcess:
        if self._process is None:
            raise MisuseError("this VM was given back to its pool; acquire another one")
        return self._process

    async def _call(
        self,
        code: str,
        inputs: Mapping[str, JsonValue],
        limits: SandboxLimits,
        **more: str | int,
    ) -> dict[str, Any]:
        """Check the sizes, run, and return the reply of a success. Raises NodeError."""
        process = self._borrowed()
        _check_code(code, limits)
        inputs_json = _inputs_json(inputs, limits)
        given = len(inputs_json) + len(str(more.get("streams", "")))
        seconds = min(limits.timeout_secs, _LONGEST_SECS)
        reply = await process.call(
            {
                "code": code,
                "inputs": inputs_json,
                "timeout_secs": seconds,
                "memory_bytes": limits.max_memory_bytes + _INPUT_GROWTH * given,
                "max_output_bytes": limits.max_output_bytes,
                **more,
            },
            timeout_secs=seconds,
            # the value, and as many characters of what was printed, which JSON may write as \uXXXX
            max_reply_bytes=7 * limits.max_output_bytes + _REPLY_SLACK,
        )
        if "error" in reply:
            raise failures.reported(reply)
        return reply


class CodeVm(LentVm):
    """A JsRuntime or a PythonRuntime: the two differ in the process behind them only."""

    async def execute(
        self,
        code: str,
        inputs: Mapping[str, JsonValue],
        limits: SandboxLimits,
        *,
        streams: Mapping[str, Sequence[str]] | None = None,
        typescript: bool = False,
    ) -> CodeResult:
        """Call the script's ``main``; only JavaScript knows streams, and TypeScript.

        Raises SandboxError, or NodeError ``config_error`` for TypeScript without its extra.
        """
        engine = _ENGINE_NAMES[self._borrowed().engine]
        more: dict[str, str | int] = {"typescript": 1} if typescript else {}
        if streams:
            more["streams"] = _inputs_json(streams, limits)
        return result_of(await self._call(code, inputs, limits, **more), engine)


class SecondTier(Protocol):
    """Where a pool keeps its CPython processes, and what it knows to need one."""

    def is_known(self, code: str) -> bool: ...
    def remember(self, code: str) -> None: ...
    async def exchange(self, process: SandboxProcess) -> SandboxProcess:
        """Take a process back and lend one of the second tier instead."""
        ...


class TieredPythonVm(CodeVm):
    """A PythonRuntime that goes on in CPython when monty could not run a script.

    Scripts have no effects, so one that failed can run again whatever its fault was; only limits
    of time and memory are final. The error that counts is CPython's.
    """

    def __init__(self, process: SandboxProcess, second_tier: SecondTier) -> None:
        super().__init__(process)
        self._second_tier = second_tier
        self._is_given_back = False

    @property
    def process_id(self) -> int:
        return self._process.process_id if self._process else self._process_id

    def hand_back(self) -> SandboxProcess | None:
        if self._process is None and not self._is_given_back:
            self._is_given_back = True  # cancelled between the tiers: neither process is held
            return None
        self._is_given_back = True
        return super().hand_back()

    async def execute(
        self,
        code: str,
        inputs: Mapping[str, JsonValue],
        limits: SandboxLimits,
        *,
        streams: Mapping[str, Sequence[str]] | None = None,
        typescript: bool = False,
    ) -> CodeResult:
        """Call the script's ``main``, in the first tier that can. Raises SandboxError."""
        del streams, typescript  # JavaScript's
        began = time.monotonic()
        is_first = self._borrowed().engine == "python"
        if is_first and not self._second_tier.is_known(code):
            try:
                return await super().execute(code, inputs, limits)
            except SandboxError as error:
                if error.code not in _WORTH_A_SECOND_TIER:
                    raise
            limits = _with_time_left(limits, began)
        if is_first:
            process, self._process = self._borrowed(), None
            self._process = await self._second_tier.exchange(process)
        result = await super().execute(code, inputs, limits)
        self._second_tier.remember(code)
        return result


def _with_time_left(limits: SandboxLimits, began: float) -> SandboxLimits:
    return replace(limits, timeout_secs=max(0.1, limits.timeout_secs + began - time.monotonic()))


class WasmVm(LentVm):
    """A WasmRuntime, with the sizes of its ABI (spec/runtime.md 2.5)."""

    async def execute(
        self, code: str, inputs: Mapping[str, JsonValue], limits: SandboxLimits
    ) -> CodeResult:
        """Call the module's ``main``. Raises SandboxError."""
        return await self._execute(code, inputs, limits)

    async def _execute(
        self, code: str, inputs: Mapping[str, JsonValue], limits: SandboxLimits, **more: str
    ) -> CodeResult:
        within = replace(
            limits,
            max_code_bytes=_WASM_CODE_BYTES,
            max_input_bytes=min(limits.max_input_bytes, _WASM_TALK_BYTES),
            max_output_bytes=min(limits.max_output_bytes, _WASM_TALK_BYTES),
            # compiling is the process's own work: it has memory for that beside the guest's
            max_memory_bytes=limits.max_memory_bytes + _compile_bytes(code),
        )
        guest_memory = limits.max_memory_bytes
        reply = await self._call(code, inputs, within, guest_memory_bytes=guest_memory, **more)
        return result_of(reply, _ENGINE_NAMES["wasm"])


class ModuleSource(Protocol):
    """Where a pool has compiled modules from."""

    async def compiled(self, code: str, limits: SandboxLimits) -> bytes: ...


class CachedWasmVm(WasmVm):
    """A WasmRuntime whose process is given its modules compiled, if it has not got them already."""

    def __init__(self, process: SandboxProcess, modules: ModuleSource) -> None:
        super().__init__(process)
        self._modules = modules

    async def execute(
        self, code: str, inputs: Mapping[str, JsonValue], limits: SandboxLimits
    ) -> CodeResult:
        """Call the module's ``main``. Raises SandboxError."""
        if len(code) < WORTH_BYTES:
            return await self._execute(code, inputs, limits)
        began = time.monotonic()
        try:
            return await self._execute(code, inputs, limits, compiled="")
        except NodeError as error:
            if error.code != _MODULE_WANTED:
                raise
        compiled = await self._modules.compiled(code, _with_time_left(limits, began))
        return await self._execute(
            code,
            inputs,
            _with_time_left(limits, began),
            compiled=base64.b64encode(compiled).decode(),
        )


class WasmCompilerVm(LentVm):
    """A process that compiles one module."""

    async def compile(self, code: str, limits: SandboxLimits) -> bytes:
        """The compiled module. Raises SandboxError."""
        reply = await self._borrowed().call(
            {
                "code": code,
                "timeout_secs": limits.timeout_secs,
                "memory_bytes": limits.max_memory_bytes + _compile_bytes(code),
            },
            timeout_secs=limits.timeout_secs,
            max_reply_bytes=_COMPILED_BYTES,
        )
        if "error" in reply:
            raise failures.reported(reply)
        try:
            return base64.b64decode(str(reply["compiled"]), validate=True)
        except (KeyError, ValueError):
            raise failures.unavailable("the wasm_compiler process gave no module") from None


def _compile_bytes(code: str) -> int:
    return _COMPILE_GROWTH * len(code)


class TemplateVm(LentVm):
    """A TemplateRuntime."""

    async def render(
        self,
        template: str,
        variables: Mapping[str, JsonValue],
        dialect: Dialect,
        limits: SandboxLimits,
    ) -> str:
        """Render a Jinja2 template. Raises SandboxError, or NodeError ``template_error``."""
        safety = {} if limits.template is None else {"safety": limits.template.model_dump_json()}
        reply = await self._call(template, variables, limits, dialect=dialect, **safety)
        return str(result_of(reply, "template").value)


def _check_code(code: str, limits: SandboxLimits) -> None:
    size = len(code.encode("utf-8", "replace"))
    if size > limits.max_code_bytes:
        raise failures.code_too_large(limits.max_code_bytes, size)


def _inputs_json(inputs: Mapping[str, Any], limits: SandboxLimits) -> str:
    try:
        text = json.dumps(dict(inputs), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise failures.not_serialisable(str(error)) from None
    size = len(text.encode("utf-8", "replace"))
    if size > limits.max_input_bytes:
        raise failures.input_too_large(limits.max_input_bytes, size)
    return text
