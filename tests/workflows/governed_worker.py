"""A worker process of a governed group, for tests that kill it.

python -m tests.workflows.governed_worker ADDRESS GROUP QUOTA-AS-JSON [REDIS-URL]
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import AsyncExitStack

from temporalio.client import Client

from tests.workflows.in_redis import in_redis
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.governing import UsageQuota
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import build_worker


async def main(address: str, group_id: str, quota: str, redis_url: str | None = None) -> None:
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    group = RuntimeGroup(group_id=group_id, usage_quota=UsageQuota.model_validate_json(quota))
    async with AsyncExitStack() as stack:
        if redis_url is not None:
            group = await stack.enter_async_context(in_redis(client, group, redis_url))
        await stack.enter_async_context(build_worker(client, group))
        sys.stdout.write(READY_LINE.decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
