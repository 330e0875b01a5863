"""The providers of a group, by id (spec/runtime.md 3.1)."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from xworkflow.domain.chat import ChatRequest, ChatResponse, ProviderInfo
from xworkflow.errors import NodeError
from xworkflow.ports import HttpClient
from xworkflow.runtime_group import LlmProvider, LlmProviderRegistry


@dataclass(eq=False)
class FakeProvider:
    name: str = "fake"
    asked: list[ChatRequest] = field(default_factory=list[ChatRequest])

    def id(self) -> str:
        return self.name

    def info(self) -> ProviderInfo:
        raise NotImplementedError

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        raise NotImplementedError


def registry(*providers: LlmProvider) -> LlmProviderRegistry:
    made = LlmProviderRegistry()
    made.apply_plugin_providers(providers)
    return made


def test_a_new_registry_is_empty() -> None:
    assert LlmProviderRegistry().list() == ()


def test_a_provider_is_found_by_its_own_id() -> None:
    provider = FakeProvider("mine")
    providers = LlmProviderRegistry()
    providers.register(provider)
    assert providers.get("mine") is provider


def test_a_second_provider_of_an_id_replaces_the_first() -> None:
    second = FakeProvider()
    providers = registry(FakeProvider(), second)
    assert providers.get("fake") is second
    assert providers.list() == ("fake",)


def test_ids_are_listed_in_order() -> None:
    assert registry(FakeProvider("b"), FakeProvider("a")).list() == ("a", "b")


def test_an_unknown_provider_is_a_failure_that_names_it() -> None:
    with pytest.raises(NodeError, match="Provider not found: nope"):
        LlmProviderRegistry().get("nope")


def test_a_clone_has_the_same_providers_and_a_list_of_its_own() -> None:
    provider = FakeProvider()
    providers = registry(provider)
    clone = providers.clone_registry()
    clone.register(FakeProvider("more"))
    assert clone.get("fake") is provider
    assert providers.list() == ("fake",)


def test_a_layer_replaces_what_is_below_and_changes_neither() -> None:
    below, above, kept = FakeProvider("a"), FakeProvider("a"), FakeProvider("b")
    lower, upper = registry(below, kept), registry(above)
    both = lower.layered(upper)
    assert (both.get("a"), both.get("b")) == (above, kept)
    assert lower.get("a") is below
    assert upper.list() == ("a",)


def test_difys_long_form_of_an_id_leads_to_the_provider_of_its_last_segment() -> None:
    provider = FakeProvider("openai")
    assert registry(provider).get("langgenius/openai/openai") is provider


def test_the_whole_id_wins_over_its_last_segment() -> None:
    exact, alias = FakeProvider("a/b"), FakeProvider("b")
    assert registry(alias, exact).get("a/b") is exact


def test_the_builtins_are_those_that_the_environment_has_a_key_for() -> None:
    assert LlmProviderRegistry.with_builtins({}).list() == ()
    assert LlmProviderRegistry.with_builtins({"OPENAI_API_KEY": "sk-1"}).list() == ("openai",)


def test_the_environment_of_the_process_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    assert LlmProviderRegistry.with_builtins().list() == ("openai",)
    assert LlmProviderRegistry().list() == ()
