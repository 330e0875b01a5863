"""A group's security policy at work in the attempts of its nodes, and its audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.activities.attempts import Recorded, code, http, task
from xworkflow.activities.attempt import attempt
from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.domain.quota import DslLimits, SecurityPolicy
from xworkflow.domain.security_limits import NodeLimits, SelectorValidation, TemplateSafetyConfig
from xworkflow.domain.wire import NodeReport
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

Grouped = Callable[[SecurityPolicy], RuntimeGroup]


@pytest.fixture
def log() -> Recorded:
    return Recorded()


@pytest_asyncio.fixture
async def grouped(log: Recorded) -> AsyncIterator[Grouped]:
    shared = RuntimeGroup(audit_logger=log, group_id="tenant")
    yield lambda policy: shared.replaced(security_policy=policy)
    await shared.aclose()


@pytest.fixture
def web() -> Iterator[MockServer]:
    responses = (
        MockResponse("GET", "/ok", response_body="fine"),
        MockResponse("GET", "/big", response_body="x" * 5000),
        MockResponse("GET", "/slow", delay_secs=30),
    )
    with MockServer(responses) as server:
        yield server


def failed(report: NodeReport, code: str) -> str:
    assert report.failure is not None
    assert report.failure.code == code, report.failure
    return report.failure.text


def limits_of(node_type: str, **limits: Any) -> SecurityPolicy:
    return replace(SecurityPolicy.permissive(), node_limits={node_type: NodeLimits(**limits)})


async def test_the_standard_policy_keeps_requests_out_of_the_inside(
    grouped: Grouped, web: MockServer, log: Recorded
) -> None:
    report = await attempt(
        grouped(SecurityPolicy.standard()), task("http-request", http(f"{web.url}/ok"))
    )
    assert "(rule allowed_ports)" in failed(report, "input_validation_error")
    assert web.requests == []
    (event,) = log.events
    assert (event["event_type"], event["severity"]) == ("SsrfBlocked", "Warning")
    assert (event["group_id"], event["workflow_id"], event["node_id"]) == ("tenant", "run-1", "n")
    assert event["details"]["rule"] == "allowed_ports"


async def test_a_policy_that_opens_an_address_lets_requests_there(
    grouped: Grouped, web: MockServer, log: Recorded
) -> None:
    open_here = NetworkPolicy(allowed_addresses=("127.0.0.1",), allowed_ports=())
    policy = replace(SecurityPolicy.standard(), network=open_here)
    report = await attempt(grouped(policy), task("http-request", http(f"{web.url}/ok")))
    assert report.result is not None
    assert report.result.outputs["body"] == "fine"
    assert log.events == []


async def test_the_strict_policy_lets_nothing_out_until_its_list_is_filled(
    grouped: Grouped,
) -> None:
    data = http("https://public.example/")
    report = await attempt(grouped(SecurityPolicy.strict()), task("http-request", data))
    assert "Domain not allowed: public.example" in failed(report, "input_validation_error")


async def test_a_response_is_read_up_to_the_limit_of_its_nodes_type(
    grouped: Grouped, web: MockServer
) -> None:
    group = grouped(limits_of("http-request", max_output_bytes=1000))
    report = await attempt(group, task("http-request", http(f"{web.url}/big")))
    assert "HTTP response too large (max 1000 bytes" in failed(report, "http_error")


async def test_outputs_over_the_limit_fail_the_node_for_good(
    grouped: Grouped, log: Recorded
) -> None:
    script = "function main() { return { a: 'x'.repeat(600), b: 'y'.repeat(600) } }"
    group = grouped(limits_of("code", max_output_bytes=1000))
    report = await attempt(group, task("code", code(script)))
    text = failed(report, "output_too_large")
    assert text == "Output too large for node n (max 1000 bytes, got 1204 bytes)"
    assert report.failure is not None
    assert (report.failure.severity, report.failure.retryable) == ("fatal", False)
    assert log.types == ["OutputSizeExceeded"]
    assert log.events[0]["details"] == {"node_id": "n", "max": 1000, "actual": 1204}


@pytest.mark.parametrize(("drawn", "rule"), [(None, True), (5.0, True), (0.2, False)])
async def test_the_shorter_time_limit_counts(
    grouped: Grouped, web: MockServer, drawn: float | None, rule: bool
) -> None:
    group = grouped(limits_of("http-request", max_execution_time=0.3))
    report = await attempt(
        group, task("http-request", http(f"{web.url}/slow", timeout=20), timeout_secs=drawn)
    )
    assert ("(rule max_execution_time)" in failed(report, "timeout")) == rule
    assert report.failure is not None
    assert report.failure.retryable


async def test_a_script_that_never_ends_is_stopped_by_its_level(
    grouped: Grouped, log: Recorded
) -> None:
    group = grouped(limits_of("code", max_execution_time=1.5))
    endless = code("function main() { while (true) {} }")
    report = await attempt(group, task("code", endless))
    assert failed(report, "timeout").startswith("Node execution timed out after 1.5s")
    after = await attempt(group, task("code", code("function main() { return { a: 1 } }")))
    assert after.result is not None
    assert log.types == ["SandboxViolation"]
    assert log.events[0]["details"] == {"sandbox_type": "javascript", "violation": "timeout"}


async def test_a_script_that_eats_memory_is_stopped_by_its_level(
    grouped: Grouped, log: Recorded
) -> None:
    hungry = code(
        "function main() { const a = []; while (true) a.push(new Array(100000).fill(1)) }"
    )
    report = await attempt(grouped(SecurityPolicy.strict()), task("code", hungry))
    failed(report, "sandbox_memory_limit")
    assert log.types == ["SandboxViolation"]
    assert log.events[0]["details"] == {
        "sandbox_type": "javascript",
        "violation": "sandbox_memory_limit",
    }


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("{% for i in range(1001) %}{% endfor %}", "max_loop_iterations"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "max_recursion_depth"),
        ("{{ 'x' * 100001 }}", "Template output too large"),
    ],
)
async def test_templates_are_held_to_their_limits(
    grouped: Grouped, log: Recorded, template: str, rule: str
) -> None:
    group = grouped(SecurityPolicy.standard())
    report = await attempt(group, task("template-transform", {"template": template}))
    assert rule in failed(report, "template_error")
    assert log.types == ["TemplateRenderingAnomaly"]


async def test_a_template_that_is_too_long_is_no_anomaly(grouped: Grouped, log: Recorded) -> None:
    group = grouped(SecurityPolicy.strict())
    report = await attempt(group, task("template-transform", {"template": "x" * 5001}))
    assert "Template too large (max 5000, got 5001)" in failed(report, "template_error")
    assert log.types == []


async def test_functions_and_filters_of_templates_can_be_disabled(grouped: Grouped) -> None:
    policy = replace(
        SecurityPolicy.permissive(), template=TemplateSafetyConfig(disabled_filters=("upper",))
    )
    report = await attempt(
        grouped(policy), task("template-transform", {"template": "{{ 'a'|upper }}"})
    )
    assert "(rule disabled_filters)" in failed(report, "template_error")


async def test_a_selector_that_is_not_allowed_reads_as_null(grouped: Grouped) -> None:
    rules = SelectorValidation(allowed_prefixes=frozenset({"start"}))
    policy = replace(
        SecurityPolicy.permissive(), dsl_validation=DslLimits(selector_validation=rules)
    )
    data = {
        "code": "function main({ a, b }) { return { a, b } }",
        "variables": [
            {"variable": "a", "value_selector": ["start", "a"]},
            {"variable": "b", "value_selector": ["sys", "b"]},
        ],
    }
    values = {("start", "a"): 1, ("sys", "b"): 2}
    report = await attempt(grouped(policy), task("code", data, values))
    assert report.result is not None
    assert report.result.outputs == {"a": 1, "b": None}


async def test_a_group_without_a_policy_has_no_limits_and_logs_nothing(
    web: MockServer, log: Recorded
) -> None:
    group = RuntimeGroup(audit_logger=log)
    report = await attempt(group, task("http-request", http(f"{web.url}/ok")))
    await group.aclose()
    assert report.result is not None
    assert log.events == []
