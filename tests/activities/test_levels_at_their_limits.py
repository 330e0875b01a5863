"""Each limit of each level, where it is: what just fits is done, and one more is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from tests.activities.attempts import code, http, task
from tests.workflows.drawing import chain, end, node, start, text
from xworkflow.activities.attempt import attempt
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.chat import ChatRequest, ChatResponse
from xworkflow.domain.network_policy import NetworkPolicy
from xworkflow.domain.quota import SecurityPolicy
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.security_limits import NodeLimits
from xworkflow.domain.wire import NodeReport
from xworkflow.ports import HttpClient
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.fake_llm import FakeLlm
from xworkflow.testing.mock_server import MockResponse, MockServer

LEVELS = {"standard": SecurityPolicy.standard(), "strict": SecurityPolicy.strict()}
KIB, MIB = 1024, 1024 * 1024
MODEL = {"model": {"provider": "fake", "name": "fake-1"}, "prompt_template": [
    {"role": "user", "text": "hi"}]}  # fmt: skip


class Endless(FakeLlm):
    """Never answers."""

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        await asyncio.Event().wait()
        return await super().chat_completion(request, http)


@pytest_asyncio.fixture
async def shared() -> AsyncIterator[RuntimeGroup]:
    group = RuntimeGroup()
    yield group
    await group.aclose()


@pytest.fixture
def web() -> Iterator[MockServer]:
    sizes = (256 * KIB, MIB, 10 * MIB)
    answers = tuple(
        MockResponse("GET", f"/{size}", response_body="x" * size) for size in (*sizes, MIB + 1)
    )
    with MockServer((*answers, MockResponse("GET", "/slow", delay_secs=30))) as server:
        yield server


async def made(group: RuntimeGroup, kind: str, data: dict[str, Any]) -> NodeReport:
    return await attempt(group, task(kind, data))


def says(*pieces: str, provider: FakeLlm | None = None) -> LlmProviderRegistry:
    registry = LlmProviderRegistry()
    registry.register(provider or FakeLlm(*pieces))
    return registry


def nested(depth: int) -> str:
    inner = "{% macro m(n) %}x{% if n > 1 %}{{ m(n - 1) }}{% endif %}{% endmacro %}"
    return f"{inner}{{{{ m({depth}) }}}}"


def looped(times: int) -> str:
    rows, rest = divmod(times, 10)  # outer rounds count, too
    ten = "{% for a in 'abcdefghij' %}{% endfor %}"
    return ten * rows + "{% for a in '" + "a" * rest + "' %}{% endfor %}"


@pytest.mark.parametrize(
    ("level", "fits", "too_much", "rule"),
    [
        ("standard", "x" * 10_000, "x" * 10_001, "Template too large (max 10000"),
        ("strict", "x" * 5_000, "x" * 5_001, "Template too large (max 5000"),
        ("standard", "{{ 'x' * 100000 }}", "{{ 'x' * 100001 }}", "output too large (max 100000"),
        ("strict", "{{ 'x' * 50000 }}", "{{ 'x' * 50001 }}", "output too large (max 50000"),
        ("standard", looped(1_000), looped(1_001), "(rule max_loop_iterations)"),
        ("strict", looped(100), looped(101), "(rule max_loop_iterations)"),
        ("standard", nested(5), nested(6), "(rule max_recursion_depth)"),
        ("strict", nested(3), nested(4), "(rule max_recursion_depth)"),
        ("strict", "{{ 'a'|upper }}", "{{ 'a'|debug }}", "(rule disabled_filters)"),
        ("strict", "{{ dict(a=1) }}", "{{ range(1) }}", "(rule disabled_functions)"),
    ],
)
async def test_templates(
    shared: RuntimeGroup, level: str, fits: str, too_much: str, rule: str
) -> None:
    group = shared.replaced(security_policy=LEVELS[level])
    report = await made(group, "template-transform", {"template": fits})
    assert report.failure is None, report.failure
    report = await made(group, "template-transform", {"template": too_much})
    assert report.failure is not None
    assert (report.failure.code, rule in report.failure.text) == ("template_error", True)


def scripted(size: int) -> dict[str, Any]:
    """The JSON text of the output has so many bytes, quotes included."""
    return code(f"function main() {{ return {{ a: 'x'.repeat({size - 2}) }} }}")


@pytest.mark.parametrize(("level", "most"), [("standard", MIB - 8), ("strict", 256 * KIB)])
async def test_outputs_of_scripts(shared: RuntimeGroup, level: str, most: int) -> None:
    """In ``standard`` the sandbox's own limit, of the whole result, comes first."""
    group = shared.replaced(security_policy=LEVELS[level])
    assert (await made(group, "code", scripted(most))).failure is None
    report = await made(group, "code", scripted(most + 1 if level == "strict" else MIB + 1))
    assert report.failure is not None
    assert "Output too large" in report.failure.text


@pytest.mark.parametrize(("level", "most"), [("standard", 10 * MIB), ("strict", MIB)])
async def test_responses(shared: RuntimeGroup, web: MockServer, level: str, most: int) -> None:
    limits = LEVELS[level].node_limits["http-request"]
    assert limits.max_output_bytes == most
    # the outputs hold the body and more, so the response alone is looked at
    here = NetworkPolicy(allowed_addresses=("127.0.0.1",), allowed_ports=())
    policy = replace(LEVELS["strict"], network=here)
    group = shared.replaced(security_policy=policy)
    report = await made(group, "http-request", http(f"{web.url}/{256 * KIB}"))
    assert report.failure is None, report.failure
    report = await made(group, "http-request", http(f"{web.url}/{MIB + 1}"))
    assert report.failure is not None
    assert "HTTP response too large (max 1048576 bytes" in report.failure.text


@pytest.mark.parametrize(("level", "most"), [("standard", MIB), ("strict", 256 * KIB)])
async def test_answers_of_models(shared: RuntimeGroup, level: str, most: int) -> None:
    for size, refused in ((most - 1_000, False), (most + 1, True)):
        group = shared.replaced(
            security_policy=LEVELS[level], llm_provider_registry=says("x" * size)
        )
        report = await made(group, "llm", MODEL)
        assert (report.failure is not None) == refused, report.failure
        if report.failure is not None:
            assert report.failure.text.startswith(f"Output too large for node n (max {most} bytes")


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("code", code("function main() { for (;;); }")),
        ("code", code("def main():\n    while True: pass", "python3")),
        ("http-request", http("/slow", timeout=20)),
        ("llm", MODEL),
        ("template-transform", {"template": "{% set a = 'x' * 9999 %}" + "".join(
            f"{{% set a = [a, a, {n}] %}}" for n in range(40)) + "{{ a|string|length }}"}),
    ],
    ids=["javascript", "python", "http", "llm", "template"],
)  # fmt: skip
async def test_time(shared: RuntimeGroup, web: MockServer, kind: str, data: dict[str, Any]) -> None:
    limits = {kind: NodeLimits(max_execution_time=0.4)}
    group = shared.replaced(
        security_policy=replace(SecurityPolicy.permissive(), node_limits=limits),
        llm_provider_registry=says(provider=Endless()),
    )
    if "url" in data:
        data = {**data, "url": web.url + data["url"]}
    async with asyncio.timeout(20):
        report = await made(group, kind, data)
    assert report.failure is not None
    assert report.failure.code in ("timeout", "sandbox_timeout", "sandbox_memory_limit")


# ---- files: a run is not started


def wide(nodes: int) -> WorkflowSchema:
    return chain("wide", start(), *(text(f"t{n}", "x") for n in range(nodes - 2)), end())


def long_id(length: int) -> WorkflowSchema:
    return chain("long", start(), text("t" * length, "x"), end())


def heavy(size: int) -> WorkflowSchema:
    bare = len('{"type":"template-transform","title":"T","template":"","variables":[]}')
    return chain("heavy", start(), text("t", "x" * (size - bare)), end())


def deep(depth: int) -> WorkflowSchema:
    inner: dict[str, Any] = {"nodes": [], "edges": []}
    for number in range(depth - 1):
        holder = {"id": f"n{number}", "type": "loop", "title": "L", "data": {"sub_graph": inner}}
        inner = {"nodes": [holder], "edges": []}
    return chain("deep", start(), node("t", "loop", sub_graph=inner), end())


@pytest.mark.parametrize(
    ("level", "make", "most", "found"),
    [
        ("standard", wide, 200, "E020"),
        ("strict", wide, 100, "E020"),
        ("standard", long_id, 128, "E022"),
        ("strict", long_id, 128, "E022"),
        ("standard", heavy, 65_536, "E023"),
        ("strict", heavy, 16_384, "E023"),
        ("standard", deep, 10, "E024"),
        ("strict", deep, 5, "E024"),
    ],
)
def test_files(level: str, make: Any, most: int, found: str) -> None:
    group = RuntimeGroup(security_policy=LEVELS[level])

    def codes(size: int) -> set[str]:
        builder = WorkflowRunner.builder(make(size)).context(WorkflowContext.new(group))
        return {diagnostic.code for diagnostic in builder.validate().errors}

    assert found not in codes(most)
    assert found in codes(most + 1)


def test_edges_of_files() -> None:
    for level, most in (("standard", 500), ("strict", 200)):
        limits = LEVELS[level].dsl_validation
        assert limits is not None
        assert limits.max_edges == most
        policy = replace(
            LEVELS[level], dsl_validation=limits.model_copy(update={"max_nodes": 1_000})
        )
        group = RuntimeGroup(security_policy=policy)
        for edges, refused in ((most, False), (most + 1, True)):
            builder = WorkflowRunner.builder(wide(edges + 1)).context(WorkflowContext.new(group))
            assert ("E021" in {d.code for d in builder.validate().errors}) == refused
