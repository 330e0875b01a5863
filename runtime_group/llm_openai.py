"""The OpenAI-compatible provider: one call, one request, one answer (spec/runtime.md 3.3).

It keeps no connection of its own: each request goes out through the group's client, under its
policy. It never retries; a node's ``retry_config`` does. The API key travels in a header, and in no
error: servers that quote it are corrected.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from xworkflow.domain.chat import ChatRequest, ChatResponse, ModelInfo, ProviderInfo
from xworkflow.domain.retry_after import retry_after_secs
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import HttpClient, HttpRequest, HttpResponse
from xworkflow.runtime_group.openai_wire import UnreadableAnswerError, read_answer, written_request

DEFAULT_BASE_URL: Final = "https://api.openai.com/v1"
DEFAULT_MODEL: Final = "gpt-4o"

_MASK: Final = "***"
_MAX_QUOTED: Final = 4096
"""Characters of a body that an error quotes: errors land in a run's history."""
_MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_UNLIMITED_SECS: Final = 24 * 3600.0
"""The call itself has no limit of its own: a node's ``timeout_secs``, or the run's, ends it."""
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
        response = await _sent(_http_request(config, request), http)
        if not 200 <= response.status_code < 300:  # noqa: PLR2004
            raise _refused(response, config.api_key)
        try:
            return read_answer(response.content)
        except UnreadableAnswerError as error:
            text = f"Serialization error: {error}"
            raise NodeError(NodeFailure(code="internal_error", text=text)) from None


def _merged(config: OpenAiConfig, credentials: Mapping[str, str]) -> OpenAiConfig:
    return OpenAiConfig(
        api_key=(credentials.get("api_key") or config.api_key).strip(),
        base_url=(credentials.get("base_url") or config.base_url).strip(),
        org_id=credentials.get("org_id") or config.org_id,
        default_model=config.default_model,
    )


def _http_request(config: OpenAiConfig, request: ChatRequest) -> HttpRequest:
    headers = [("Authorization", f"Bearer {config.api_key}"), ("Content-Type", "application/json")]
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
        content=written_request(request, config.default_model),
        timeout_secs=_UNLIMITED_SECS,
        credential_headers=frozenset({"openai-organization"}),
        max_response_bytes=_MAX_ANSWER_BYTES,
    )


async def _sent(request: HttpRequest, http: HttpClient) -> HttpResponse:
    try:
        return await http.send(request)
    except NodeError as error:
        if error.failure.code != "http_error":  # refused by the policy: nothing was sent
            raise
        reason = error.failure.text.removeprefix("HTTP error: ")
        raise NodeError(
            NodeFailure(
                code="network_error",
                text=f"Network error: {reason}",
                retryable=error.failure.retryable,
            )
        ) from error


def _refused(response: HttpResponse, api_key: str) -> NodeError:
    """The error of an answer that is none: whose fault it is, and whether to ask again."""
    status = response.status_code
    text = response.content.decode(errors="replace")
    body = (text.replace(api_key, _MASK) if api_key else text)[:_MAX_QUOTED]
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
