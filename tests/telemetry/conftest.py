"""One tracer provider for the process, whose spans stay in memory, and a bench that traces."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from opentelemetry import trace
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from temporalio.client import Client
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin, create_tracer_provider

from tests.workflows.bench import Bench
from tests.workflows.conftest import bench, idle_bench
from xworkflow.data_converter import DATA_CONVERTER

__all__ = ["bench", "idle_bench", "spans", "traced_bench"]


@pytest.fixture(scope="session")
def exporter() -> InMemorySpanExporter:
    """OpenTelemetry has one provider for a process, so these tests share theirs."""
    made = InMemorySpanExporter()
    provider = create_tracer_provider()
    provider.add_span_processor(SimpleSpanProcessor(made))
    trace.set_tracer_provider(provider)
    assert trace.get_tracer_provider() is provider
    return made


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> InMemorySpanExporter:
    """The spans of one test."""
    exporter.clear()
    return exporter


@pytest_asyncio.fixture
async def traced_bench(
    temporal_server: str, task_queue: str, spans: InMemorySpanExporter
) -> AsyncIterator[Bench]:
    """A bench whose client traces, and so does its worker; which is not yet started."""
    del spans
    client = await Client.connect(
        temporal_server, data_converter=DATA_CONVERTER, plugins=[OpenTelemetryPlugin()]
    )
    bench = Bench(client, task_queue)
    yield bench
    await bench.group.aclose()
