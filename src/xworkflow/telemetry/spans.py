"""The spans of a run, and their attributes.

::

    start APP                   the client, while it starts the run
    └── run APP                 the workflow, once for each of its histories
        ├── TYPE TITLE          each attempt of a node in an activity or a local region
        ├── TYPE TITLE          each inline node, if the client asked for it (RunOptions.traced)
        └── run APP (error …)   the error handler

A span is made only where a parent is known: the SDK's plugin brings it with the headers. So a
process that does not trace makes none, and neither does one that merely has OpenTelemetry loaded.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import NodeReport, NodeTask

if TYPE_CHECKING:
    from opentelemetry.trace import Span, Tracer

TRACER: Final = "xworkflow"
Attributes: TypeAlias = dict[str, str | int]
Tell: TypeAlias = Callable[[NodeReport], None]


def run_attributes(run_id: str, app: str) -> Attributes:
    """What every span of a run has."""
    return {"xworkflow.run.id": run_id, "xworkflow.app": app}


def node_attributes(run_id: str, app: str, *, id_: str, type_: str, title: str) -> Attributes:
    """What every span of a node has."""
    return {
        **run_attributes(run_id, app),
        "xworkflow.node.id": id_,
        "xworkflow.node.type": type_,
        "xworkflow.node.title": title,
    }


def node_name(type_: str, title: str) -> str:
    return f"{type_} {title}".rstrip()


def has_parent() -> bool:
    """Whether there is a span, here or in another process, that new ones belong to."""
    from opentelemetry import trace

    return trace.get_current_span().get_span_context().is_valid


def tracer() -> Tracer:
    from opentelemetry import trace

    return trace.get_tracer(TRACER)


def fail(span: Span, code: str, text: str) -> None:
    """Mark what a span is about as failed."""
    from opentelemetry.trace import Status, StatusCode

    span.set_attribute("error.type", code)
    span.set_status(Status(StatusCode.ERROR, text))


@contextmanager
def attempt_span(task: NodeTask) -> Generator[Tell]:
    """The span of one attempt, in an activity; to be told how the attempt ended."""
    if "opentelemetry.trace" not in sys.modules or not has_parent():
        yield _nobody
        return
    attributes = node_attributes(
        task.execution_id, task.app_name, id_=task.node_id, type_=task.node_type, title=task.title
    )
    attributes["xworkflow.node.attempt"] = task.attempt
    attributes.update(_request(task))
    name = node_name(task.node_type, task.title)
    with tracer().start_as_current_span(name, attributes=attributes) as span:
        yield lambda report: _told(span, task, report)


def _nobody(_report: NodeReport) -> None:
    """Nobody traces."""


def _told(span: Span, task: NodeTask, report: NodeReport) -> None:
    if report.failure is not None:
        fail(span, report.failure.code, report.failure.text)
    elif report.result is not None and task.node_type == "llm":
        usage = report.result.llm_usage
        if usage is not None:
            span.set_attribute("gen_ai.usage.input_tokens", usage.prompt_tokens)
            span.set_attribute("gen_ai.usage.output_tokens", usage.completion_tokens)
        model = report.result.metadata.get("model")
        if isinstance(model, str):
            span.set_attribute("gen_ai.response.model", model)


def _request(task: NodeTask) -> Attributes:
    """OpenTelemetry's attributes of a model call, as far as the node's configuration has them."""
    model = task.data.get("model")
    if task.node_type != "llm" or not isinstance(model, dict):
        return {}
    told: Attributes = {"gen_ai.operation.name": "chat"}
    for key, name in (("name", "gen_ai.request.model"), ("provider", "gen_ai.provider.name")):
        value = cast("dict[str, JsonValue]", model).get(key)
        if isinstance(value, str):
            told[name] = value
    return told
