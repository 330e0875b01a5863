"""What people read when a quota refuses something: the same words, whoever counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from xworkflow.domain.governing import Budget, Kind
from xworkflow.errors import NodeFailure

_RETRY_WITHIN_SECS: Final = 300.0
_NAMES: Final = {
    Kind.RUNS: "Workflow rate limit",
    Kind.HTTP_CALLS: "HTTP rate limit",
    Kind.LLM_REQUESTS: "LLM rate limit",
    Kind.LLM_TOKENS: "LLM token budget",
    Kind.LLM_MONEY: "LLM money budget",
    Kind.SANDBOX_MS: "Sandbox time budget",
}


def too_many_runs(taken: int, limit: int | None) -> str:
    return f"Concurrent workflow limit exceeded: {taken}/{limit}"


def too_many_starts(used: int, budget: Budget) -> str:
    window = {60: "a minute", 3600: "an hour", 86_400: "a day"}
    length = window.get(budget.window_secs, f"{budget.window_secs} s")
    return f"{_NAMES[Kind.RUNS]} exceeded: {used}/{budget.limit} in {length}"


def too_many_waiting(waiting: int, limit: int) -> str:
    return f"Too many waiting workflows: {waiting}/{limit}"


def passed(kind: str, limit: int, current: int) -> Mapping[str, str | int]:
    """The facts of a refusal, for the audit log (spec/runtime.md 6.4)."""
    return {"quota_type": kind, "limit": limit, "current": current}


def rest_is_set_aside(kind: Kind) -> str:
    return f"{_NAMES[kind]}: the rest is set aside for calls that have not ended"


def used_up(kind: Kind, budget: Budget, used: int, secs_left: float) -> NodeFailure:
    """A budget has nothing left before its window ends, in ``secs_left``."""
    soon = secs_left <= _RETRY_WITHIN_SECS
    return NodeFailure(
        code="resource_limit_exceeded",
        text=f"{_NAMES[kind]} exceeded: {used}/{budget.limit} in {budget.window_secs} s",
        retryable=soon,
        retry_after_secs=secs_left if soon else None,
        metadata={
            "quota_type": kind.value,
            "limit": budget.limit,
            "current": used,
            "secs_left": secs_left,
        },
    )
