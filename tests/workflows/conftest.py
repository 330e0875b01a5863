"""A bench for each test, with its own task queue and group on the session's dev server, and the
server that its runs fetch from."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.workflows.bench import Bench
from tests.workflows.recording import recording, watched_bench
from xworkflow.testing.mock_server import MockResponse, MockServer

__all__ = ["recording", "watched_bench"]


@pytest.fixture
def responses() -> tuple[MockResponse, ...]:
    """What ``web`` answers besides, or instead; modules say it anew."""
    return ()


@pytest.fixture
def web(responses: tuple[MockResponse, ...]) -> Iterator[MockServer]:
    """``/ok`` is fine at once, ``/soon`` in a moment, and ``/slow`` not while a test runs."""
    always = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/soon", response_body="fine", delay_secs=0.15),
        MockResponse("GET", "/slow", delay_secs=60),
    )
    own = {response.path for response in responses}
    with MockServer((*responses, *(r for r in always if r.path not in own))) as server:
        yield server


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


@pytest_asyncio.fixture(loop_scope="session")
async def skipping(time_skipping_env: WorkflowEnvironment, task_queue: str) -> AsyncIterator[Bench]:
    """A bench on the server whose clock jumps while nothing runs, so that days pass at once. Its
    tests have the loop of the session."""
    bench = Bench(time_skipping_env.client, task_queue)
    began = time.monotonic()
    async with bench.worker():
        yield bench
    await bench.group.aclose()
    assert time.monotonic() - began < 30
