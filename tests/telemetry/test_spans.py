"""One trace from the client through the run to each node, on a real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from temporalio.contrib.opentelemetry import OpenTelemetryPlugin
from temporalio.worker import Replayer

from tests.workflows.bench import Bench, history
from tests.workflows.drawing import chain, code, end, handler, http, node, start
from xworkflow.client.status import Completed, Failed, FailedWithRecovery
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import workflow_runner
from xworkflow.workflows import GraphWorkflow

pytestmark = pytest.mark.temporal


@pytest.fixture
def web() -> Iterator[str]:
    answer = (
        '{"model": "gpt-of-the-server", "choices": [{"message": {"role": "assistant", '
        '"content": "hello"}, "finish_reason": "stop"}], '
        '"usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}}'
    )
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("POST", "/v1/chat/completions", response_body=answer),
    )
    with MockServer(responses) as server:
        yield server.url


def by_name(spans: InMemorySpanExporter) -> dict[str, ReadableSpan]:
    """The spans of one run; none is there twice."""
    finished = spans.get_finished_spans()
    named = {span.name: span for span in finished}
    assert len(named) == len(finished), [span.name for span in finished]
    return named


def parent_of(span: ReadableSpan) -> int | None:
    return None if span.parent is None else span.parent.span_id


def id_of(span: ReadableSpan) -> int:
    assert span.context is not None
    return span.context.span_id


@pytest.mark.parametrize("sandboxed", [True, False], ids=["sandboxed", "unsandboxed"])
async def test_a_run_is_one_trace_from_the_client_to_each_node(
    traced_bench: Bench, spans: InMemorySpanExporter, web: str, *, sandboxed: bool
) -> None:
    schema = chain("Orders", start("n"), code("c"), http("get", f"{web}/ok"), end(n="c.n"))
    async with traced_bench.worker(sandboxed=sandboxed):
        handle = await traced_bench.start(schema, {"n": 1})
        assert await handle.wait() == Completed({"n": 2})
    named = by_name(spans)
    nodes = {"start Start", "code C", "http-request Get", "end End"}
    assert set(named) == {"start Orders", "run Orders", *nodes}
    assert len({span.context.trace_id for span in named.values() if span.context}) == 1
    assert parent_of(named["start Orders"]) is None
    assert parent_of(named["run Orders"]) == id_of(named["start Orders"])
    assert {parent_of(named[name]) for name in nodes} == {id_of(named["run Orders"])}
    of_run = {"xworkflow.run.id": handle.execution_id, "xworkflow.app": "Orders"}
    for span in named.values():
        assert of_run.items() <= dict(span.attributes or {}).items()
    assert dict(named["http-request Get"].attributes or {}) == {
        **of_run,
        "xworkflow.node.id": "get",
        "xworkflow.node.type": "http-request",
        "xworkflow.node.title": "Get",
        "xworkflow.node.attempt": 1,
    }


async def test_a_model_call_has_the_attributes_of_generative_ai(
    traced_bench: Bench, spans: InMemorySpanExporter, web: str
) -> None:
    model = {
        "provider": "openai", "name": "gpt-x", "mode": "chat",
    }  # fmt: skip
    keys = {"OPENAI_API_KEY": "secret-key", "OPENAI_BASE_URL": f"{web}/v1"}
    prompt = [{"role": "user", "text": "hi"}]
    schema = chain(
        "Ask", start(), node("ask", "llm", model=model, prompt_template=prompt), end(t="ask.text")
    )
    group = RuntimeGroup(llm_provider_registry=LlmProviderRegistry.with_builtins(keys))
    bench = Bench(traced_bench.client, traced_bench.queue, group)
    async with bench.worker(sandboxed=True):
        assert await (await bench.start(schema)).wait() == Completed({"t": "hello"})
    await group.aclose()
    found = dict(by_name(spans)["llm Ask"].attributes or {})
    assert {name: value for name, value in found.items() if name.startswith("gen_ai.")} == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-x",
        "gen_ai.response.model": "gpt-of-the-server",
        "gen_ai.usage.input_tokens": 7,
        "gen_ai.usage.output_tokens": 3,
    }
    assert "secret-key" not in str(found)


async def test_what_failed_is_marked_in_the_node_and_in_the_run(
    traced_bench: Bench, spans: InMemorySpanExporter
) -> None:
    schema = chain("Broken", start(), http("get", "http://127.0.0.1:1/"), end())
    async with traced_bench.worker(sandboxed=True):
        assert isinstance(await (await traced_bench.start(schema)).wait(), Failed)
    named = by_name(spans)
    for name, code_ in (("http-request Get", "http_error"), ("run Broken", "NodeExecutionError")):
        assert named[name].status.status_code is StatusCode.ERROR
        assert (named[name].attributes or {})["error.type"] == code_
    assert (named["run Broken"].attributes or {})["xworkflow.run.status"] == "failed"


async def test_an_error_handler_belongs_to_the_run(
    traced_bench: Bench, spans: InMemorySpanExporter
) -> None:
    recovery = handler("recover", start(), end(e="sys.error_type"))
    broken = http("get", "http://127.0.0.1:1/")
    schema = chain("Saved", start(), broken, end(), handler=recovery)
    async with traced_bench.worker(sandboxed=True):
        status = await (await traced_bench.start(schema)).wait()
    assert isinstance(status, FailedWithRecovery)
    finished = spans.get_finished_spans()
    (run,) = (span for span in finished if span.name == "run Saved")
    (handled,) = (span for span in finished if span.name == "run Saved (error handler)")
    assert parent_of(handled) == id_of(run)


async def test_a_traced_run_replays_with_and_without_telemetry_and_sends_nothing_again(
    traced_bench: Bench, spans: InMemorySpanExporter, web: str
) -> None:
    schema = chain("Again", start("n"), http("get", f"{web}/ok"), code("c"), end(n="c.n"))
    async with traced_bench.worker(sandboxed=True, max_cached_workflows=0):
        handle = await traced_bench.start(schema, {"n": 1})
        assert await handle.wait() == Completed({"n": 2})
    named = by_name(spans)
    assert parent_of(named["http-request Get"]) == id_of(named["run Again"])
    assert parent_of(named["end End"]) == id_of(named["run Again"])
    spans.clear()
    temporal = traced_bench.client.get_workflow_handle(handle.execution_id)
    recorded = await temporal.fetch_history()
    for plugins in ([], [OpenTelemetryPlugin()]):
        replayer = Replayer(
            workflows=[GraphWorkflow],
            workflow_runner=workflow_runner(sandboxed=True),
            data_converter=traced_bench.client.data_converter,
            plugins=plugins,
        )
        await replayer.replay_workflow(recorded)
    assert spans.get_finished_spans() == ()


async def test_a_client_that_does_not_trace_sends_no_header_and_makes_no_span(
    bench: Bench, spans: InMemorySpanExporter, web: str
) -> None:
    schema = chain("Quiet", start("n"), code("c"), http("get", f"{web}/ok"), end(n="c.n"))
    handle = await bench.start(schema, {"n": 1})
    assert await handle.wait() == Completed({"n": 2})
    assert spans.get_finished_spans() == ()
    for event in await history(handle, bench.client):
        assert not event.workflow_execution_started_event_attributes.header.fields
        assert not event.activity_task_scheduled_event_attributes.header.fields
