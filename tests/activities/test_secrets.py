"""Secret variables in attempts: given to who may read them, masked wherever they come back."""

from __future__ import annotations

import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator, Mapping
from typing import Any
from urllib.parse import quote

import pytest
import pytest_asyncio

from tests.activities.attempts import Recorded, code, http, task
from xworkflow.activities.attempt import attempt
from xworkflow.domain.secret_references import reference, store_key
from xworkflow.domain.streams import chunks_selector
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import NodeReport
from xworkflow.errors import CredentialError
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.runtime_group.secret_stores import MemorySecretStore
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest

SECRET = 's3cr€t "key"/+=?'
SCOPE = "0" * 64
KEPT = store_key("tenant", SCOPE)
REFERENCE: JsonValue = reference("KEY", SCOPE)
KEY = {("env", "KEY"): REFERENCE}


class Echo(MockServer):
    """A server that sends back whatever it gets."""

    def answer(self, request: ReceivedRequest) -> MockResponse:
        self.requests.append(request)
        body = json.dumps(
            {"path": request.path, "headers": request.headers, "body": request.body},
            ensure_ascii=False,
        )
        status = 500 if request.path.startswith("/fail") else 200
        return MockResponse(request.method, request.path, status, {}, body)


@pytest.fixture
def echo() -> Iterator[Echo]:
    with Echo() as server:
        yield server


@pytest.fixture
def log() -> Recorded:
    return Recorded()


@pytest_asyncio.fixture
async def group(log: Recorded, echo: Echo) -> AsyncIterator[RuntimeGroup]:
    registry = LlmProviderRegistry()
    registry.register(OpenAiProvider(OpenAiConfig(api_key="none", base_url=f"{echo.url}/v1")))
    made = RuntimeGroup(
        group_id="tenant",
        audit_logger=log,
        llm_provider_registry=registry,
        secret_store=MemorySecretStore(),
    )
    made.secret_store.keep(KEPT, {"KEY": SECRET})
    yield made
    await made.aclose()


def told(report: NodeReport, log: Recorded) -> str:
    return report.model_dump_json() + json.dumps(log.events, ensure_ascii=False)


def forms() -> list[str]:
    return [
        SECRET,
        quote(SECRET, safe=""),
        json.dumps(SECRET)[1:-1],
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        json.dumps(json.dumps(SECRET, ensure_ascii=False))[3:-3],
        b64encode(f"user:{SECRET}".encode()).decode()[8:-4],
    ]


async def test_a_request_carries_the_secret_and_its_echo_does_not(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    data = http(
        f"{echo.url}/x",
        method="POST",
        params=[{"key": "k", "value": "{{#env.KEY#}}"}],
        body={"type": "json", "data": {"key": "before {{#env.KEY#}} after"}},
        authorization={"type": "basic_auth", "username": "user", "password": "{{#env.KEY#}}"},
    )
    data["body"]["data"] = '{"key": "{{#env.KEY#}}"}'
    report = await attempt(group, task("http-request", data, KEY))
    (sent,) = echo.requests
    assert quote(SECRET, safe="") in sent.path
    assert sent.headers["authorization"] == "Basic " + b64encode(f"user:{SECRET}".encode()).decode()
    assert report.result is not None
    text = told(report, log)
    assert "***" in text
    assert [form for form in forms() if form in text] == []
    assert log.types == ["CredentialAccess"]
    assert log.events[0]["details"] == {"provider": "env", "success": True}


async def test_an_error_that_quotes_the_secret_is_masked(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    data = http(
        f"{echo.url}/fail/{{{{#env.KEY#}}}}",
        headers=[{"key": "X-Key", "value": "{{#env.KEY#}}"}],
        fail_on_error_status=True,
    )
    report = await attempt(group, task("http-request", data, KEY))
    assert report.failure is not None
    assert report.failure.text.startswith("HTTP 500 ")
    assert [form for form in forms() if form in told(report, log)] == []


async def test_a_secret_in_a_host_is_told_to_nobody(group: RuntimeGroup, log: Recorded) -> None:
    group.secret_store.keep(KEPT, {"KEY": "hidden-name.invalid"})
    report = await attempt(group, task("http-request", http("http://{{#env.KEY#}}/x"), KEY))
    assert report.failure is not None
    assert "hidden-name" not in told(report, log)


@pytest.mark.parametrize(
    ("node_type", "data"),
    [
        (
            "code",
            {
                **code("function main({ k }) { return { k } }"),
                "variables": [{"variable": "k", "value_selector": ["env", "KEY"]}],
            },
        ),
        (
            "template-transform",
            {
                "template": "{{ k }}",
                "variables": [{"variable": "k", "value_selector": ["env", "KEY"]}],
            },
        ),
    ],
)
async def test_a_node_that_may_not_read_secrets_gets_a_reference(
    group: RuntimeGroup, log: Recorded, node_type: str, data: dict[str, Any]
) -> None:
    pieces = {chunks_selector(("env", "KEY")): None}  # in which a text came cross with it
    report = await attempt(group, task(node_type, data, KEY | pieces))
    assert report.result is not None
    assert SECRET not in told(report, log)
    assert log.events == []


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        (("start", "KEY"), REFERENCE),
        (("env", "OTHER"), REFERENCE),
        (("env", "KEY"), {**reference("KEY", SCOPE), "more": 1}),
        (("env", "KEY"), reference("KEY", "../../etc/passwd")),
    ],
)
async def test_a_reference_that_somebody_put_elsewhere_is_only_a_value(
    group: RuntimeGroup, echo: Echo, selector: tuple[str, str], value: JsonValue
) -> None:
    text = f"{{{{#{'.'.join(selector)}#}}}}"
    data = http(echo.url, method="POST", body={"type": "raw_text", "data": text})
    report = await attempt(group, task("http-request", data, {selector: value}))
    if report.failure is not None:
        assert "'env.KEY' cannot be had" in report.failure.text
        assert echo.requests == []
    else:
        assert SECRET not in echo.requests[0].body


async def test_a_models_credentials_are_filled_and_its_prompt_is_not(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    group.secret_store.keep(KEPT, {"KEY": "sk-plain-secret"})
    data = {
        "model": {
            "provider": "openai",
            "name": "m",
            "credentials": {"api_key": "{{#env.KEY#}}", "base_url": f"{echo.url}/fail"},
        },
        "prompt_template": [{"role": "user", "text": "the key is {{#env.KEY#}}"}],
    }
    report = await attempt(group, task("llm", data, KEY))
    (sent,) = echo.requests
    assert sent.headers["authorization"] == "Bearer sk-plain-secret"
    assert "sk-plain-secret" not in sent.body
    assert "sk-plain-secret" not in told(report, log)


class Provider:
    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.asked: list[tuple[str, str]] = []

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        self.asked.append((group_id, provider_name))
        if not self.values:
            raise CredentialError.not_found(group_id, provider_name)
        return self.values


async def test_a_secret_that_came_with_no_file_is_asked_of_the_groups_provider(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    provider = Provider({"OTHER": "from the provider"})
    group = group.replaced(credential_provider=provider)
    values = {("env", "OTHER"): reference("OTHER", SCOPE)}
    data = http(echo.url, headers=[{"key": "X-Key", "value": "{{#env.OTHER#}}"}])
    report = await attempt(group, task("http-request", data, values))
    assert echo.requests[0].headers["x-key"] == "from the provider"
    assert provider.asked == [("tenant", "env")]
    assert "from the provider" not in told(report, log)


async def test_another_group_with_the_same_file_does_not_find_the_secrets_of_it(
    group: RuntimeGroup, echo: Echo
) -> None:
    other = group.replaced(group_id="other")
    report = await attempt(other, task("http-request", http(f"{echo.url}/{{{{#env.KEY#}}}}"), KEY))
    assert report.failure is not None
    assert "'env.KEY' cannot be had" in report.failure.text
    assert echo.requests == []


async def test_a_secret_without_a_value_fails_its_node_and_says_which(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    group = group.replaced(credential_provider=Provider({}))
    values = {("env", "OTHER"): reference("OTHER", SCOPE)}
    report = await attempt(group, task("http-request", http("http://{{#env.OTHER#}}/"), values))
    assert report.failure is not None
    assert report.failure.code == "config_error"
    assert "'env.OTHER' cannot be had: Credential not found: group=tenant" in report.failure.text
    assert log.events[0]["details"] == {"provider": "env", "success": False}
    assert echo.requests == []


async def test_what_a_provider_gave_a_model_is_masked_as_well(
    group: RuntimeGroup, echo: Echo, log: Recorded
) -> None:
    provider = Provider({"api_key": "sk-of-the-provider", "base_url": f"{echo.url}/fail"})
    group = group.replaced(credential_provider=provider)
    data: dict[str, Any] = {"model": {"provider": "openai", "name": "m"}, "prompt_template": []}
    report = await attempt(group, task("llm", data))
    assert echo.requests[0].headers["authorization"] == "Bearer sk-of-the-provider"
    assert report.failure is not None
    assert "sk-of-the-provider" not in told(report, log)


class Talkative:
    """An executor whose fault quotes what it read."""

    async def execute(self, node_id: str, config: Any, variable_pool: Any, context: Any) -> Any:
        del node_id, config, context
        raise RuntimeError(f"cannot use {variable_pool.get(('env', 'KEY'))}")


async def test_a_fault_of_an_executor_is_masked_in_report_and_log(
    group: RuntimeGroup, log: Recorded, caplog: pytest.LogCaptureFixture
) -> None:
    group.node_executor_registry.register("talkative", Talkative())
    with caplog.at_level(logging.DEBUG):
        report = await attempt(group, task("talkative", {}, KEY))
    assert report.failure is not None
    assert "cannot use ***" in report.failure.text
    assert "cannot use ***" in caplog.text
    assert [form for form in forms() if form in told(report, log) + caplog.text] == []


async def test_the_logs_of_a_request_hold_no_secret(
    group: RuntimeGroup, echo: Echo, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        await attempt(group, task("http-request", http(f"{echo.url}/{{{{#env.KEY#}}}}"), KEY))
    assert [form for form in forms() if form in caplog.text] == []


class Away(MockServer):
    """A server that sends its clients to another one."""

    def __init__(self, other: str) -> None:
        super().__init__()
        self._other = other

    def answer(self, request: ReceivedRequest) -> MockResponse:
        self.requests.append(request)
        return MockResponse(request.method, request.path, 307, {"Location": self._other})


async def test_a_secret_in_any_header_stays_with_the_origin_that_it_was_drawn_for(
    group: RuntimeGroup, echo: Echo
) -> None:
    headers = [{"key": "X-Tenant", "value": "t-{{#env.KEY#}}"}, {"key": "X-Trace", "value": "1"}]
    group.secret_store.keep(KEPT, {"KEY": "s3cret-value"})
    with Away(f"{echo.url}/x") as away:
        report = await attempt(group, task("http-request", http(away.url, headers=headers), KEY))
        assert away.requests[0].headers["x-tenant"] == "t-s3cret-value"
    assert report.failure is None
    assert "x-tenant" not in echo.requests[0].headers
    assert echo.requests[0].headers["x-trace"] == "1"


@pytest.mark.parametrize(
    "drawn",
    [
        {"body": {"type": "json", "data": {"a": "{{#env.KEY#}}"}}},
        {
            "body": {"type": "json", "data": "{}"},
            "authorization": {"type": "api_key", "key": "k", "value": "v", "position": "body"},
        },
    ],
    ids=["secret", "api key"],
)
async def test_a_secret_in_a_body_is_not_sent_on_to_another_origin(
    group: RuntimeGroup, echo: Echo, log: Recorded, drawn: dict[str, Any]
) -> None:
    with Away(f"{echo.url}/x") as away:
        data = http(away.url, **{"method": "POST", **drawn})
        report = await attempt(group, task("http-request", data, KEY))
        assert len(away.requests) == 1
    assert echo.requests == []
    assert report.failure is not None
    assert "(rule credentials_stay)" in report.failure.text
    assert "SsrfBlocked" in log.types
