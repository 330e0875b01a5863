"""How activities and regions are started: timeouts, retries, names for the Web UI."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from xworkflow.domain.policy import EngineConfig

LOST_WORKER_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=10,
)
"""Temporal's own retries only cover lost workers: a node's failure comes back as data, and the
engine's attempts follow its ``retry_config``."""

ONCE: Final = RetryPolicy(maximum_attempts=1)

REGION_TIMEOUT: Final = timedelta(seconds=2)
"""A region stops by itself after less than a second; this ends one whose process is stalled."""

_GRACE = timedelta(seconds=5)
"""The activity enforces its node's limit itself, and names it; Temporal's timeout is the backstop."""

_NO_LIMIT = timedelta(hours=24)


def start_to_close(timeout_secs: float | None, config: EngineConfig) -> timedelta:
    """How long one attempt of a node may take."""
    if timeout_secs is not None:
        return timedelta(seconds=timeout_secs) + _GRACE
    limit = config.max_execution_time_secs
    return _NO_LIMIT if limit is None else timedelta(seconds=limit) + _GRACE
