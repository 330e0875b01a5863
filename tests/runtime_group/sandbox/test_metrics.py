"""What a pool tells a meter provider, in a process of its own: the provider is set for good."""

from __future__ import annotations

import json
import subprocess
import sys

WORK = """
import asyncio, json
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

async def main():
    pool = DefaultSandboxPool(max_js_vms=1)
    for code in ("const main = () => 1", "for (;;);", "const main = () => 1"):
        async with pool.js_vm() as vm:
            try:
                await vm.execute(code, {}, SandboxLimits(timeout_secs=0.1))
            except Exception:
                pass
    await pool.aclose()

reader = InMemoryMetricReader()
metrics.set_meter_provider(MeterProvider([reader]))
asyncio.run(main())
found = {}
for resource in reader.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                key = " ".join([metric.name.rpartition(".")[2], *sorted(point.attributes.values())])
                found[key] = getattr(point, "count", getattr(point, "value", None))
print(json.dumps(found))
"""


def test_waits_runs_and_ends_are_measured_by_language() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORK], capture_output=True, check=True, text=True, timeout=60
    )
    assert json.loads(done.stdout) == {
        "wait javascript": 3,
        "run javascript": 3,
        "lent created javascript": 2,
        "lent javascript reused": 1,
        "ended javascript killed": 1,
        "ended closed javascript": 1,
        "processes javascript": 0,
    }
