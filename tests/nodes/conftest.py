"""What the tests of nodes share: a node made from plain data, and fakes of the ports."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

from xworkflow.domain.chat import ChatRequest, ChatResponse, ProviderInfo
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import to_file
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import AnyNode, Node
from xworkflow.nodes.registry import NodeRegistry
from xworkflow.ports import (
    CodeResult,
    HttpClient,
    HttpRequest,
    HttpResponse,
    HttpStream,
    LlmProvider,
    Ports,
    SandboxLimits,
    SandboxPool,
)
from xworkflow.providers import FakeTimeProvider


def node(node_type: str, dialect: Dialect = "native", **data: Any) -> AnyNode:
    found = NodeRegistry.builtin().get(node_type)
    return Node("n", node_type, "N", found.data_model.model_validate(data), dialect)


def pool(**spaces: Mapping[str, Any]) -> VariablePool:
    return VariablePool(spaces)


@dataclass
class FakeVm:
    """Answers with ``result``; keeps what it was asked."""

    language: str
    result: Any = None
    calls: list[tuple[str, Mapping[str, Any], SandboxLimits]] = field(default_factory=list[Any])
    streams: list[Mapping[str, Sequence[str]] | None] = field(default_factory=list[Any])
    chunks: tuple[Any, ...] | None = None
    process_id: int = 1

    async def execute(
        self,
        code: str,
        inputs: Mapping[str, Any],
        limits: SandboxLimits,
        *,
        streams: Mapping[str, Sequence[str]] | None = None,
    ) -> CodeResult:
        self.calls.append((code, inputs, limits))
        self.streams.append(streams)
        return CodeResult(self.result, stdout="printed", chunks=self.chunks)

    async def render(
        self, template: str, variables: Mapping[str, Any], dialect: Dialect, limits: SandboxLimits
    ) -> str:
        self.calls.append((template, variables, limits))
        return f"{dialect}:{self.result}"


class FakeSandbox:
    """Lends one fake VM per language and counts who was given back."""

    def __init__(self, result: Any = None) -> None:
        self.vms = {name: FakeVm(name, result) for name in ("js", "python", "wasm", "template")}
        self.returned: list[str] = []

    def __getattr__(self, name: str) -> Any:
        language = name.removesuffix("_vm")
        if language not in self.vms:
            raise AttributeError(name)

        @asynccontextmanager
        async def lend() -> AsyncGenerator[FakeVm, None]:
            try:
                yield self.vms[language]
            finally:
                self.returned.append(language)

        return lend


@dataclass
class FakeHttp:
    """Answers every request alike; keeps them."""

    response: HttpResponse = field(default_factory=lambda: HttpResponse(200, (), b"ok"))
    sent: list[HttpRequest] = field(default_factory=list[HttpRequest])

    refused: str = ""

    async def send(self, request: HttpRequest) -> HttpResponse:
        self.sent.append(request)
        return self.response

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[HttpStream]:
        response = await self.send(request)

        async def parts() -> AsyncIterator[bytes]:
            yield response.content

        yield HttpStream(response.status_code, response.headers, parts())

    def check_url(self, url: str) -> None:
        if url == self.refused:
            failure = NodeFailure.of_kind("input_validation_error", "Blocked host: i")
            told = {"host": "i", "rule": "denied_domains"}
            raise NodeError(failure.model_copy(update={"metadata": told}))


@dataclass
class FakeProvider:
    """Answers every request alike; keeps them."""

    response: ChatResponse = field(
        default_factory=lambda: ChatResponse(
            "hello", LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3), "m-1", "stop"
        )
    )
    asked: list[ChatRequest] = field(default_factory=list[ChatRequest])

    def id(self) -> str:
        return "fake"

    def info(self) -> ProviderInfo:
        return ProviderInfo("fake", "Fake")

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        del http
        self.asked.append(request)
        return self.response


@dataclass
class FakeDeltas:
    """Keeps what is put."""

    pieces: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])

    def put(self, variable: str, text: str) -> None:
        self.pieces.append((variable, text))


@dataclass
class FakeProviders:
    """Knows one provider, under every name but ``unknown``."""

    provider: LlmProvider = field(default_factory=FakeProvider)

    def get(self, provider_id: str) -> LlmProvider:
        if provider_id == "unknown":
            raise NodeError.of_kind("execution_error", f"Provider not found: {provider_id}")
        return self.provider


@dataclass
class FakeFiles:
    """Gives the content under a file's id; keeps what is saved."""

    contents: dict[str, bytes] = field(default_factory=dict[str, bytes])
    saved: list[tuple[bytes, str, str]] = field(default_factory=list[tuple[bytes, str, str]])

    async def read(self, file: Mapping[str, Any], *, max_bytes: int) -> bytes:
        content = self.contents[file["id"]]
        assert len(content) <= max_bytes
        return content

    async def save(self, content: bytes, *, name: str, mime_type: str) -> Any:
        self.saved.append((content, name, mime_type))
        return to_file({"name": name, "mime_type": mime_type, "size": len(content), "id": "kept"})


def ports(sandbox: FakeSandbox | None = None, http: FakeHttp | None = None, **more: Any) -> Ports:
    more = {"llm": FakeProviders(), "files": FakeFiles(), "time": FakeTimeProvider(0), **more}
    return Ports(
        sandbox=cast("SandboxPool", sandbox or FakeSandbox()),
        http=http or FakeHttp(),
        **more,
    )
