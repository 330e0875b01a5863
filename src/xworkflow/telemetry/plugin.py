"""OpenTelemetry through the SDK's own plugin, configured by the usual ``OTEL_*`` variables.

Off by default, and then nothing of OpenTelemetry is imported. ``OTEL_TRACES_EXPORTER`` (``otlp``,
``console``, or both) or an OTLP endpoint turns it on; samplers, resources, endpoints and headers
are read by OpenTelemetry itself. A worker gets the plugins of its client.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from xworkflow.errors import InfrastructureError, MisuseError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import SpanProcessor
    from temporalio.client import Plugin
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

INSTALL: Final = "pip install 'xworkflow[otel]'"
_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_OTLP_MODULE: Final = "opentelemetry.exporter.otlp.proto.http.trace_exporter"  # of the extra
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")


def plugins(environ: Mapping[str, str]) -> list[Plugin]:
    """The plugins that a Temporal client is connected with: none, or the one of OpenTelemetry.

    Makes the process's tracer provider when there is none yet. Raises InfrastructureError for an
    exporter that is unknown or not installed, and MisuseError for a provider of another kind.
    """
    exporters = exporters_of(environ)
    if not exporters:
        return []
    from temporalio.contrib.opentelemetry import OpenTelemetryPlugin

    _provide(exporters, environ)
    return [OpenTelemetryPlugin()]


def exporters_of(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The names of the exporters that the environment asks for."""
    if environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return ()
    named = environ.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if not named:
        return ("otlp",) if any(environ.get(name) for name in _ENDPOINTS) else ()
    names = tuple(dict.fromkeys(name.strip() for name in named.split(",")))
    return () if names == ("none",) else names


def flush() -> None:
    """Send the spans that wait to be sent; for a process that ends without the interpreter's own
    end. Does nothing when nobody traces."""
    if "opentelemetry.sdk.trace" not in sys.modules:
        return
    from opentelemetry import trace
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

    provider = trace.get_tracer_provider()
    if isinstance(provider, ReplaySafeTracerProvider):
        provider.force_flush(timeout_millis=5_000)


def _provide(exporters: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Make the process's one tracer provider, where nobody has made one."""
    from opentelemetry import trace
    from temporalio.contrib.opentelemetry import ReplaySafeTracerProvider

    present = trace.get_tracer_provider()
    if isinstance(present, ReplaySafeTracerProvider):
        return
    if not isinstance(present, trace.ProxyTracerProvider):
        raise MisuseError(
            "this process has an OpenTelemetry tracer provider that is not safe in replays: make "
            "it with temporalio.contrib.opentelemetry.create_tracer_provider, or unset "
            "OTEL_TRACES_EXPORTER"
        )
    processors = [_processor(name, environ) for name in exporters]
    provider = _provider()
    for processor in processors:
        provider.add_span_processor(processor)
    trace.set_tracer_provider(provider)


def _provider() -> ReplaySafeTracerProvider:
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from temporalio.contrib.opentelemetry import create_tracer_provider

    ours = Resource({"service.name": "xworkflow"})
    named = ours.merge(OTELResourceDetector().detect())
    return create_tracer_provider(resource=Resource.create(named.attributes))


def _processor(exporter: str, environ: Mapping[str, str]) -> SpanProcessor:
    from opentelemetry.sdk.trace.export import (
        BatchSpanProcessor,
        ConsoleSpanExporter,
        SimpleSpanProcessor,
    )

    match exporter:
        case "console":
            # standard output is for results
            return SimpleSpanProcessor(ConsoleSpanExporter(out=sys.stderr))
        case "otlp":
            protocol = next((environ[name] for name in _PROTOCOLS if environ.get(name)), None)
            if protocol not in (None, "http/protobuf"):
                text = f"OTLP over '{protocol}' is not supported: only http/protobuf is"
                raise InfrastructureError(text)
            try:
                exporters = importlib.import_module(_OTLP_MODULE)
            except ImportError:
                text = f"traces over OTLP need another package: {INSTALL}"
                raise InfrastructureError(text) from None
            return BatchSpanProcessor(exporters.OTLPSpanExporter())
        case _:
            text = f"OTEL_TRACES_EXPORTER '{exporter}' is not supported: otlp, console and none are"
            raise InfrastructureError(text)
