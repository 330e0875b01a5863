"""The OpenAI-compatible provider against a real server: what arrives, and what comes of answers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.runtime_group.conftest import Reply, Seen, Server
from xworkflow.domain.chat import (
    ChatRequest,
    ChatResponse,
    ImagePart,
    Message,
    TextPart,
    ToolCall,
    ToolDefinition,
)
from xworkflow.domain.results import LlmUsage
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import StreamingLlmProvider
from xworkflow.runtime_group.http import PooledHttpClient
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.testing.mock_server import MockResponse, MockServer

KEY = "sk-secret-123"
HELLO = (Message("user", "hello"),)


@pytest.fixture
async def http() -> AsyncIterator[PooledHttpClient]:
    made = PooledHttpClient()
    yield made
    await made.aclose()


def answer(**more: Any) -> bytes:
    message = {"content": "hi"} | more.pop("message", {})
    choice = {"message": message, "finish_reason": "stop"}
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    return json.dumps({"model": "m-1", "choices": [choice], "usage": usage} | more).encode()


def config(server: Server, **more: Any) -> OpenAiConfig:
    return OpenAiConfig(api_key=KEY, base_url=f"{server.url}/v1/", **more)


async def asked(
    server: Server, http: PooledHttpClient, request: ChatRequest, **more: Any
) -> tuple[ChatResponse, Seen]:
    server.answer = lambda _: Reply(body=answer())
    response = await OpenAiProvider(config(server, **more)).chat_completion(request, http)
    return response, server.seen[-1]


async def failure(server: Server, http: PooledHttpClient, reply: Reply) -> NodeFailure:
    server.answer = lambda _: reply
    with pytest.raises(NodeError) as caught:
        await OpenAiProvider(config(server)).chat_completion(ChatRequest("m", HELLO), http)
    return caught.value.failure


# --- the request


async def test_the_smallest_request_is_compact_json(server: Server, http: PooledHttpClient) -> None:
    _, seen = await asked(server, http, ChatRequest("m", HELLO))
    assert (seen.method, seen.path) == ("POST", "/v1/chat/completions")
    assert seen.body == (
        b'{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":false}'
    )
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert "openai-organization" not in seen.headers
    assert "idempotency-key" not in seen.headers


async def test_everything_that_is_set_arrives(server: Server, http: PooledHttpClient) -> None:
    request = ChatRequest(
        "",
        HELLO,
        temperature=0.5,
        top_p=0.9,
        max_tokens=7,
        tools=(ToolDefinition("t", "does", {"type": "object"}),),
        parameters={"stop": ["x"], "presence_penalty": 1, "model": "other", "stream": True},
        idempotency_key="run/n/1",
    )
    _, seen = await asked(server, http, request, org_id="org", default_model="m-default")
    function = {"name": "t", "description": "does", "parameters": {"type": "object"}}
    assert json.loads(seen.body) == {
        "model": "m-default",
        "messages": [{"role": "user", "content": "hello"}],
        "stream": False,
        "temperature": 0.5,
        "top_p": 0.9,
        "max_tokens": 7,
        "tools": [{"type": "function", "function": function}],
        "stop": ["x"],
        "presence_penalty": 1,
    }
    assert seen.headers["openai-organization"] == "org"
    assert seen.headers["idempotency-key"] == "run/n/1"


async def test_messages_of_every_form_arrive(server: Server, http: PooledHttpClient) -> None:
    messages = (
        Message("user", (TextPart("é"), ImagePart("http://i/1"), ImagePart("u", "low"))),
        Message("assistant", "", tool_calls=(ToolCall("c1", "t", {"a": 1}),)),
        Message("tool", "done", tool_call_id="c1"),
    )
    _, seen = await asked(server, http, ChatRequest("m", messages))
    assert json.loads(seen.body)["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "é"},
                {"type": "image_url", "image_url": {"url": "http://i/1", "detail": None}},
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
            ],
        },
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "t", "arguments": '{"a":1}'}}
            ],
        },
        {"role": "tool", "content": "done", "tool_call_id": "c1"},
    ]


async def test_credentials_of_the_call_win(
    server: Server, other_server: Server, http: PooledHttpClient
) -> None:
    other_server.answer = lambda _: Reply(body=answer())
    credentials = {"api_key": "sk-own", "base_url": other_server.url, "org_id": "org-own"}
    provider = OpenAiProvider(config(server, org_id="org"))
    await provider.chat_completion(ChatRequest("m", HELLO, credentials=credentials), http)
    (seen,) = other_server.seen
    assert server.seen == []
    assert seen.path == "/chat/completions"
    assert seen.headers["authorization"] == "Bearer sk-own"
    assert seen.headers["openai-organization"] == "org-own"


async def test_two_calls_share_one_connection(server: Server, http: PooledHttpClient) -> None:
    for _ in range(2):
        await asked(server, http, ChatRequest("m", HELLO))
    first, second = server.seen
    assert first.peer == second.peer


async def test_the_providers_address_is_under_the_network_policy(http: PooledHttpClient) -> None:
    provider = OpenAiProvider(OpenAiConfig(KEY, base_url="http://169.254.169.254"))
    with pytest.raises(NodeError) as caught:
        await provider.chat_completion(ChatRequest("m", HELLO), http)
    assert caught.value.failure.code == "input_validation_error"


# --- the answer


async def test_an_answer_is_read(server: Server, http: PooledHttpClient) -> None:
    response, _ = await asked(server, http, ChatRequest("m", HELLO))
    usage = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert response == ChatResponse("hi", usage, "m-1", "stop")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"choices":[{"message":{"content":null}}]}',
            ChatResponse("", LlmUsage(), "unknown"),
        ),
        (
            (
                b'{"choices":[{"message":{"content":[{"type":"text","text":"a"},{"text":"b"}]}}],'
                b'"usage":{"prompt_tokens":null,"total_tokens":4}}'
            ),
            ChatResponse("ab", LlmUsage(total_tokens=4), "unknown"),
        ),
        (
            answer(
                message={
                    "content": None,
                    "tool_calls": [
                        {"id": "1", "function": {"name": "t", "arguments": '{"a":1}'}},
                        {"id": "2", "function": {"name": "t", "arguments": "{"}},
                    ],
                },
                usage=None,
            ),
            ChatResponse(
                "",
                LlmUsage(),
                "m-1",
                "stop",
                (ToolCall("1", "t", {"a": 1}), ToolCall("2", "t", {})),
            ),
        ),
    ],
)
async def test_what_an_answer_leaves_out_has_a_default(
    server: Server, http: PooledHttpClient, body: bytes, expected: ChatResponse
) -> None:
    server.answer = lambda _: Reply(body=body)
    provider = OpenAiProvider(config(server))
    assert await provider.chat_completion(ChatRequest("m", HELLO), http) == expected


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"choices":[]}', b'{"choices":[{}]}', b"[" * 100_000]
)
async def test_what_is_no_answer_is_a_serialisation_error(
    server: Server, http: PooledHttpClient, body: bytes
) -> None:
    failed = await failure(server, http, Reply(body=body))
    assert failed.code == "internal_error"
    assert failed.text.startswith("Serialization error: ")
    assert not failed.retryable


# --- errors


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (401, ("llm_auth_error", "Authentication error: no", False)),
        (403, ("llm_auth_error", "Authentication error: no", False)),
        (429, ("llm_rate_limit", "Rate limit exceeded: no", True)),
        (400, ("llm_api_error", "API error (400): no", False)),
        (404, ("llm_api_error", "API error (404): no", False)),
        (500, ("llm_api_error", "API error (500): no", True)),
        (503, ("llm_api_error", "API error (503): no", True)),
    ],
)
async def test_an_error_status_has_its_code(
    server: Server, http: PooledHttpClient, status: int, expected: tuple[str, str, bool]
) -> None:
    failed = await failure(server, http, Reply(status, b"no"))
    assert (failed.code, failed.text, failed.retryable) == expected
    assert failed.http_status == status
    assert len(server.seen) == 1, "the provider never retries by itself"


async def test_how_long_to_wait_is_taken_from_the_server(
    server: Server, http: PooledHttpClient
) -> None:
    failed = await failure(server, http, Reply(429, b"busy", {"retry-after": "7"}))
    assert failed.retry_after_secs == 7
    assert failed.text == "Rate limit exceeded: retry after 7s: busy"


async def test_a_server_that_quotes_the_key_is_corrected(
    server: Server, http: PooledHttpClient
) -> None:
    failed = await failure(server, http, Reply(401, f"wrong key {KEY}".encode()))
    assert failed.text == "Authentication error: wrong key ***"


async def test_a_long_error_page_is_cut(server: Server, http: PooledHttpClient) -> None:
    failed = await failure(server, http, Reply(500, b"x" * 100_000))
    assert len(failed.text) < 5000


async def test_a_server_that_is_not_there_is_a_network_error(http: PooledHttpClient) -> None:
    provider = OpenAiProvider(OpenAiConfig(KEY, base_url="http://127.0.0.1:1"))
    with pytest.raises(NodeError) as caught:
        await provider.chat_completion(ChatRequest("m", HELLO), http)
    failed = caught.value.failure
    assert failed.code == "network_error"
    assert failed.text.startswith("Network error: cannot connect to http://127.0.0.1:1")
    assert failed.retryable


@pytest.mark.parametrize("key", ["sk-a\nb", "sk-é", "sk-\x00"])
async def test_a_key_that_no_header_can_carry_is_refused_without_being_told(
    server: Server, http: PooledHttpClient, key: str
) -> None:
    provider = OpenAiProvider(config(server))
    request = ChatRequest("m", HELLO, credentials={"api_key": key})
    with pytest.raises(NodeError) as caught:
        await provider.chat_completion(request, http)
    assert caught.value.failure.code == "config_error"
    assert "sk-" not in caught.value.failure.text
    assert server.seen == []


def test_a_configuration_does_not_show_its_key() -> None:
    assert KEY not in repr(OpenAiConfig(KEY))
    assert KEY not in repr(ChatRequest("m", HELLO, credentials={"api_key": KEY}))


def test_a_provider_says_what_it_offers() -> None:
    info = OpenAiProvider(OpenAiConfig(KEY), provider_id="local").info()
    assert (info.id, info.name, [model.id for model in info.models]) == (
        "local", "OpenAI", ["gpt-4o"],
    )  # fmt: skip


# --- streams


def event(delta: Any = None, **more: Any) -> str:
    choices = [] if delta is None else [{"index": 0, "delta": delta} | more.pop("choice", {})]
    return f"data: {json.dumps({'model': 'm-1', 'choices': choices} | more)}\n\n"


def end(reason: str = "stop") -> str:
    return event({}, choice={"finish_reason": reason})


DONE = "data: [DONE]\n\n"
USAGE = event(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})


async def streamed(
    http: PooledHttpClient, body: str, **more: Any
) -> tuple[ChatResponse, list[str], MockServer]:
    """What comes of a body that is sent event by event."""
    more = {"response_headers": {"content-type": "text/event-stream"}, "event_delay_secs": 0} | more
    answer = MockResponse("POST", "/v1/chat/completions", response_body=body, **more)
    pieces: list[str] = []
    with MockServer((answer,)) as mock:
        provider = OpenAiProvider(OpenAiConfig(api_key=KEY, base_url=f"{mock.url}/v1"))
        asked = ChatRequest("m", HELLO)
        return await provider.chat_completion_stream(asked, http, pieces.append), pieces, mock


async def broken(http: PooledHttpClient, body: str, **more: Any) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        await streamed(http, body, **more)
    return caught.value.failure


async def test_a_stream_gives_its_pieces_and_then_the_whole(http: PooledHttpClient) -> None:
    body = event({"content": "Hel"}) + event({"content": "lo"}) + end() + USAGE + DONE
    response, pieces, mock = await streamed(http, body)
    assert pieces == ["Hel", "lo", ""]
    usage = LlmUsage(prompt_tokens=1, completion_tokens=2, total_tokens=3)
    assert response == ChatResponse("Hello", usage, "m-1", "stop")
    assert mock.requests[0].body == (
        '{"model":"m","messages":[{"role":"user","content":"hello"}],"stream":true,'
        '"stream_options":{"include_usage":true}}'
    )


async def test_pieces_are_handed_out_while_the_answer_comes(http: PooledHttpClient) -> None:
    """Long before its end: the server takes half a second over each."""
    body = event({"content": "a"}) + event({"content": "b"}) * 100
    answer = MockResponse("POST", "/chat/completions", response_body=body, event_delay_secs=0.5)
    came: asyncio.Queue[str] = asyncio.Queue()
    with MockServer((answer,)) as mock:
        provider = OpenAiProvider(OpenAiConfig(api_key=KEY, base_url=mock.url))
        asking = asyncio.create_task(
            provider.chat_completion_stream(ChatRequest("m", HELLO), http, came.put_nowait)
        )
        async with asyncio.timeout(10):
            assert await came.get() == "a"
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)


async def test_calls_of_tools_are_joined_by_their_index(http: PooledHttpClient) -> None:
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments} | more.pop("function", {})
        return {"tool_calls": [{"index": index, "function": function} | more]}

    body = (
        event(call(0, "", id="c1", function={"name": "t"}))
        + event(call(1, "{}", id="c2", function={"name": "u"}))
        + event(call(0, '{"a"'))
        + event(call(0, ":1}"))
        + end("tool_calls")
        + DONE
    )
    response, _, _ = await streamed(http, body)
    assert response.tool_calls == (ToolCall("c1", "t", {"a": 1}), ToolCall("c2", "u", {}))
    assert (response.content, response.finish_reason) == ("", "tool_calls")


@pytest.mark.parametrize("tail", [DONE, end(), end() + USAGE])
async def test_a_stream_may_end_with_a_reason_or_with_its_mark(
    http: PooledHttpClient, tail: str
) -> None:
    response, _, _ = await streamed(http, event({"content": "hi"}) + tail)
    assert response.content == "hi"


async def test_of_several_choices_the_first_is_read(http: PooledHttpClient) -> None:
    second = event({"content": "no"}, choice={"index": 1})
    response, pieces, _ = await streamed(http, event({"content": "yes"}) + second + end() + DONE)
    assert (response.content, pieces) == ("yes", ["yes", ""])


@pytest.mark.parametrize(
    ("body", "more"),
    [
        (event({"content": "a"}) + event({"content": "b"}), {}),
        (event({"content": "a"}) + end() + DONE, {"cut_after_events": 1}),
        ("", {}),
    ],
)
async def test_a_stream_that_is_cut_off_may_be_tried_again(
    http: PooledHttpClient, body: str, more: dict[str, Any]
) -> None:
    failed = await broken(http, body, **more)
    assert (failed.code, failed.retryable) == ("network_error", True)
    assert failed.text.startswith("Network error: ")


@pytest.mark.parametrize(
    ("error", "code", "text", "retryable"),
    [
        (
            {"message": "too many", "code": 429},
            "llm_rate_limit",
            "Rate limit exceeded: too many",
            True,
        ),
        ({"message": "down", "status": 503}, "llm_api_error", "API error (503): down", True),
        (
            {"message": f"no {KEY}", "code": 401},
            "llm_auth_error",
            "Authentication error: no ***",
            False,
        ),
        (
            {"message": "busy", "type": "server_error"},
            "internal_error",
            "Stream error: busy",
            True,
        ),
        (
            {"message": f"not {KEY}", "type": "invalid_request_error"},
            "internal_error",
            "Stream error: not ***",
            False,
        ),
        ("gone", "internal_error", "Stream error: gone", False),
    ],
)
async def test_an_error_in_the_middle_is_the_answers_own(
    http: PooledHttpClient, error: Any, code: str, text: str, retryable: bool
) -> None:
    body = event({"content": "a"}) + f"data: {json.dumps({'error': error})}\n\n" + DONE
    failed = await broken(http, body)
    assert (failed.code, failed.text, failed.retryable) == (code, text, retryable)


@pytest.mark.parametrize("data", ["{", "[]", '{"choices":[{"delta":[1]}]}'])
async def test_an_event_that_is_none_is_a_serialisation_error(
    http: PooledHttpClient, data: str
) -> None:
    failed = await broken(http, f"data: {data}\n\n")
    assert (failed.code, failed.retryable) == ("internal_error", False)
    assert failed.text.startswith("Serialization error: ")


async def test_an_error_status_is_read_before_any_stream(http: PooledHttpClient) -> None:
    failed = await broken(http, f"no {KEY}", response_status=429)
    assert (failed.code, failed.text) == ("llm_rate_limit", "Rate limit exceeded: no ***")


async def test_a_server_that_cannot_stream_gives_one_piece(http: PooledHttpClient) -> None:
    response, pieces, _ = await streamed(
        http,
        answer().decode(),
        response_headers={"content-type": "application/json"},
        event_delay_secs=None,
    )
    assert (response.content, pieces) == ("hi", ["hi"])


def test_the_provider_is_known_to_stream() -> None:
    assert isinstance(OpenAiProvider(OpenAiConfig(KEY)), StreamingLlmProvider)
