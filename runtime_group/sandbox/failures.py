"""The texts of sandbox failures (spec/runtime.md 2.6), and how a process reports one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

from xworkflow.errors import NodeError, NodeFailure, SandboxCode, SandboxError

_OUT_OF_MEMORY: Final = "Memory limit exceeded"
_LONGEST_TEXT: Final = 2500
_OF_PROCESSES: Final = frozenset({"config_error", "template_error", "module_wanted"})
"""Codes beside a sandbox's own that our engines report."""


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


def unreadable(engine: str) -> SandboxError:
    return unavailable(f"the {engine} process gave no answer")


def reported(reply: Mapping[str, Any]) -> NodeError:
    """The error that a process reports with ``error`` and ``text``.

    The process is not trusted: a code that our engines do not report is an error of the script, so
    that none can speak for a quota or a policy.
    """
    code, text = reply["error"], str(reply.get("text", ""))[:_LONGEST_TEXT]
    for known in get_args(SandboxCode):
        if code == known:
            return SandboxError(known, text)
    if isinstance(code, str) and code in _OF_PROCESSES:
        return NodeError(NodeFailure(code=code, text=text))
    return SandboxError("sandbox_execution_error", text)
