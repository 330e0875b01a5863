"""Laws of the waits between attempts (spec/graph.md 6.3)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS
from xworkflow.domain.retry import LONGEST_MS, delay_ms, may_retry
from xworkflow.domain.schema import RetryConfig
from xworkflow.errors import NodeFailure

CONFIGS = st.builds(
    RetryConfig,
    max_retries=st.integers(-3, 10),
    retry_interval=st.integers(0, 100_000) | st.just(10**400),
    backoff_strategy=st.sampled_from(["fixed", "exponential", "exponential_with_jitter"]),
    backoff_multiplier=st.floats(0, 1e6) | st.floats(),
    max_retry_interval=st.integers(0, 100_000),
    retry_on_retryable_only=st.booleans(),
)
SEEDS = st.text(max_size=5)
FAILURE = NodeFailure(code="http_error", text="busy", retryable=True)


@LAWS
@given(config=CONFIGS, attempt=st.integers(1, 10_000), seed=SEEDS)
def test_a_wait_is_never_negative_nor_above_the_cap_and_never_overflows(
    config: RetryConfig, attempt: int, seed: str
) -> None:
    assert 0 <= delay_ms(config, FAILURE, attempt, seed) <= config.max_retry_interval


@LAWS
@given(
    interval=st.integers(0, 100_000),
    multiplier=st.floats(1, 5),
    attempt=st.integers(1, 8),
    seed=SEEDS,
)
def test_jitter_adds_up_to_a_tenth_and_takes_nothing(
    interval: int, multiplier: float, attempt: int, seed: str
) -> None:
    uncapped = {
        "retry_interval": interval,
        "backoff_multiplier": multiplier,
        "max_retry_interval": 10**12,
    }
    plain = RetryConfig.model_validate({**uncapped, "backoff_strategy": "exponential"})
    jittered = plain.model_copy(update={"backoff_strategy": "exponential_with_jitter"})
    least = delay_ms(plain, FAILURE, attempt, seed)
    assert least <= delay_ms(jittered, FAILURE, attempt, seed) <= least * 1.1 + 1


@LAWS
@given(config=CONFIGS, attempt=st.integers(1, 50), seed=SEEDS)
def test_a_replay_waits_as_long_as_the_run(config: RetryConfig, attempt: int, seed: str) -> None:
    assert delay_ms(config, FAILURE, attempt, seed) == delay_ms(config, FAILURE, attempt, seed)


@LAWS
@given(config=CONFIGS, attempt=st.integers(1, 10_000), seconds=st.floats())
def test_no_failure_whatsoever_makes_a_wait_that_a_timer_cannot_hold(
    config: RetryConfig, attempt: int, seconds: float
) -> None:
    endless = config.model_copy(update={"max_retry_interval": 10**400})
    assert 0 <= delay_ms(endless, FAILURE, attempt, "") <= LONGEST_MS
    told = FAILURE.model_copy(update={"retry_after_secs": seconds})
    assert 0 <= delay_ms(config, told, attempt, "") <= LONGEST_MS


@LAWS
@given(config=CONFIGS, attempt=st.integers(1, 10_000))
def test_without_an_interval_there_is_no_wait(config: RetryConfig, attempt: int) -> None:
    at_once = config.model_copy(update={"retry_interval": 0})
    assert delay_ms(at_once, FAILURE, attempt, "") == 0


@LAWS
@given(config=CONFIGS, attempt=st.integers(1, 50), seconds=st.floats(0, 1e6))
def test_a_servers_word_wins_and_has_no_cap(
    config: RetryConfig, attempt: int, seconds: float
) -> None:
    told = FAILURE.model_copy(update={"retry_after_secs": seconds})
    assert abs(delay_ms(config, told, attempt, "") - seconds * 1000) <= 1


@LAWS
@given(config=CONFIGS, failure=st.builds(NodeFailure, code=st.just("x"), text=st.just("x"),
                                         retryable=st.booleans()))  # fmt: skip
def test_a_node_is_tried_at_most_once_more_than_it_has_retries(
    config: RetryConfig, failure: NodeFailure
) -> None:
    attempts = 1
    while may_retry(config, failure, attempts):
        attempts += 1
    assert attempts <= max(0, config.max_retries) + 1
    if failure.retryable or not config.retry_on_retryable_only:
        assert attempts == max(0, config.max_retries) + 1
    else:
        assert attempts == 1
