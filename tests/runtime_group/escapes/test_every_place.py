"""Hostile templates and texts in each node that fills one in, as its attempts run in a worker."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.activities.attempts import Recorded, task
from tests.runtime_group.escapes.templates import BOMBS, INJECTIONS
from tests.runtime_group.escapes.test_templates import SIGNS, SLACK_SECS
from xworkflow.activities.attempt import attempt
from xworkflow.domain.placeholders import MAX_TEXT
from xworkflow.domain.quota import SecurityPolicy
from xworkflow.domain.security_limits import NodeLimits
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import NodeReport
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.fake_llm import FakeLlm

VALUES: dict[Selector, JsonValue] = {
    ("start", "v"): "a b-<'c'>" * 40,
    ("start", "l"): [[1, "x"], [2, "y"]],
    ("start", "o"): {"a": 1},
}
BINDINGS = [{"variable": name, "value_selector": [space, name]} for space, name in VALUES]
LIMIT_SECS = 1.0
LIMITED = replace(
    SecurityPolicy.permissive(),
    node_limits={
        kind: NodeLimits(max_execution_time=LIMIT_SECS) for kind in ("template-transform", "llm")
    },
)
# as many as a file of 64 KB holds
MANY = "{{#start.v#}}" * 5_000


@pytest.fixture
def log() -> Recorded:
    return Recorded()


@pytest_asyncio.fixture
async def group(log: Recorded) -> AsyncIterator[RuntimeGroup]:
    registry = LlmProviderRegistry()
    registry.register(FakeLlm("said"))
    group = RuntimeGroup(
        audit_logger=log, security_policy=LIMITED, llm_provider_registry=registry, group_id="t"
    )
    yield group
    await group.aclose()


def jinja_prompt(template: str) -> dict[str, Any]:
    return {
        "model": {"provider": "fake", "name": "fake-1", "mode": "chat"},
        "prompt_template": [
            {"role": "user", "edition_type": "jinja2", "jinja2_text": template, "text": ""},
            {"role": "user", "text": "hi"},
        ],
        "prompt_config": {"jinja2_variables": BINDINGS},
    }


async def tried(
    group: RuntimeGroup, kind: str, data: dict[str, Any], dialect: Dialect = "dify"
) -> NodeReport:
    began = time.monotonic()
    report = await attempt(group, task(kind, data, VALUES, dialect=dialect))
    assert time.monotonic() - began < LIMIT_SECS + SLACK_SECS
    return report


@pytest.mark.parametrize("dialect", ["native", "dify"])
async def test_a_template_node_fails_or_prints_what_it_may(
    group: RuntimeGroup, log: Recorded, dialect: Dialect
) -> None:
    for template in (*INJECTIONS, *BOMBS[::6]):
        data = {"template": template, "variables": BINDINGS}
        report = await tried(group, "template-transform", data, dialect)
        text = report.model_dump_json()
        assert not [sign for sign in SIGNS if sign in text], template
    after = await tried(group, "template-transform", {"template": "{{ 1 + 1 }}"}, dialect)
    assert after.result is not None
    assert after.result.outputs == {"output": "2"}
    assert set(log.types) == {"TemplateRenderingAnomaly"}


async def test_a_prompt_of_a_model_fails_or_holds_what_it_may(
    group: RuntimeGroup, log: Recorded
) -> None:
    provider = group.llm_provider_registry.get("fake")
    assert isinstance(provider, FakeLlm)
    for template in (*INJECTIONS[::4], *BOMBS[::6]):
        await tried(group, "llm", jinja_prompt(template))
    asked = str(provider.asked)
    assert not [sign for sign in SIGNS if sign in asked]
    assert len(asked) < 2 * MAX_TEXT
    assert (await tried(group, "llm", jinja_prompt("{{ 1 + 1 }}"))).result is not None
    assert set(log.types) == {"TemplateRenderingAnomaly"}


async def test_the_limits_of_templates_hold_in_prompts(group: RuntimeGroup, log: Recorded) -> None:
    strict = group.replaced(security_policy=SecurityPolicy.strict())
    for template in ("{{ v }}" * 1_000, "{% for i in v %}{{ i }}{% endfor %}"):
        report = await tried(strict, "llm", jinja_prompt(template))
        assert report.failure is not None, template
        assert report.failure.code == "template_error"
    assert log.types == ["TemplateRenderingAnomaly"]  # one of them was too long to begin with
    assert log.events[0]["details"]["template_length"] == len("{% for i in v %}{{ i }}{% endfor %}")


def request(**parts: Any) -> dict[str, Any]:
    return {"method": "POST", "url": "http://127.0.0.1:9", **parts}


MODEL = {"provider": "fake", "name": "fake-1"}
FIELDS = [{"key": f"k{n}", "value": "{{#start.v#}}"} for n in range(500)]


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("answer", {"answer": MANY}),
        ("http-request", request(body={"type": "raw_text", "data": MANY})),
        ("http-request", request(body={"type": "json", "data": MANY})),
        ("http-request", request(body={"type": "form_data", "data": FIELDS})),
        ("http-request", request(body={"type": "x_www_form_urlencoded", "data": FIELDS})),
        ("http-request", request(headers=FIELDS)),
        ("http-request", request(params=FIELDS)),
        ("http-request", request(url=f"http://127.0.0.1:9/{MANY}")),
        ("llm", {"model": MODEL, "prompt_template": [
            {"role": "user", "text": "{{#start.v#}}"} for _ in range(500)]}),
        ("question-classifier", {"model": MODEL, "query_variable_selector": ["start", "o"],
            "instruction": MANY, "categories": [
                {"category_id": "1", "category_name": "a"},
                {"category_id": "2", "category_name": "b"}]}),
    ],
    ids=["answer", "text", "json", "form", "urlencoded", "headers", "params", "url", "prompt",
         "classifier"],
)  # fmt: skip
@pytest.mark.parametrize("dialect", ["native", "dify"])
async def test_a_text_that_names_a_large_value_too_often_is_refused(
    group: RuntimeGroup, kind: str, data: dict[str, Any], dialect: Dialect
) -> None:
    large = {**VALUES, ("start", "v"): "x" * 1_000_000}
    report = await attempt(group, task(kind, data, large, dialect=dialect))
    assert report.failure is not None
    text = f"Template error: the text is longer than {MAX_TEXT} characters"
    assert (report.failure.code, report.failure.text) == ("template_error", text)
