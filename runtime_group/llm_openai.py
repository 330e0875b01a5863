"""The OpenAI-compatible provider: one call, one request, one answer, whole or in pieces
(spec/runtime.md 3.3).

It keeps no connection of its own: each request goes out through the group's client, under its
policy. It never retries; a node's ``retry_config`` does. The API key travels in a header, and in no
error: servers that quote it are corrected.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from xworkflow.domain.chat import ChatRequest, ChatResponse, ModelInfo, ProviderInfo
from xworkflow.domain.retry_after import retry_after_secs
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import HttpClient, HttpRequest, HttpResponse, HttpStream, OnDelta
from xworkflow.runtime_group.openai_wire import (
    AnswerErrorEvent,
    StreamedAnswer,
    UnreadableAnswerError,
    read_answer,
    written_request,
)
from xworkflow.runtime_group.sse import SseDecoder

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-4o"

_MASK: Final = "***"
_MAX_QUOTED: Final = 4096
"""Characters of a body that an error quotes: errors land in a run's history."""
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_UNLIMITED_SECS: Final = 24 * 3600.0
"""The call itself has no limit of its own: a node's ``timeout_secs``, or the run's, ends it."""
_PASSING: Final = ("server_error", "overloaded", "rate_limit", "timeout", "unavailable")
"""Words in the kind of an error that say: ask again."""
_UNSENDABLE: Final = re.compile(r"[^\x20-\x7e]")


@dataclass(frozen=True, slots=True)
class OpenAiConfig:
    """Where a provider is and who asks. Each may be replaced by a node's credentials."""

    api_key: str = field(repr=False)
    base_url: str = DEFAULT_BASE_URL
    org_id: str | None = None
    default_model: str = DEFAULT_MODEL


def config_of(environment: Mapping[str, str]) -> OpenAiConfig | None:
    """The configuration that environment variables spell; None without a key."""
    key = environment.get("OPENAI_API_KEY", "").strip()
    if not key:
        return None
    return OpenAiConfig(
        api_key=key,
        base_url=environment.get("OPENAI_BASE_URL", "").strip() or DEFAULT_BASE_URL,
        org_id=environment.get("OPENAI_ORG_ID", "").strip() or None,
    )


class OpenAiProvider:
    """A ``ports.LlmProvider`` for everything that speaks OpenAI's chat completions."""

    def __init__(self, config: OpenAiConfig, *, provider_id: str = "openai") -> None:
        self._config = config
        self._id = provider_id

    def id(self) -> str:
        return self._id

    def info(self) -> ProviderInfo:
        model = self._config.default_model
        return ProviderInfo(self._id, "OpenAI", (ModelInfo(model, model),))

    async def chat_completion(self, request: ChatRequest, http: HttpClient) -> ChatResponse:
        """Ask, and read the whole answer. Raises NodeError with a code of 3.3."""
        config = _merged(self._config, request.credentials)
        with _network_errors():
            response = await http.send(_http_request(config, request))
        if not _is_answer(response):
            raise _refused(response, config.api_key)
        return _read(response.content)

    async def chat_completion_stream(
        self, request: ChatRequest, http: HttpClient, on_delta: OnDelta
    ) -> ChatResponse:
        """Ask, and hand out the answer piece by piece. Raises NodeError with a code of 3.3.

        A server that cannot stream and answers in one piece is taken at its word.
        """
        config = _merged(self._config, request.credentials)
        with _network_errors():
            async with http.stream(_http_request(config, request, stream=True)) as stream:
                if _is_answer(stream) and not _is_json(stream):
                    return await _followed(stream, on_delta, config.api_key)
                content = b"".join([part async for part in stream.parts])
        if not _is_answer(stream):
            response = HttpResponse(stream.status_code, stream.headers, content)
            raise _refused(response, config.api_key)
        whole = _read(content)
        on_delta(whole.content)
        return whole


async def _followed(stream: HttpStream, on_delta: OnDelta, api_key: str) -> ChatResponse:
    events, answer = SseDecoder(), StreamedAnswer()

    def take(data: list[str]) -> None:
        for event in data:
            piece = answer.take(event)
            if piece is not None:
                on_delta(piece)

    try:
        async for part in stream.parts:
            take(events.feed(part))
        take(events.close())
    except UnreadableAnswerError as error:
        raise _unreadable(error) from None
    except AnswerErrorEvent as error:
        raise _failed_midway(error, api_key) from None
    if not answer.is_complete:
        raise _network_error("the stream ended before the answer did", retryable=True)
    return answer.response()


def _is_answer(response: HttpResponse | HttpStream) -> bool:
    return 200 <= response.status_code < 300  # noqa: PLR2004


def _is_json(stream: HttpStream) -> bool:
    return dict(stream.headers).get("content-type", "").lower().startswith("application/json")


def _read(content: bytes) -> ChatResponse:
    try:
        return read_answer(content)
    except UnreadableAnswerError as error:
        raise _unreadable(error) from None


def _merged(config: OpenAiConfig, credentials: Mapping[str, str]) -> OpenAiConfig:
    return OpenAiConfig(
        api_key=(credentials.get("api_key") or config.api_key).strip(),
        base_url=(credentials.get("base_url") or config.base_url).strip(),
        org_id=credentials.get("org_id") or config.org_id,
        default_model=config.default_model,
    )


def _http_request(
    config: OpenAiConfig, request: ChatRequest, *, stream: bool = False
) -> HttpRequest:
    headers = [("Content-Type", "application/json")]
    if config.api_key:  # servers of one's own often want none
        headers.insert(0, ("Authorization", f"Bearer {config.api_key}"))
    if config.org_id:
        headers.append(("OpenAI-Organization", config.org_id))
    if request.idempotency_key:
        headers.append(("Idempotency-Key", request.idempotency_key))
    for name, value in headers:
        if _UNSENDABLE.search(value):
            # said here, because the client's own error would quote the value
            raise _invalid(f"the value of the header {name} holds characters that cannot be sent")
    return HttpRequest(
        method="POST",
        url=f"{config.base_url.rstrip('/')}/chat/completions",
        headers=tuple(headers),
        content=written_request(request, config.default_model, stream=stream),
        timeout_secs=_UNLIMITED_SECS,
        credential_headers=frozenset({"openai-organization"}),
        max_response_bytes=_MAX_ANSWER_BYTES,
    )


@contextmanager
def _network_errors() -> Generator[None]:
    """The client's errors in a provider's words; what its policy refuses stays as it is."""
    try:
        yield
    except NodeError as error:
        if error.failure.code != "http_error":
            raise
        reason = error.failure.text.removeprefix("HTTP error: ")
        raise _network_error(reason, retryable=error.failure.retryable) from error


def _network_error(reason: str, *, retryable: bool) -> NodeError:
    text = f"Network error: {reason}"
    return NodeError(NodeFailure(code="network_error", text=text, retryable=retryable))


def _unreadable(error: UnreadableAnswerError) -> NodeError:
    return NodeError(NodeFailure(code="internal_error", text=f"Serialization error: {error}"))


def _failed_midway(event: AnswerErrorEvent, api_key: str) -> NodeError:
    """The error of a stream that ends with one: as its status says, else as its words do."""
    if event.status is not None:
        return _refused(HttpResponse(event.status, (), str(event).encode()), api_key)
    retryable = any(word in event.kind for word in _PASSING)
    text = f"Stream error: {_quoted(str(event), api_key)}"
    return NodeError(NodeFailure(code="internal_error", text=text, retryable=retryable))


def _quoted(body: str, api_key: str) -> str:
    return (body.replace(api_key, _MASK) if api_key else body)[:_MAX_QUOTED]


def _refused(response: HttpResponse, api_key: str) -> NodeError:
    """The error of an answer that is none: whose fault it is, and whether to ask again."""
    status = response.status_code
    body = _quoted(response.content.decode(errors="replace"), api_key)
    if status in (401, 403):
        return _error("llm_auth_error", f"Authentication error: {body}", status)
    if status == 429:  # noqa: PLR2004
        wait = retry_after_secs(response.headers)
        when = "" if wait is None else f"retry after {wait:g}s: "
        text = f"Rate limit exceeded: {when}{body}"
        return _error("llm_rate_limit", text, status, retryable=True, retry_after_secs=wait)
    retryable = status >= 500  # noqa: PLR2004
    return _error("llm_api_error", f"API error ({status}): {body}", status, retryable=retryable)


def _error(
    code: str,
    text: str,
    status: int,
    *,
    retryable: bool = False,
    retry_after_secs: float | None = None,
) -> NodeError:
    return NodeError(
        NodeFailure(
            code=code,
            text=text,
            retryable=retryable,
            retry_after_secs=retry_after_secs,
            http_status=status,
        )
    )


def _invalid(problem: str) -> NodeError:
    return NodeError(NodeFailure(code="config_error", text=f"Invalid request: {problem}"))
