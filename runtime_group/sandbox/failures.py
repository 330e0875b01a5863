"""The texts of sandbox failures (spec/runtime.md 2.6), and how a process reports one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from xworkflow.errors import NodeError, NodeFailure, SandboxCode, SandboxError

_OUT_OF_MEMORY: Final = "Memory limit exceeded"


def timed_out() -> SandboxError:
    return SandboxError("sandbox_timeout", "Execution timeout")


def out_of_memory() -> SandboxError:
    return SandboxError("sandbox_memory_limit", _OUT_OF_MEMORY)


def is_out_of_memory(reply: Mapping[str, Any]) -> bool:
    """Whether a process reports that its engine ran out of memory."""
    return reply.get("text") == _OUT_OF_MEMORY


def code_too_large(limit: int, size: int) -> SandboxError:
    return SandboxError(
        "sandbox_execution_error", f"Code too large (max {limit} bytes, got {size} bytes)"
    )


def input_too_large(limit: int, size: int) -> SandboxError:
    return SandboxError(
        "sandbox_memory_limit", f"Input too large (max {limit} bytes, got {size} bytes)"
    )


def output_too_large(limit: int, size: int) -> SandboxError:
    return SandboxError(
        "sandbox_memory_limit", f"Output too large (max {limit} bytes, got {size} bytes)"
    )


def not_serialisable(detail: str) -> SandboxError:
    return SandboxError("sandbox_execution_error", f"Serialization error: {detail}")


def nested_too_deeply() -> SandboxError:
    return SandboxError(
        "sandbox_execution_error", "Execution error: the result is nested too deeply"
    )


def unavailable(detail: str) -> SandboxError:
    return SandboxError("sandbox_execution_error", f"Sandbox unavailable: {detail}")


def reported(reply: Mapping[str, Any]) -> NodeError:
    """The error that a process reports with ``error`` and ``text``.

    The process is not trusted: a code that no sandbox has makes a plain NodeError, never retryable.
    """
    code, text = str(reply["error"]), str(reply.get("text", ""))
    for known in get_args(SandboxCode):
        if code == known:
            return SandboxError(known, text)
    return NodeError(NodeFailure(code=code, text=text))
