"""The in-memory governor, row by row of the reference (spec/runtime.md 6.5)."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass

import pytest

from xworkflow.domain.governing import RunAsks
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import NodeError
from xworkflow.ports import AdmittingGovernor, CountingGovernor, ResourceGovernor
from xworkflow.runtime_group.governor import DefaultResourceGovernor

QUOTA = ResourceQuota(
    max_concurrent_workflows=2,
    max_variable_pool_entries=3,
    max_variable_pool_bytes=100,
    http_rate_limit_per_minute=2,
    llm_rate_limit_per_minute=3,
    llm_daily_token_budget=100,
    llm_max_tokens_per_request=50,
)


@dataclass
class Clock:
    """Unix seconds."""

    now: float = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def governor(clock: Clock) -> DefaultResourceGovernor:
    return DefaultResourceGovernor({"a": QUOTA}, clock=clock)


async def refused(check: Awaitable[None]) -> tuple[str, str]:
    with pytest.raises(NodeError) as caught:
        await check
    assert caught.value.code == "resource_limit_exceeded"
    return str(caught.value), caught.value.failure.metadata["quota_type"]


def test_it_is_a_governor_of_every_kind_that_needs_no_budgets(
    governor: DefaultResourceGovernor,
) -> None:
    for kind in (ResourceGovernor, AdmittingGovernor, CountingGovernor):
        assert isinstance(governor, kind)


async def test_runs_are_counted_once_each_and_never_below_none(
    governor: DefaultResourceGovernor,
) -> None:
    for run in ("one", "one", "two"):
        await governor.record_workflow_start("a", run)
    text = "Concurrent workflow limit exceeded: 2/2"
    assert await refused(governor.check_workflow_start("a")) == (text, "concurrent_workflows")
    for _ in range(3):
        await governor.record_workflow_end("a", "one")
    await governor.check_workflow_start("a")
    assert (await governor.get_usage("a"))["active_workflows"] == 1


async def test_a_run_that_asks_again_has_its_place_also_when_the_group_is_full(
    governor: DefaultResourceGovernor,
) -> None:
    asked = [await governor.admit("a", RunAsks(run=run)) for run in ("x", "y", "x", "z")]
    assert [verdict.answer for verdict in asked] == ["granted"] * 3 + ["refused"]


async def test_requests_are_counted_by_the_minute(
    governor: DefaultResourceGovernor, clock: Clock
) -> None:
    clock.now = 59
    await governor.check_http_rate("a")
    await governor.check_http_rate("a")
    text = "HTTP rate limit exceeded: 2 per minute"
    assert await refused(governor.check_http_rate("a")) == (text, "http_rate")
    clock.now = 60
    await governor.check_http_rate("a")


async def test_calls_of_models_have_a_size_a_rate_and_a_budget_of_the_day(
    governor: DefaultResourceGovernor, clock: Clock
) -> None:
    text = "LLM request tokens too large: 51/50"
    assert await refused(governor.check_llm_request("a", 51)) == (text, "llm_request_tokens")
    for _ in range(3):
        await governor.check_llm_request("a", 50)
    text = "LLM rate limit exceeded: 3 per minute"
    assert await refused(governor.check_llm_request("a", 0)) == (text, "llm_rate")
    clock.now = 60
    await governor.record_llm_usage("a", LlmUsage(total_tokens=80))
    text = "LLM token budget exhausted: 80/100"
    assert await refused(governor.check_llm_request("a", 21)) == (text, "llm_token_budget")
    await governor.check_llm_request("a", 20)
    await governor.check_llm_request("a", 0)
    clock.now = 86_400
    assert await governor.get_usage("a") == {
        "active_workflows": 0,
        "http_requests_this_minute": 0,
        "llm_requests_this_minute": 0,
        "llm_tokens_today": 0,
    }


async def test_a_pool_may_have_so_many_entries_and_bytes(governor: DefaultResourceGovernor) -> None:
    await governor.check_variable_pool_size("a", 3, 100)
    text = "Variable pool entries exceeded: 4/3"
    over = governor.check_variable_pool_size("a", 4, 1)
    assert await refused(over) == (text, "variable_pool_entries")
    text = "Variable pool bytes exceeded: 101/100"
    over = governor.check_variable_pool_size("a", 3, 101)
    assert await refused(over) == (text, "variable_pool_bytes")


async def test_groups_do_not_count_for_one_another_and_unknown_ones_have_the_default(
    governor: DefaultResourceGovernor,
) -> None:
    for run in range(2):
        await governor.record_workflow_start("a", str(run))
    for run in range(10):
        await governor.check_workflow_start("other")
        await governor.record_workflow_start("other", str(run))
    text = "Concurrent workflow limit exceeded: 10/10"
    assert (await refused(governor.check_workflow_start("other")))[0] == text
