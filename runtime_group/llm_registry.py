"""LLM providers of a group, by id. Provider objects are shared by all runs of the group."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from xworkflow.errors import NodeError
from xworkflow.ports import LlmProvider
from xworkflow.runtime_group.llm_openai import OpenAiProvider, config_of

__all__ = ["LlmProvider", "LlmProviderRegistry"]


class LlmProviderRegistry:
    """Provider id → provider. Empty when made; filled before the first run (spec/runtime.md
    3.1)."""

    def __init__(self) -> None:
        self._providers: dict[str, LlmProvider] = {}

    @classmethod
    def with_builtins(cls, environment: Mapping[str, str] | None = None) -> LlmProviderRegistry:
        """A registry of what the environment has keys for; the process's own by default.

        ``openai`` from ``OPENAI_API_KEY``, ``OPENAI_BASE_URL`` and ``OPENAI_ORG_ID``.
        """
        registry = cls()
        openai = config_of(os.environ if environment is None else environment)
        if openai is not None:
            registry.register(OpenAiProvider(openai))
        return registry

    def register(self, provider: LlmProvider) -> None:
        """Add or replace, by the provider's own id."""
        self._providers[provider.id()] = provider

    def get(self, provider_id: str) -> LlmProvider:
        """The provider of an id, else of its last segment: Dify writes
        ``langgenius/openai/openai``.

        Raises NodeError ``execution_error`` when the group has neither.
        """
        alias = provider_id.rsplit("/", 1)[-1]
        found = self._providers.get(provider_id) or self._providers.get(alias)
        if found is None:
            raise NodeError.of_kind("execution_error", f"Provider not found: {provider_id}")
        return found

    def list(self) -> tuple[str, ...]:
        """The ids, sorted."""
        return tuple(sorted(self._providers))

    def apply_plugin_providers(self, providers: Iterable[LlmProvider]) -> None:
        """Add or replace the providers of plugins."""
        for provider in providers:
            self.register(provider)

    def layered(self, over: LlmProviderRegistry) -> LlmProviderRegistry:
        """A registry of its own: these providers, and over them those of another."""
        twin = self.clone_registry()
        twin._providers.update(over._providers)
        return twin

    def clone_registry(self) -> LlmProviderRegistry:
        """A registry of its own with the same provider objects."""
        twin = LlmProviderRegistry()
        twin._providers.update(self._providers)
        return twin
