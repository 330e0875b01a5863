"""Holds the calls of nodes to the budgets of their group: set aside before, settled after."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast

from temporalio import activity
from temporalio.exceptions import ApplicationError, ApplicationErrorCategory

from xworkflow.domain.governing import Kind, UsageQuota, in_millionths
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import NodeReport, NodeTask
from xworkflow.errors import BudgetBusyError, NodeError, NodeFailure
from xworkflow.ports import BudgetGovernor, CountingGovernor
from xworkflow.runtime_group.group import RuntimeGroup

MODEL_NODES: Final = frozenset({"llm", "question-classifier", "parameter-extractor", "agent"})
SANDBOX_NODES: Final = frozenset({"code", "template-transform"})

_PATIENCE_SECS: Final = 3.0
"""A wait in the activity; Temporal's own timeout allows 5 s beyond that of the node."""
_LAST_TRY: Final = 9
"""Temporal gives up after ten; the last ones are for lost workers."""
_LONGEST_PAUSE_SECS: Final = 3_600.0
_CHARACTERS_PER_TOKEN: Final = 4
_SANDBOX_GUESS_MS: Final = 50


async def metered(
    group: RuntimeGroup, task: NodeTask, attempt: Callable[[], Awaitable[NodeReport]]
) -> NodeReport:
    """Make an attempt under the group's budgets. A wait for them is no time of the node.

    A failure is data, as in an attempt; ApplicationError asks Temporal to try again later.
    """
    governor, kinds = group.resource_governor, _kinds(task.node_type)
    if governor is None or not kinds or group.group_id is None:
        return await attempt()
    if isinstance(governor, BudgetGovernor):
        return await _reserved(governor, task, attempt)
    if isinstance(governor, CountingGovernor):
        return await _counted(governor, group.group_id, task, attempt)
    return await attempt()


def _kinds(node_type: str) -> tuple[Kind, ...]:
    if node_type == "http-request":
        return (Kind.HTTP_CALLS,)
    if node_type in MODEL_NODES:
        return (Kind.LLM_REQUESTS, Kind.LLM_TOKENS, Kind.LLM_MONEY)
    return (Kind.SANDBOX_MS,) if node_type in SANDBOX_NODES else ()


# ---- budgets that are set aside


async def _reserved(
    governor: BudgetGovernor, task: NodeTask, attempt: Callable[[], Awaitable[NodeReport]]
) -> NodeReport:
    quota = governor.usage_quota
    too_large = _too_large(task, quota)
    if too_large is not None:
        return NodeReport(at=int(time.time() * 1000), failure=too_large)
    limited = tuple(k for k in _kinds(task.node_type) if quota.budget(k) is not None)
    if not limited:
        return await attempt()
    model = _model(task)
    charges = _estimate(limited, quota, task, model)
    patience = _PATIENCE_SECS if activity.in_activity() else 0.0
    try:
        reservation = await governor.reserve(charges, patience_secs=patience)
    except NodeError as error:
        await _wait_or_refuse(error, quota)
        return NodeReport(at=int(time.time() * 1000), failure=error.failure)
    began, used = time.monotonic(), _called(charges)
    try:
        report = await attempt()
        used |= _tokens(report, quota, model)
    finally:
        if Kind.SANDBOX_MS in charges:
            used[Kind.SANDBOX_MS] = int((time.monotonic() - began) * 1000)
        reservation.settle(used)
    return report


def _too_large(task: NodeTask, quota: UsageQuota) -> NodeFailure | None:
    """A call that asks for more than any one may (spec/runtime.md 6.5)."""
    most, asked = quota.max_tokens_per_request, _max_tokens(task)
    if task.node_type not in MODEL_NODES or most is None or asked <= most:
        return None
    return NodeFailure(
        code="resource_limit_exceeded",
        text=f"LLM request tokens too large: {asked}/{most}",
        metadata={"quota_type": "llm_request_tokens", "limit": most, "current": asked},
    )


async def _wait_or_refuse(error: NodeError, quota: UsageQuota) -> None:
    """Returns when the node is to fail."""
    busy = isinstance(error, BudgetBusyError)
    if not activity.in_activity() or not (busy or quota.when_spent == "wait"):
        return
    info = activity.info()
    if info.is_local:
        # the region gives up what lasts too long, and a regular activity takes it over
        await asyncio.get_running_loop().create_future()
    if info.attempt >= _LAST_TRY:
        return
    pause = 2.0 ** (info.attempt - 1)
    if not busy:
        secs_left = error.failure.metadata.get("secs_left", pause)
        pause = min(max(0.05, secs_left), _LONGEST_PAUSE_SECS)
    raise ApplicationError(
        error.failure.text,
        next_retry_delay=timedelta(seconds=pause),
        category=ApplicationErrorCategory.BENIGN,
    )


def _estimate(
    limited: tuple[Kind, ...], quota: UsageQuota, task: NodeTask, model: str
) -> dict[Kind, int]:
    """What a call may use at most, as far as that can be known."""
    charges: dict[Kind, int] = dict.fromkeys(limited, 1)
    if Kind.SANDBOX_MS in charges:
        charges[Kind.SANDBOX_MS] = _SANDBOX_GUESS_MS
    if Kind.LLM_TOKENS in charges or Kind.LLM_MONEY in charges:
        prompt = _prompt_tokens(task)
        completion = _max_tokens(task) or quota.assumed_output_tokens
        if Kind.LLM_TOKENS in charges:
            charges[Kind.LLM_TOKENS] = prompt + completion
        if Kind.LLM_MONEY in charges:
            price = quota.price(model)
            charges[Kind.LLM_MONEY] = 0 if price is None else price.millionths(prompt, completion)
    return charges


def _called(charges: Mapping[Kind, int]) -> dict[Kind, int]:
    """What a call costs that fails or is cancelled. For all that is known it has been sent: it
    counts as a call, and as no tokens, as providers charge for answers alone."""
    calls = (Kind.HTTP_CALLS, Kind.LLM_REQUESTS)
    return {kind: charges[kind] for kind in calls if kind in charges}


def _tokens(report: NodeReport, quota: UsageQuota, model: str) -> dict[Kind, int]:
    usage = None if report.result is None else report.result.llm_usage
    if usage is None:
        return {}
    return {Kind.LLM_TOKENS: usage.total_tokens, Kind.LLM_MONEY: _money(usage, quota, model)}


def _money(usage: LlmUsage, quota: UsageQuota, model: str) -> int:
    price = quota.price(model)
    if price is None:
        return in_millionths(usage.total_price)
    return price.millionths(usage.prompt_tokens, usage.completion_tokens)


def _model(task: NodeTask) -> str:
    name = _part(task.data.get("model"), "name")
    return name if isinstance(name, str) else ""


def _part(of: JsonValue, name: str) -> JsonValue:
    return cast("dict[str, JsonValue]", of).get(name) if isinstance(of, dict) else None


def _max_tokens(task: NodeTask) -> int:
    found = _part(_part(task.data.get("model"), "completion_params"), "max_tokens")
    return found if isinstance(found, int) and found > 0 else 0


def _prompt_tokens(task: NodeTask) -> int:
    texts: list[Any] = [task.data.get("prompt_template"), [v.value for v in task.values]]
    return len(json.dumps(texts, ensure_ascii=False, default=str)) // _CHARACTERS_PER_TOKEN


# ---- the reference's governor: calls are counted before, tokens afterwards


async def _counted(
    governor: CountingGovernor,
    group_id: str,
    task: NodeTask,
    attempt: Callable[[], Awaitable[NodeReport]],
) -> NodeReport:
    try:
        if task.node_type == "http-request":
            await governor.check_http_rate(group_id)
        elif task.node_type in MODEL_NODES:
            await governor.check_llm_request(group_id, _max_tokens(task))
    except NodeError as error:
        return NodeReport(at=int(time.time() * 1000), failure=error.failure)
    report = await attempt()
    if report.result is not None and report.result.llm_usage is not None:
        await governor.record_llm_usage(group_id, report.result.llm_usage)
    return report
