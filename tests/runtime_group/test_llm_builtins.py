"""The providers that come with xworkflow: found by Dify's names, made from the environment."""

from __future__ import annotations

import pytest

from tests.runtime_group.conftest import Reply, Server
from xworkflow.domain.chat import ChatRequest, Message
from xworkflow.errors import NodeError
from xworkflow.providers import RealTimeProvider
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.llm_openai import (
    DEFAULT_BASE_URL,
    OpenAiConfig,
    OpenAiProvider,
    config_of,
)
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry

OPENAI = OpenAiProvider(OpenAiConfig("k"))


def registry(*providers: OpenAiProvider) -> LlmProviderRegistry:
    made = LlmProviderRegistry()
    for provider in providers:
        made.register(provider)
    return made


@pytest.mark.parametrize("name", ["openai", "langgenius/openai/openai", "openai/openai"])
def test_a_provider_is_found_by_its_id_and_by_difys_form_of_it(name: str) -> None:
    assert registry(OPENAI).get(name) is OPENAI


def test_the_exact_id_wins_over_its_last_segment() -> None:
    exact = OpenAiProvider(OpenAiConfig("k"), provider_id="langgenius/openai/openai")
    assert registry(OPENAI, exact).get("langgenius/openai/openai") is exact


@pytest.mark.parametrize("name", ["OpenAI", "azure", "openai/azure", ""])
def test_an_unknown_provider_is_told_by_name(name: str) -> None:
    with pytest.raises(NodeError) as caught:
        registry(OPENAI).get(name)
    assert caught.value.failure.code == "execution_error"
    assert caught.value.failure.text.endswith(f"Provider not found: {name}")


@pytest.mark.parametrize("environment", [{}, {"OPENAI_API_KEY": " "}])
def test_without_a_key_there_is_no_built_in_provider(environment: dict[str, str]) -> None:
    assert LlmProviderRegistry.with_builtins(environment).list() == ()


def test_the_environment_says_where_the_provider_is() -> None:
    assert config_of({"OPENAI_API_KEY": "k\n"}) == OpenAiConfig("k", DEFAULT_BASE_URL)
    given = {"OPENAI_API_KEY": "k", "OPENAI_BASE_URL": "http://b", "OPENAI_ORG_ID": "o"}
    assert config_of(given) == OpenAiConfig("k", "http://b", "o", "gpt-4o")


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert LlmProviderRegistry.with_builtins().list() == ("openai",)


async def test_a_group_lends_its_providers_and_its_client(server: Server) -> None:
    server.answer = lambda _: Reply(body=b'{"choices":[{"message":{"content":"hi"}}]}')
    own = OpenAiProvider(OpenAiConfig("k", server.url))
    group = RuntimeGroup.builder().llm_provider_registry(registry(own)).build()
    try:
        lent = group.ports(RealTimeProvider())
        request = ChatRequest("m", (Message("user", "hello"),))
        response = await lent.llm.get("openai").chat_completion(request, lent.http)
        (client,) = group.http_client_provider.stats().entries
    finally:
        await group.aclose()
    assert response.content == "hi"
    assert client.request_count == 1, "the call went out through the group's client"
