"""The bench and the recording of the workflow tests, and runs that this process serves itself."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

import xworkflow
from tests.workflows.conftest import bench, idle_bench
from tests.workflows.recording import recording

__all__ = ["bench", "idle_bench", "live", "recording"]


@pytest_asyncio.fixture
async def live(temporal_server: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Runners without a client use the session's server, with workers in this process."""
    monkeypatch.setenv("TEMPORAL_ADDRESS", temporal_server)
    yield
    await xworkflow.close()
