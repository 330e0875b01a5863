"""Waits between the engine's own attempts of a node (spec/graph.md 6.3)."""

from __future__ import annotations

import hashlib
import math
from typing import Final

from xworkflow.domain.schema import RetryConfig
from xworkflow.errors import NodeFailure

LONGEST_MS: Final = 365 * 86_400_000
"""A year; durations much longer are refused by Temporal, and the run would stand still for good."""

_JITTER: Final = 0.1


def may_retry(config: RetryConfig | None, failure: NodeFailure, attempt: int) -> bool:
    """Whether attempt number ``attempt`` (from 1) is followed by another."""
    if config is None or attempt > config.max_retries:
        return False
    return failure.retryable or not config.retry_on_retryable_only


def delay_ms(config: RetryConfig, failure: NodeFailure, attempt: int, seed: str) -> int:
    """Milliseconds to wait after attempt ``attempt`` failed.

    A server's ``retry_after_secs`` wins, uncapped. Jitter (0 to 10 %) is drawn from ``seed``, so
    that a replay waits as long as the run did. Never raises, whatever the numbers are.
    """
    if failure.retry_after_secs is not None:
        return _bounded(failure.retry_after_secs * 1000, LONGEST_MS)
    return _bounded(_backoff(config, attempt, seed), config.max_retry_interval)


def _backoff(config: RetryConfig, attempt: int, seed: str) -> float:
    interval = config.retry_interval
    if interval <= 0 or config.backoff_strategy == "fixed":
        return interval
    try:
        wait = interval * config.backoff_multiplier ** (attempt - 1)
    except OverflowError:
        return math.inf
    if config.backoff_strategy == "exponential_with_jitter":
        digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
        wait *= 1 + _JITTER * int.from_bytes(digest[:4], "big") / 2**32
    return wait


def _bounded(wait: float, cap: int) -> int:
    """Whole milliseconds up to the cap; what is negative, or no number, is no wait."""
    return round(min(wait, cap, LONGEST_MS)) if wait > 0 else 0
