"""Which worker carries a case: the one that all share, or one that knows the case's models."""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from temporalio.client import Client

from xworkflow.domain.quota import SecurityPolicy
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import DEFAULT_BASE_URL, OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.cases import OpenAiTable
from xworkflow.worker import build_worker


@dataclass(frozen=True, slots=True)
class CaseWorkers:
    """The shared worker's group and queue. The group is owned by whoever runs the cases."""

    client: Client
    group: RuntimeGroup
    queue: str

    @asynccontextmanager
    async def queue_for(
        self,
        openai: OpenAiTable | None,
        server: str | None,
        policy: SecurityPolicy | None = None,
    ) -> AsyncGenerator[str]:
        """The queue to start a case on; ``server`` is the URL of its mock server.

        A case with a provider or a policy gets a worker of its own, whose group shares all else.
        """
        if openai is None and policy is None:
            yield self.queue
            return
        group = self.group.replaced(security_policy=policy)
        if openai is not None:
            registry = LlmProviderRegistry()
            registry.register(OpenAiProvider(_config(openai, server)))
            group = group.replaced(llm_provider_registry=registry)
        queue = f"{self.queue}-{uuid.uuid4()}"
        async with build_worker(self.client, group, queue=queue):
            yield queue


def _config(table: OpenAiTable, server: str | None) -> OpenAiConfig:
    default = DEFAULT_BASE_URL if server is None else f"{server}/v1"
    return OpenAiConfig(
        api_key=table.api_key,
        base_url=table.base_url or default,
        org_id=table.org_id,
        default_model=table.default_model,
    )
