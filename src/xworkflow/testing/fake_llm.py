"""A provider of models for tests: it says what it was told to say, in the pieces that it was given.

::

    group.llm_provider_registry.register(FakeLlm("Hello", " world"))
"""

from __future__ import annotations

from xworkflow.domain.chat import ChatRequest, ChatResponse, ModelInfo, ProviderInfo
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import HttpClient, OnDelta

_USAGE = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)


class FakeLlm:
    """A ``ports.StreamingLlmProvider``. With ``failure`` it breaks off after its last piece.

    ``asked`` keeps every request, in order.
    """

    def __init__(
        self,
        *pieces: str,
        provider_id: str = "fake",
        usage: LlmUsage = _USAGE,
        failure: NodeFailure | None = None,
    ) -> None:
        self.asked: list[ChatRequest] = []
        self._pieces = pieces
        self._id = provider_id
        self._usage = usage
        self._failure = failure

    def id(self) -> str:
        return self._id

    def info(self) -> ProviderInfo:
        return ProviderInfo(self._id, "Fake", (ModelInfo("fake-1", "fake-1"),))

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        """All pieces in one."""
        return await self.chat_completion_stream(request, http, lambda _piece: None)

    async def chat_completion_stream(
        self, request: ChatRequest, http: HttpClient, on_delta: OnDelta
    ) -> ChatResponse:
        """One piece after another."""
        del http
        self.asked.append(request)
        for piece in self._pieces:
            on_delta(piece)
        if self._failure is not None:
            raise NodeError(self._failure)
        return ChatResponse("".join(self._pieces), self._usage, request.model, "stop")
