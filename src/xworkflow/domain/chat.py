"""What is said to a chat model and what it answers, whichever provider is asked.

Plain frozen data: nodes make requests, providers of the runtime group put them on the wire
(spec/runtime.md 3.1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, cast

from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue

Role = Literal["system", "user", "assistant", "tool"]

_ROLES: Final = frozenset({"system", "user", "assistant", "tool"})
_NONE: Final[Mapping[str, JsonValue]] = MappingProxyType({})


def parse_role(drawn: str) -> Role:
    """The role of a spelling, whatever its case. Raises ValueError for any other text."""
    role = drawn.strip().lower()
    if role not in _ROLES:
        raise ValueError(f"Unsupported role: {drawn}")
    return cast("Role", role)


@dataclass(frozen=True, slots=True)
class TextPart:
    text: str


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image by its address: an http(s) URL, or a ``data:`` URL that holds it."""

    url: str
    detail: str | None = None


Part: TypeAlias = TextPart | ImagePart


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the model asks for; ``arguments`` is JSON already parsed."""

    id: str
    name: str
    arguments: JsonValue


@dataclass(frozen=True, slots=True)
class ToolDefinition:
    """A tool that the model may call; ``parameters`` is a JSON schema."""

    name: str
    description: str
    parameters: Mapping[str, JsonValue]


@dataclass(frozen=True, slots=True)
class Message:
    """One turn; ``tool_call_id`` says which call a message of the role ``tool`` answers."""

    role: Role
    content: str | tuple[Part, ...]
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call of a model. ``credentials`` win over the provider's own (api_key, org_id, base_url).

    ``parameters`` are sent as they are, under the names that the provider's wire format has for
    them. All repeats of one attempt carry the same ``idempotency_key``.
    """

    model: str
    messages: tuple[Message, ...]
    temperature: float | None = None
    top_p: float | None = None
    max_tokens: int | None = None
    tools: tuple[ToolDefinition, ...] = ()
    parameters: Mapping[str, JsonValue] = field(default_factory=lambda: _NONE)
    credentials: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    idempotency_key: str = ""


@dataclass(frozen=True, slots=True)
class ChatResponse:
    """A whole answer. ``model`` is the one that answered, by the provider's account."""

    content: str
    usage: LlmUsage
    model: str
    finish_reason: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model that a provider offers; ``max_tokens`` is the size of its context."""

    id: str
    name: str
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ProviderInfo:
    id: str
    name: str
    models: tuple[ModelInfo, ...] = ()
