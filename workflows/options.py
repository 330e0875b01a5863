"""How activities and regions are started: timeouts, retries, names for the Web UI."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from temporalio.common import RetryPolicy

from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.retry import LONGEST_MS

LOST_WORKER_RETRY: Final = RetryPolicy(
    initial_interval=timedelta(seconds=1),
    maximum_interval=timedelta(seconds=10),
    maximum_attempts=10,
)
"""Temporal's own retries only cover lost workers: a node's failure comes back as data, and the
engine's attempts follow its ``retry_config``."""

ONCE: Final = RetryPolicy(maximum_attempts=1)

_REGION_SHARE: Final = 0.7

_GRACE = timedelta(seconds=5)
"""The activity enforces its node's limit itself, and names it; Temporal's timeout is the
backstop."""

_DEFAULT_TASK_TIMEOUT = timedelta(seconds=10)
_NO_LIMIT = timedelta(hours=24)
_LONGEST = timedelta(milliseconds=LONGEST_MS)
_LONGEST_SECS = _LONGEST.total_seconds()


def region_timeout(task_timeout: timedelta | None) -> timedelta:
    """What ends a region whose process is stalled; by itself it stops after less than a second.

    A workflow task that lasts longer than 80 % of its timeout is continued by another, and a replay
    may give the workflow the time of the later one: so a region ends before.
    """
    return (task_timeout or _DEFAULT_TASK_TIMEOUT) * _REGION_SHARE


def start_to_close(timeout_secs: float | None, config: EngineConfig) -> timedelta:
    """How long one attempt of a node may take."""
    limit = config.max_execution_time_secs if timeout_secs is None else timeout_secs
    return _NO_LIMIT if limit is None else _bounded(limit) + _GRACE


def _bounded(seconds: float) -> timedelta:
    """At most a year: no duration holds some numbers, and the run would stand still for good."""
    return timedelta(seconds=seconds) if seconds < _LONGEST_SECS else _LONGEST
