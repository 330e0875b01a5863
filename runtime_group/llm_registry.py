"""LLM providers of a group, by id. Provider objects are shared by all runs of the group."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from xworkflow.errors import NodeError, NodeFailure


@runtime_checkable
class LlmProvider(Protocol):
    """One provider of models; owns its connections."""

    def id(self) -> str: ...


class LlmProviderRegistry:
    """Provider id → provider. Empty when made."""

    def __init__(self) -> None:
        self._providers: dict[str, LlmProvider] = {}

    def register(self, provider: LlmProvider) -> None:
        """Add or replace, by the provider's own id."""
        self._providers[provider.id()] = provider

    def get(self, provider_id: str) -> LlmProvider:
        """Raises NodeError when the group has no such provider."""
        try:
            return self._providers[provider_id]
        except KeyError:
            text = f"Provider not found: {provider_id}"
            raise NodeError(NodeFailure(code="llm_model_not_found", text=text)) from None

    def list(self) -> tuple[str, ...]:
        """The ids, sorted."""
        return tuple(sorted(self._providers))

    def clone_registry(self) -> LlmProviderRegistry:
        """A registry of its own with the same provider objects."""
        twin = LlmProviderRegistry()
        twin._providers.update(self._providers)
        return twin
