"""One pool for each test, of few processes."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from xworkflow.runtime_group.sandbox import DefaultSandboxPool


@pytest.fixture
async def pool() -> AsyncIterator[DefaultSandboxPool]:
    pool = DefaultSandboxPool(max_js_vms=1, max_python_vms=1, max_template_vms=1)
    yield pool
    await pool.aclose()
