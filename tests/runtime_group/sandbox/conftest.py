"""A pool of few processes for each test, and short ways to run one script in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

import pytest

from xworkflow.domain.values import JsonValue
from xworkflow.ports import CodeResult, SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

Run = Callable[..., Awaitable[CodeResult]]
PATIENT = SandboxLimits(timeout_secs=20)


@pytest.fixture
async def pool() -> AsyncIterator[DefaultSandboxPool]:
    pool = DefaultSandboxPool(max_js_vms=2, max_wasm_vms=1, max_python_vms=2, max_template_vms=1)
    yield pool
    await pool.aclose()


@pytest.fixture
def run_js(pool: DefaultSandboxPool) -> Run:
    async def run(
        code: str,
        inputs: Mapping[str, JsonValue] | None = None,
        limits: SandboxLimits = PATIENT,
    ) -> CodeResult:
        async with pool.js_vm() as vm:
            return await vm.execute(code, inputs or {}, limits)

    return run


@pytest.fixture
def run_python(pool: DefaultSandboxPool) -> Run:
    async def run(
        code: str,
        inputs: Mapping[str, JsonValue] | None = None,
        limits: SandboxLimits = PATIENT,
    ) -> CodeResult:
        async with pool.python_vm() as vm:
            return await vm.execute(code, inputs or {}, limits)

    return run
