"""Types that exist elsewhere and cannot run here, each with what would provide it.

Validation refuses them by name (E050) unless the node is mocked; a name in no table is E009.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_MODEL = "a model provider in the runtime group and a node type that calls it"
_TRIGGER = "a service outside of the run that starts it; draw a start node instead"
_MEMORY = "a memory provider in the runtime group and a node type that calls it"
_PLUGIN = "a plugin that registers an executor for this type"

UNSUPPORTED: Mapping[str, str] = MappingProxyType(
    {
        "parameter-extractor": _MODEL,
        "agent": "a model provider, tool providers and a node type that lets the model call them",
        "tool": "a tool or MCP provider in the runtime group and a node type that calls it",
        "knowledge-retrieval": "a knowledge base and a node type that queries it",
        "knowledge-retrieval-v2": "a knowledge base and a node type that queries it",
        "knowledge-index": "a knowledge base and a node type that writes to it",
        "datasource": "a data source plugin and the pipeline that reads it",
        "document-extractor": "a node type that reads text out of files",
        "memory-recall": _MEMORY,
        "memory-store": _MEMORY,
        "trigger-webhook": _TRIGGER,
        "trigger-schedule": _TRIGGER,
        "trigger-plugin": _TRIGGER,
    }
)

ENTRY_TYPES = ("trigger-webhook", "trigger-schedule", "trigger-plugin", "datasource")
"""Types that stand where a start node would."""


def missing_provider(name: str) -> str | None:
    """What would provide a known type that cannot run here; None for an unknown name."""
    if name.startswith("plugin.") and name != "plugin.":
        return _PLUGIN
    return UNSUPPORTED.get(name)
