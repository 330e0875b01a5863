"""A worker process of a governed group, for tests that kill it.

python -m tests.workflows.governed_worker ADDRESS GROUP QUOTA-AS-JSON HASTE [REDIS-URL]

With a HASTE of 4 a process that was killed is in doubt after a quarter of the time.
"""

from __future__ import annotations

import asyncio
import sys

from temporalio.client import Client

from xworkflow.activities import place_lease
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain import ledger
from xworkflow.domain.governing import UsageQuota
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.worker import build_worker


def command(address: str, group: RuntimeGroup, *, haste: float = 1) -> list[str]:
    """How to start a worker of a group that has a quota."""
    assert group.usage_quota is not None
    given = [address, group.group_id or "", group.usage_quota.model_dump_json(), str(haste)]
    url = () if group.governor_url is None else (group.governor_url,)
    return [sys.executable, "-m", "tests.workflows.governed_worker", *given, *url]


def hasten(times: float) -> None:
    """All intervals that a ledger and a process with places of its lease have agreed on."""
    ledger.PLACES_SILENCE_MS = int(ledger.PLACES_SILENCE_MS / times)
    place_lease.VALID_SECS /= times
    place_lease.ALIVE_SECS /= times


async def main(
    address: str, group_id: str, quota: str, haste: str, governor_url: str | None = None
) -> None:
    hasten(float(haste))
    client = await Client.connect(address, data_converter=DATA_CONVERTER)
    limits = UsageQuota.model_validate_json(quota)
    group = RuntimeGroup(group_id=group_id, usage_quota=limits, governor_url=governor_url)
    async with build_worker(client, group):
        sys.stdout.write(READY_LINE.decode() + "\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
