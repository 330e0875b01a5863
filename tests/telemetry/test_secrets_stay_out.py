"""A real run that uses secrets, and everything that is kept of it: not one of them is there."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from tests.activities.attempts import Recorded
from tests.workflows.bench import Bench, history, read
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.context import WorkflowContext
from xworkflow.domain.loading import load
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

pytestmark = pytest.mark.temporal

SECRET = "s3cr€t-value/+=?"
KEY = "sk-model-secret"

EXPORT = """
kind: app
version: 0.6.0
app: {name: Leaky, mode: workflow}
workflow:
  environment_variables:
    - {name: TOKEN, value: "%s", value_type: secret}
    - {name: MODEL_KEY, value: "%s", value_type: secret}
    - {name: BASE, value: "%s", value_type: string}
  graph:
    nodes:
      - {id: start, data: {type: start, title: Start, variables: []}}
      - id: asks
        data:
          type: http-request
          title: Asks
          method: post
          url: "{{#env.BASE#}}/ok/{{#env.TOKEN#}}"
          headers: "X-Token: {{#env.TOKEN#}}"
          params: "t: {{#env.TOKEN#}}"
          authorization: {type: api-key, config: {type: basic, api_key: "user:{{#env.TOKEN#}}"}}
          body: {type: raw-text, data: [{type: text, value: "token={{#env.TOKEN#}}"}]}
      - id: fails
        data:
          type: http-request
          title: Fails
          method: get
          url: "{{#env.BASE#}}/fail?t={{#env.TOKEN#}}"
          headers: ""
          params: ""
          authorization: {type: no-auth}
          body: {type: none}
          fail_on_error_status: true
          error_strategy: default-value
          default_value: [{key: body, type: string, value: none}]
      - id: model
        data:
          type: llm
          title: Model
          model:
            provider: openai
            name: m
            mode: chat
            completion_params: {}
            credentials: {api_key: "{{#env.MODEL_KEY#}}", base_url: "%s/fail"}
          prompt_template: [{role: user, text: "what is {{#asks.body#}}"}]
          error_strategy: default-value
          default_value: [{key: text, type: string, value: none}]
      - id: says
        data:
          type: template-transform
          title: Says
          template: "{{ body }}"
          variables: [{variable: body, value_selector: [asks, body]}]
      - id: end
        data:
          type: end
          title: End
          outputs: [{variable: echo, value_selector: [says, output]}]
    edges:
      - {id: e1, source: start, target: asks}
      - {id: e2, source: asks, target: fails}
      - {id: e3, source: fails, target: model}
      - {id: e4, source: model, target: says}
      - {id: e5, source: says, target: end}
"""


class Echo(MockServer):
    """Sends back all that it gets; fails where it is told to."""

    def answer(self, request: ReceivedRequest) -> MockResponse:
        self.requests.append(request)
        body = json.dumps({"p": request.path, "h": request.headers, "b": request.body})
        status = 500 if request.path.startswith("/fail") else 200
        return MockResponse(
            request.method, request.path, status, {"content-type": "application/json"}, body
        )


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


def schema(echo: Echo) -> WorkflowSchema:
    return load(EXPORT % (SECRET, KEY, echo.url, echo.url), "yaml")


def found_in(text: str) -> list[str]:
    escaped = json.dumps(SECRET)[1:-1]
    twice = json.dumps(escaped)[1:-1]
    forms = (SECRET, quote(SECRET), quote(SECRET, safe=""), escaped, twice, KEY)
    return [form for form in forms if form in text]


async def test_nothing_that_is_kept_of_a_run_holds_a_secret(
    traced_bench: Bench,
    spans: InMemorySpanExporter,
    echo: Echo,
    caplog: pytest.LogCaptureFixture,
) -> None:
    bench, log = traced_bench, Recorded()
    bench.group.llm_provider_registry.register(OpenAiProvider(OpenAiConfig(api_key="none")))
    object.__setattr__(bench.group, "audit_logger", log)
    loaded = schema(echo)
    with caplog.at_level(logging.DEBUG):
        context = WorkflowContext.new(bench.group)
        builder = WorkflowRunner.builder(loaded).context(context).options(traced=True)
        async with bench.worker():
            handle = await builder.client(bench.client, task_queue=bench.queue).run()
            status = await handle.wait()
        assert isinstance(status, Completed), status
    # the secrets were really used
    asked = [request for request in echo.requests if request.path.startswith("/ok")]
    assert asked[0].headers["x-token"].encode("latin-1").decode() == SECRET
    assert any(r.headers.get("authorization") == f"Bearer {KEY}" for r in echo.requests)
    kept = {
        "history": "".join(
            event.SerializeToString().decode("utf-8", "replace")
            for event in await history(handle, bench.client)
        ),
        "events": "".join(str(event) for event in await read(handle)),
        "result": str(status),
        "logs": caplog.text,
        "traces": "".join(span.to_json() for span in spans.get_finished_spans()),
        "audit": json.dumps(log.events, ensure_ascii=False),
        "schema": loaded.text,
        "repr": repr(loaded),
    }
    assert {place: found_in(text) for place, text in kept.items() if found_in(text)} == {}
    assert "***" in kept["result"]
    assert "HTTP 500" in kept["events"]
    assert log.types.count("CredentialAccess") >= 3
    assert spans.get_finished_spans()


async def test_a_caller_who_gives_a_secret_gives_it_to_the_group(
    traced_bench: Bench, echo: Echo
) -> None:
    bench = traced_bench
    bench.group.llm_provider_registry.register(OpenAiProvider(OpenAiConfig(api_key="none")))
    context = WorkflowContext.new(bench.group)
    builder = WorkflowRunner.builder(schema(echo)).context(context)
    builder.environment_vars({"TOKEN": "another-s3cret", "BASE": echo.url})
    async with bench.worker():
        handle = await builder.client(bench.client, task_queue=bench.queue).run()
        assert isinstance(await handle.wait(), Completed)
    assert echo.requests[0].headers["x-token"] == "another-s3cret"
    events = await history(handle, bench.client)
    assert b"another-s3cret" not in b"".join(event.SerializeToString() for event in events)
