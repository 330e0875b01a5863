"""What turns traces on, and what does not. Each in a process of its own: a provider is for ever."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.cli import flows
from tests.cli.command import Command
from tests.cli.conftest import at_server, command, worker
from xworkflow.telemetry.plugin import exporters_of, plugins

__all__ = ["at_server", "command", "worker"]


@pytest.mark.parametrize(
    ("environ", "exporters"),
    [
        ({}, ()),
        ({"OTEL_SERVICE_NAME": "orders"}, ()),
        ({"OTEL_TRACES_EXPORTER": "none"}, ()),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, ()),
        ({"OTEL_TRACES_EXPORTER": "console"}, ("console",)),
        ({"OTEL_TRACES_EXPORTER": " OTLP, console "}, ("otlp", "console")),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://h:4318"}, ("otlp",)),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://h:4318/v1/traces"}, ("otlp",)),
        ({"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "True"}, ()),
    ],
    ids=str,
)
def test_the_usual_variables_say_whether_spans_are_sent(
    environ: Mapping[str, str], exporters: tuple[str, ...]
) -> None:
    assert exporters_of(environ) == exporters


def test_without_a_variable_there_is_no_plugin() -> None:
    assert plugins({"PATH": "/bin"}) == []


def test_off_by_default_means_that_opentelemetry_is_not_even_imported(command: Command) -> None:
    ended = command.python(
        "import sys\n"
        "import xworkflow.client.runner, xworkflow.client.connection, xworkflow.worker\n"
        "from xworkflow.telemetry import plugins, flush\n"
        "flush()\n"
        "assert plugins({}) == []\n"
        "print([name for name in sys.modules if name.startswith('opentelemetry')])"
    )
    assert (ended.err, ended.out) == ("", "[]\n")


def _refused(command: Command, environ: Mapping[str, str], *, before: str = "") -> str:
    """The sentence with which telemetry refuses an environment, in a new process."""
    ended = command.python(
        f"{before}\nfrom xworkflow.telemetry import plugins\n"
        f"from xworkflow.errors import EngineError\n"
        f"try:\n    plugins({dict(environ)!r})\n"
        "except EngineError as error:\n    print(type(error).__name__, error)"
    )
    assert ended.err == ""
    return ended.out


def test_a_missing_exporter_is_named_with_the_line_that_installs_it(command: Command) -> None:
    gone = "import sys; sys.modules['opentelemetry.exporter'] = None"
    said = _refused(command, {"OTEL_TRACES_EXPORTER": "otlp"}, before=gone)
    assert said.startswith("InfrastructureError")
    assert "pip install 'xworkflow[otel]'" in said


def test_an_unknown_exporter_and_another_protocol_are_refused(command: Command) -> None:
    said = _refused(command, {"OTEL_TRACES_EXPORTER": "zipkin"})
    assert said.startswith("InfrastructureError OTEL_TRACES_EXPORTER 'zipkin' is not supported")
    grpc = {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    assert "OTLP over 'grpc' is not supported" in _refused(command, grpc)


def test_a_provider_that_is_not_safe_in_replays_is_refused(command: Command) -> None:
    theirs = (
        "from opentelemetry import trace\n"
        "from opentelemetry.sdk.trace import TracerProvider\n"
        "trace.set_tracer_provider(TracerProvider())"
    )
    said = _refused(command, {"OTEL_TRACES_EXPORTER": "console"}, before=theirs)
    assert said.startswith("MisuseError this process has an OpenTelemetry tracer provider")


@pytest.mark.temporal
def test_a_command_shows_its_spans_on_standard_error(at_server: Command) -> None:
    file = flows.write(at_server.folder, "greet.toml", flows.GREET)
    traced = {"OTEL_TRACES_EXPORTER": "console", **at_server.settings}
    ended = Command(at_server.folder, traced)("run", file, "-i", "name=Ada", "--json", "-q")
    assert ended.object["outputs"] == {"greeting": "Ada"}
    (span,) = _objects(ended.err)
    assert span["name"] == "start greet"
    assert span["attributes"]["xworkflow.run.id"] == ended.object["workflow_id"]
    assert span["resource"]["attributes"]["service.name"] == "xworkflow"


def _objects(text: str) -> list[dict[str, Any]]:
    """The JSON objects that stand in a text one after another."""
    decoder, found = json.JSONDecoder(), list[dict[str, Any]]()
    while text.strip():
        value, end = decoder.raw_decode(text.lstrip())
        found.append(value)
        text = text.lstrip()[end:]
    return found
