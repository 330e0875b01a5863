"""Which worker carries a case: the one that all share, or one of the case's own group."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from temporalio.client import Client
from temporalio.service import RPCError

from xworkflow.domain.governing import governor_id
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.case_groups import CaseGroup
from xworkflow.worker import build_worker


@dataclass(frozen=True, slots=True)
class CaseWorkers:
    """The shared worker's group and queue. The group is owned by whoever runs the cases."""

    client: Client
    group: RuntimeGroup
    queue: str

    @asynccontextmanager
    async def queue_for(self, own: CaseGroup | None) -> AsyncGenerator[str]:
        """The queue to start a case on: that of a worker of its own, where it has a group."""
        if own is None:
            yield self.queue
            return
        queue = f"{self.queue}-{uuid.uuid4()}"
        async with build_worker(self.client, own.group, queue=queue):
            yield queue
        if own.group.usage_quota is not None and own.group.group_id is not None:
            ledger = self.client.get_workflow_handle(governor_id(own.group.group_id))
            with suppress(RPCError):  # nothing was counted
                await ledger.terminate("the case is over")
