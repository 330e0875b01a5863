"""What many runs share in one worker process: pools, registries, limits (the seed's
RuntimeGroup)."""

from xworkflow.runtime_group.group import (
    ResourceGroup,
    RuntimeGroup,
    RuntimeGroupBuilder,
)
from xworkflow.runtime_group.llm_registry import LlmProvider, LlmProviderRegistry

__all__ = [
    "LlmProvider",
    "LlmProviderRegistry",
    "ResourceGroup",
    "RuntimeGroup",
    "RuntimeGroupBuilder",
]
