"""Fixtures of the rooms of conformance tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.conformance.dify_apps import Place
from xworkflow.client.connection import connect
from xworkflow.runtime_group.group import RuntimeGroup


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def dify_place(temporal_server: str) -> AsyncIterator[Place]:
    """Where exports of Dify run."""
    group = RuntimeGroup.default()
    try:
        yield Place(await connect(temporal_server), group)
    finally:
        await group.aclose()
