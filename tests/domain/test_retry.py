"""Waits between attempts (spec/graph.md 6.3)."""

from __future__ import annotations

from typing import Any

import pytest

from xworkflow.domain.retry import LONGEST_MS, delay_ms, may_retry
from xworkflow.domain.schema import RetryConfig
from xworkflow.errors import NodeFailure

BUSY = NodeFailure(code="http_error", text="busy", retryable=True)
BROKEN = NodeFailure(code="execution_error", text="broken")


def waits(attempts: int = 4, **config: Any) -> list[int]:
    made = RetryConfig.model_validate(config)
    return [delay_ms(made, BUSY, attempt, "seed") for attempt in range(1, attempts + 1)]


def test_without_a_config_there_is_no_second_attempt() -> None:
    assert not may_retry(None, BUSY, 1)


def test_there_are_as_many_retries_as_the_config_says() -> None:
    config = RetryConfig(max_retries=2)
    assert [may_retry(config, BUSY, attempt) for attempt in (1, 2, 3)] == [True, True, False]


def test_a_negative_number_of_retries_is_none() -> None:
    assert not may_retry(RetryConfig(max_retries=-1), BUSY, 1)


def test_only_retryable_failures_are_tried_again_unless_all_are() -> None:
    assert not may_retry(RetryConfig(max_retries=1), BROKEN, 1)
    assert may_retry(RetryConfig(max_retries=1, retry_on_retryable_only=False), BROKEN, 1)


def test_fixed_waits_are_all_alike_whatever_the_multiplier_says() -> None:
    """CASE 138 sets a multiplier but no strategy."""
    assert waits(retry_interval=100, backoff_multiplier=3.0) == [100, 100, 100, 100]


def test_exponential_waits_begin_with_the_interval() -> None:
    assert waits(retry_interval=100, backoff_strategy="exponential") == [100, 200, 400, 800]
    assert waits(3, retry_interval=10, backoff_strategy="exponential", backoff_multiplier=1.5) == [
        10,
        15,
        22,
    ]


@pytest.mark.parametrize("strategy", ["fixed", "exponential", "exponential_with_jitter"])
def test_no_wait_is_longer_than_the_cap(strategy: str) -> None:
    assert waits(2, retry_interval=500, backoff_strategy=strategy, max_retry_interval=70) == [
        70,
        70,
    ]


def test_jitter_differs_from_run_to_run_and_from_attempt_to_attempt() -> None:
    config = RetryConfig(
        retry_interval=10_000,
        backoff_strategy="exponential_with_jitter",
        backoff_multiplier=1.0,
    )
    drawn = {delay_ms(config, BUSY, attempt, seed) for attempt in (1, 2) for seed in ("a", "b")}
    assert len(drawn) == 4
    assert all(10_000 <= wait <= 11_000 for wait in drawn)


def test_a_server_that_names_a_wait_gets_it_above_the_cap_too() -> None:
    told = BUSY.model_copy(update={"retry_after_secs": 90.5})
    assert delay_ms(RetryConfig(retry_interval=1), told, 1, "") == 90_500


@pytest.mark.parametrize("seconds", [-1.0, 0.0, float("nan")])
def test_a_wait_that_is_none_is_no_wait(seconds: float) -> None:
    told = BUSY.model_copy(update={"retry_after_secs": seconds})
    assert delay_ms(RetryConfig(retry_interval=500), told, 1, "") == 0


def test_no_wait_is_longer_than_a_timer_can_be() -> None:
    told = BUSY.model_copy(update={"retry_after_secs": float("inf")})
    assert delay_ms(RetryConfig(), told, 1, "") == LONGEST_MS


def test_a_power_beyond_all_numbers_waits_for_the_cap() -> None:
    config = RetryConfig(retry_interval=1, backoff_strategy="exponential")
    assert delay_ms(config, BUSY, 5_000, "") == 60_000
