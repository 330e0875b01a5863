"""Waits between the engine's own attempts of a node (spec/graph.md 6.3)."""

from __future__ import annotations

import hashlib

from xworkflow.domain.schema import RetryConfig
from xworkflow.errors import NodeFailure

_JITTER = 0.1


def may_retry(config: RetryConfig | None, failure: NodeFailure, attempt: int) -> bool:
    """Whether attempt number ``attempt`` (from 1) is followed by another."""
    if config is None or attempt > config.max_retries:
        return False
    return failure.retryable or not config.retry_on_retryable_only


def delay_ms(config: RetryConfig, failure: NodeFailure, attempt: int, seed: str) -> int:
    """Milliseconds to wait after attempt ``attempt`` failed.

    A server's ``retry_after_secs`` wins, uncapped. Jitter (0 to 10 %) is drawn from ``seed``, so
    that a replay waits as long as the run did.
    """
    if failure.retry_after_secs is not None:
        return round(failure.retry_after_secs * 1000)
    if config.backoff_strategy == "fixed":
        return min(config.retry_interval, config.max_retry_interval)
    wait = _power(config.retry_interval, config.backoff_multiplier, attempt - 1)
    if config.backoff_strategy == "exponential_with_jitter":
        digest = hashlib.sha256(f"{seed}:{attempt}".encode()).digest()
        wait *= 1 + _JITTER * int.from_bytes(digest[:4], "big") / 2**32
    return int(min(wait, config.max_retry_interval))


def _power(interval: float, multiplier: float, exponent: int) -> float:
    try:
        return interval * multiplier**exponent
    except OverflowError:
        return float("inf")
