"""Groups with a quota: benches of them, what they use, and the runs that tests put in their way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from temporalio.client import Client

from tests.workflows.bench import Bench
from tests.workflows.drawing import chain, code, end, graph, http, node, start
from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.governing import USAGE_QUERY, GroupUsage, UsageQuota, governor_id
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockServer

INLINE = chain("inline", start("n"), end(n="start.n"))


def fetch(web: MockServer, path: str = "/soon") -> WorkflowSchema:
    return chain("fetch", start("n"), http("h", web.url + path), end(body="h.body"))


def approval(web: MockServer) -> WorkflowSchema:
    """Asks whether it may fetch ``/ok``."""
    asks = node("ask", "human-input", resume_mode="approval", prompt_template="May I?")
    return graph(
        "approval",
        [start("n"), asks, http("h", web.url + "/ok"), code("c"), end(body="h.body", n="c.n")],
        "start > ask",
        "ask:approve > h",
        "h > c",
        "c > end",
        "ask:reject > end",
    )


@asynccontextmanager
async def governed(
    bench: Bench,
    quota: UsageQuota,
    governor_url: str | None = None,
    *,
    workers: int = 1,
    sandboxed: bool = True,
    **parts: Any,
) -> AsyncGenerator[Bench]:
    """A bench of a named group of its own, with several workers that share nothing."""
    group_id = f"group-{bench.queue}"
    parts = {"usage_quota": quota, "governor_url": governor_url, **parts}
    groups = [RuntimeGroup(group_id=group_id, **parts) for _ in range(workers)]
    async with AsyncExitStack() as stack:
        for group in groups:
            stack.push_async_callback(group.aclose)
        await stack.enter_async_context(_all_workers(bench, groups, sandboxed=sandboxed))
        yield Bench(bench.client, bench.queue, groups[0])


@asynccontextmanager
async def _all_workers(
    bench: Bench, groups: list[RuntimeGroup], *, sandboxed: bool
) -> AsyncGenerator[None]:
    if not groups:
        yield
        return
    # the SDK allows one worker of a queue for each client
    client = await Client.connect(
        bench.client.service_client.config.target_host, data_converter=DATA_CONVERTER
    )
    async with (
        Bench(client, bench.queue, groups[0]).worker(sandboxed=sandboxed),
        _all_workers(bench, groups[1:], sandboxed=sandboxed),
    ):
        yield


async def usage(bench: Bench) -> GroupUsage:
    """What a bench's group uses, wherever that is counted."""
    group_id, quota = bench.group.group_id or "", bench.group.usage_quota
    if bench.group.governor_url is None or quota is None:
        ledger = bench.client.get_workflow_handle(governor_id(group_id))
        return await ledger.query(USAGE_QUERY, result_type=GroupUsage)
    reader = RedisGovernor(bench.group.governor_url, bench.client, group_id, quota, bench.queue)
    try:
        return await reader.usage()
    finally:
        await reader.aclose()


async def until_free(bench: Bench, secs: float = 5) -> GroupUsage:
    """What the group uses once no run holds a place, or when the time is over."""
    until = time.monotonic() + secs
    while (found := await usage(bench)).running and time.monotonic() < until:
        await asyncio.sleep(0.05)
    return found


async def until_waiting(bench: Bench, count: int) -> GroupUsage:
    """What the group uses once so many runs wait for a place."""
    while (found := await usage(bench)).waiting < count:
        await asyncio.sleep(0.02)
    return found
