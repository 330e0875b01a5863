"""A bench for each test: its own task queue and group on the session's dev server."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from tests.workflows.bench import Bench


@pytest_asyncio.fixture
async def idle_bench(temporal_client: Client, task_queue: str) -> AsyncIterator[Bench]:
    """A bench that no worker serves."""
    bench = Bench(temporal_client, task_queue)
    yield bench
    await bench.group.aclose()


@pytest_asyncio.fixture
async def bench(idle_bench: Bench) -> AsyncIterator[Bench]:
    """A bench whose worker runs workflows in Temporal's sandbox."""
    async with idle_bench.worker(sandboxed=True):
        yield idle_bench
