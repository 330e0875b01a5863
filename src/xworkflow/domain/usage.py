"""Adding up what model calls have cost."""

from __future__ import annotations

from xworkflow.domain.results import LlmUsage


def added_usage(total: LlmUsage | None, more: LlmUsage | None) -> LlmUsage | None:
    """The sum of two; None is nothing."""
    if total is None or more is None:
        return more if total is None else total
    return LlmUsage(
        prompt_tokens=total.prompt_tokens + more.prompt_tokens,
        completion_tokens=total.completion_tokens + more.completion_tokens,
        total_tokens=total.total_tokens + more.total_tokens,
        total_price=total.total_price + more.total_price,
        currency=total.currency or more.currency,
        latency=total.latency + more.latency,
    )
