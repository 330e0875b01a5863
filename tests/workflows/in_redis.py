"""A group whose governor has its ledger in Redis."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from temporalio.client import Client

from xworkflow.activities.governor_redis import RedisGovernor
from xworkflow.activities.redis_worker import governed_by_redis
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import workflow_runner
from xworkflow.workflows import YieldsWorkflow


@asynccontextmanager
async def in_redis(
    client: Client, group: RuntimeGroup, url: str, queue: str | None = None
) -> AsyncGenerator[RuntimeGroup]:
    """The group with such a governor, for the length of a block; its worker runs inside."""
    assert group.usage_quota is not None
    governor = RedisGovernor(url, client, group.group_id or "", group.usage_quota, queue)
    runner = workflow_runner(sandboxed=True)
    async with governed_by_redis(client, governor, YieldsWorkflow, runner, None):
        yield group.replaced(resource_governor=governor)
