"""The client's part of a trace: the span of the start, which the whole run belongs to."""

from __future__ import annotations

import sys
from collections.abc import Generator
from contextlib import contextmanager

from temporalio.client import Client

from xworkflow.domain.wire import RunInput
from xworkflow.telemetry import spans


@contextmanager
def traced_start(client: Client, run: RunInput, execution_id: str) -> Generator[RunInput]:
    """What to start; where the client traces, under a span, and telling inline nodes of it."""
    if not traces(client):
        yield run
        return
    from opentelemetry.trace import SpanKind

    attributes = spans.run_attributes(execution_id, run.app_name)
    name = f"start {run.app_name}".rstrip()
    options = run.options.model_copy(update={"traced": True})
    with spans.tracer().start_as_current_span(name, kind=SpanKind.CLIENT, attributes=attributes):
        yield run.model_copy(update={"options": options})


def traces(client: Client) -> bool:
    """Whether a client was connected with the SDK's OpenTelemetry plugin, ours or its own."""
    if "temporalio.contrib.opentelemetry" not in sys.modules:
        return False
    from temporalio.contrib.opentelemetry import OpenTelemetryInterceptor

    interceptors = client.config(active_config=True).get("interceptors", ())
    return any(isinstance(each, OpenTelemetryInterceptor) for each in interceptors)
