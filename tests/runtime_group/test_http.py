"""The HTTP client against real servers on 127.0.0.1."""

from __future__ import annotations

import asyncio
import gzip
import socket
import threading
import time
import zlib
from collections.abc import AsyncIterator
from email import message_from_bytes
from email.message import Message
from ipaddress import ip_address
from typing import Any, cast

import pytest

from tests.runtime_group.conftest import Reply, Seen, Server
from xworkflow.domain.pool import VariablePool
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Node
from xworkflow.nodes.http_data import HttpRequestData
from xworkflow.nodes.http_request import HttpRequestNode
from xworkflow.ports import HttpClient, HttpRequest, Ports, SandboxPool, TimeProvider
from xworkflow.runtime_group.egress import Address, MetadataBlocked, body
from xworkflow.runtime_group.files import GroupFiles
from xworkflow.runtime_group.http import HttpClientProvider, HttpPoolConfig, PooledHttpClient
from xworkflow.runtime_group.llm_registry import LlmProviderRegistry
from xworkflow.testing.mock_server import MockResponse, MockServer


@pytest.fixture
async def client() -> AsyncIterator[PooledHttpClient]:
    made = PooledHttpClient()
    yield made
    await made.aclose()


def get(url: str, **more: Any) -> HttpRequest:
    return HttpRequest("GET", url, **more)


async def failure(client: HttpClient, request: HttpRequest) -> NodeError:
    with pytest.raises(NodeError) as caught:
        await client.send(request)
    return caught.value


def names_lead_to(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    """Make every name resolve to one address."""

    def resolve(_: str, port: int, *__: Any, **___: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


async def test_a_response_comes_back_whole_whatever_its_status(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(404, b"not here", {"X-Kind": "a"})
    response = await client.send(get(f"{server.url}/x?a=1"))
    assert (response.status_code, response.content) == (404, b"not here")
    assert dict(response.headers)["x-kind"] == "a"
    assert server.seen[0].path == "/x?a=1"


async def test_method_headers_and_body_are_sent_as_given(
    client: PooledHttpClient, server: Server
) -> None:
    headers = (("X-Name", "caf\u00e9"), ("Content-Length", "999"))
    await client.send(HttpRequest("PATCH", server.url, headers, b"data"))
    seen = server.seen[0]
    assert (seen.method, seen.body, seen.headers["content-length"]) == ("PATCH", b"data", "4")
    assert seen.headers["x-name"].encode("latin-1").decode() == "café"


async def test_requests_in_a_row_share_one_connection(
    client: PooledHttpClient, server: Server
) -> None:
    for _ in range(3):
        await client.send(get(server.url))
    assert len({seen.peer for seen in server.seen}) == 1
    assert client.stats().requests == 3
    assert client.stats().active == 0


async def test_groups_share_no_connection(server: Server) -> None:
    provider = HttpClientProvider()
    for group in ("a", "b", "a"):
        await provider.client(group).send(get(server.url))
    first, second, third = (seen.peer for seen in server.seen)
    await provider.aclose()
    assert first == third != second


async def test_a_client_serves_one_event_loop_after_another(server: Server) -> None:
    made = PooledHttpClient()

    async def once() -> int:
        response = await made.send(get(server.url))
        await made.aclose()
        return response.status_code

    assert await asyncio.to_thread(lambda: asyncio.run(once())) == 200
    assert await once() == 200


async def test_cookies_of_one_request_never_reach_the_next(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(headers={"Set-Cookie": "session=1"})
    await client.send(get(server.url))
    await client.send(get(server.url))
    assert "cookie" not in server.seen[1].headers


async def test_a_compressed_body_is_unpacked(client: PooledHttpClient, server: Server) -> None:
    packed = gzip.compress(b"hello")
    server.answer = lambda _: Reply(body=packed, headers={"Content-Encoding": "gzip"})
    assert (await client.send(get(server.url))).content == b"hello"


async def test_proxies_of_the_environment_are_not_used(
    client: PooledHttpClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert (await client.send(get(server.url))).status_code == 200


# --- limits


async def test_a_declared_length_over_the_limit_is_refused_before_reading(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(body=b"x" * 11)
    error = await failure(client, get(server.url, max_response_bytes=10))
    assert str(error) == "HTTP error: HTTP response too large (max 10 bytes, got 11)"
    assert error.failure.code == "http_error"


async def test_an_undeclared_length_is_counted_while_reading(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(body=b"x" * 20, headers={"content-length": ""})
    error = await failure(client, get(server.url, max_response_bytes=10))
    assert "HTTP response too large (max 10 bytes, got 20)" in str(error)


async def test_what_unpacks_over_the_limit_is_refused(
    client: PooledHttpClient, server: Server
) -> None:
    bomb = gzip.compress(bytes(1_000_000))
    server.answer = lambda _: Reply(body=bomb, headers={"Content-Encoding": "gzip"})
    error = await failure(client, get(server.url, max_response_bytes=100_000))
    assert "HTTP response too large" in str(error)


async def test_a_head_response_may_declare_more_than_the_limit(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(body=b"x" * 11)
    response = await client.send(HttpRequest("HEAD", server.url, max_response_bytes=10))
    assert response.content == b""


# --- errors


async def test_a_slow_answer_times_out_and_may_be_retried(
    client: PooledHttpClient, server: Server
) -> None:
    release = threading.Event()
    server.answer = lambda _: Reply(wait_for=release)
    error = await failure(client, get(f"{server.url}/?key=secret", timeout_secs=0.1))
    release.set()
    assert str(error) == f"HTTP error: {server.url} timed out after 0.1s"
    assert error.failure.retryable
    assert client.stats().active == 0


async def test_a_read_timeout_within_the_whole_one_is_reported(
    client: PooledHttpClient, server: Server
) -> None:
    release = threading.Event()
    server.answer = lambda _: Reply(wait_for=release)
    error = await failure(client, get(server.url, timeout_secs=5, read_timeout_secs=0.1))
    release.set()
    assert f"{server.url} did not answer in time" in str(error)


async def test_a_refused_connection_is_an_http_error(client: PooledHttpClient) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        error = await failure(client, get(f"http://127.0.0.1:{port}/secret"))
    assert f"cannot connect to http://127.0.0.1:{port}" in str(error)
    assert "secret" not in str(error)
    assert error.failure.code == "http_error"
    assert error.failure.retryable


async def test_a_name_that_does_not_resolve_is_an_http_error(client: PooledHttpClient) -> None:
    error = await failure(client, get("http://no-such-name.invalid"))
    assert str(error) == "HTTP error: cannot resolve the name no-such-name.invalid"


async def test_a_connection_that_breaks_off_is_an_http_error(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = lambda _: Reply(body=b"abc", headers={"content-length": "5"}, hang_up=True)
    error = await failure(client, get(server.url))
    assert error.failure.code == "http_error"
    assert "broke off" in str(error)


@pytest.mark.parametrize(
    "url",
    ["", "no scheme", "/path", "ftp://host/x", "file:///etc/passwd", "http://", "http://[::1"],
)
async def test_an_invalid_url_is_the_inputs_fault(client: PooledHttpClient, url: str) -> None:
    error = await failure(client, get(url))
    assert error.failure.code == "input_validation_error"
    assert "Invalid URL" in str(error)
    assert not error.failure.retryable


async def test_cancellation_is_let_through(client: PooledHttpClient, server: Server) -> None:
    release, arrived = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(_: Seen) -> Reply:
        loop.call_soon_threadsafe(arrived.set)
        return Reply(wait_for=release)

    server.answer = answer
    task = asyncio.create_task(client.send(get(server.url)))
    await arrived.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    assert client.stats().active == 0


# --- redirects


def redirecting(status: int, location: str) -> Any:
    def answer(seen: Seen) -> Reply:
        return Reply(status, headers={"Location": location}) if seen.path == "/" else Reply()

    return answer


@pytest.mark.parametrize(
    ("status", "method", "body"),
    [
        (301, "GET", b""),
        (302, "GET", b""),
        (303, "GET", b""),
        (307, "POST", b"d"),
        (308, "POST", b"d"),
    ],
)
async def test_redirects_keep_the_method_only_where_the_status_says_so(
    client: PooledHttpClient, server: Server, status: int, method: str, body: bytes
) -> None:
    server.answer = redirecting(status, "/next")
    request = HttpRequest("POST", f"{server.url}/", (("Content-Type", "text/x"),), b"d")
    await client.send(request)
    seen = server.seen[1]
    assert (seen.path, seen.method, seen.body) == ("/next", method, body)
    assert ("content-type" in seen.headers) == (method == "POST")


async def test_a_redirect_is_returned_where_it_must_not_be_followed(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = redirecting(302, "/next")
    response = await client.send(get(f"{server.url}/", follow_redirects=False))
    assert response.status_code == 302


async def test_credentials_do_not_follow_a_redirect_to_another_origin(
    client: PooledHttpClient, server: Server, other_server: Server
) -> None:
    server.answer = redirecting(302, f"{other_server.url}/next")
    headers = (("Authorization", "a"), ("Cookie", "b"), ("X-Api-Key", "c"), ("X-Trace", "d"))
    await client.send(
        get(f"{server.url}/", headers=headers, credential_headers=frozenset({"x-api-key"}))
    )
    arrived = other_server.seen[0].headers
    assert not {"authorization", "cookie", "x-api-key"} & set(arrived)
    assert arrived["x-trace"] == "d"


@pytest.mark.parametrize(
    "name",
    [
        *("X-Api-Key", "api_key", "apikey", "X-Auth-Token", "X-Goog-Api-Key", "Private-Token"),
        *(
            "Ocp-Apim-Subscription-Key",
            "X-Amz-Security-Token",
            "X-Session-Id",
            "Proxy-Authorization",
        ),
        *("X-Client-Secret", "X-Password", "X-Hub-Signature-256", "Cookie2", "X-Functions-Key"),
    ],
)
async def test_what_is_called_like_a_key_stays_with_its_origin(
    client: PooledHttpClient, server: Server, other_server: Server, name: str
) -> None:
    server.answer = redirecting(307, f"{other_server.url}/next")
    headers = ((name, "a"), ("Idempotency-Key", "b"), ("X-Keyword", "c"), ("X-Author", "d"))
    await client.send(get(f"{server.url}/", headers=headers))
    arrived = other_server.seen[0].headers
    assert name.lower() not in arrived
    assert (arrived["idempotency-key"], arrived["x-keyword"]) == ("b", "c")


@pytest.mark.parametrize(("status", "sent"), [(303, True), (307, False), (308, False)])
async def test_a_body_with_credentials_is_not_sent_to_another_origin(
    client: PooledHttpClient, server: Server, other_server: Server, status: int, sent: bool
) -> None:
    server.answer = redirecting(status, f"{other_server.url}/next")
    request = HttpRequest("POST", f"{server.url}/", content=b"k=s3cret", credential_body=True)
    if sent:
        await client.send(request)
        assert other_server.seen[0].body == b""
    else:
        error = await failure(client, request)
        assert "Redirect blocked: there are credentials in the body" in str(error)
        assert other_server.seen == []


async def test_credentials_follow_a_redirect_within_the_origin(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = redirecting(302, "/next")
    await client.send(get(f"{server.url}/", headers=(("Authorization", "a"),)))
    assert server.seen[1].headers["authorization"] == "a"


async def test_the_eleventh_redirect_is_refused(client: PooledHttpClient, server: Server) -> None:
    server.answer = lambda _: Reply(302, headers={"Location": "/again"})
    error = await failure(client, get(server.url))
    assert str(error) == "HTTP error: more than 10 redirects"
    assert len(server.seen) == 11


# --- metadata services


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "2852039166",
        "0xa9fea9fe",
        "[fd00:ec2::254]",
        "[::ffff:169.254.169.254]",
        "metadata.google.internal",
        "Metadata.Google.Internal.",
    ],
)
async def test_metadata_services_are_refused(client: PooledHttpClient, host: str) -> None:
    error = await failure(client, get(f"http://{host}/latest", timeout_secs=2))
    assert error.failure.code == "input_validation_error"
    assert "Blocked" in str(error)
    assert not error.failure.retryable


async def test_a_redirect_to_a_metadata_service_is_refused(
    client: PooledHttpClient, server: Server
) -> None:
    server.answer = redirecting(302, "http://169.254.169.254/latest")
    error = await failure(client, get(f"{server.url}/", timeout_secs=2))
    assert "Blocked IP: 169.254.169.254" in str(error)


async def test_a_name_that_leads_to_a_metadata_service_is_refused(
    client: PooledHttpClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_lead_to(monkeypatch, "169.254.169.254")
    error = await failure(client, get("http://harmless.example/", timeout_secs=2))
    assert "Blocked IP: harmless.example -> 169.254.169.254" in str(error)


async def test_the_socket_goes_to_the_address_that_was_checked(
    client: PooledHttpClient, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    names_lead_to(monkeypatch, "127.0.0.1")
    response = await client.send(get(f"http://harmless.example:{server.port}/"))
    assert response.status_code == 200
    assert server.seen[0].headers["host"] == f"harmless.example:{server.port}"


@pytest.mark.parametrize(
    ("address", "blocked"),
    [
        ("169.254.169.254", True),
        ("::ffff:169.254.169.254", True),
        ("64:ff9b::a9fe:a9fe", True),
        ("2002:a9fe:a9fe::1", True),
        ("169.254.169.253", False),
        ("10.0.0.1", False),
        ("fd00:ec2::253", False),
    ],
)
def test_addresses_that_lead_to_a_metadata_service_are_known(address: str, blocked: bool) -> None:
    parsed: Address = ip_address(address)
    if blocked:
        with pytest.raises(NodeError):
            MetadataBlocked().check_address("host", parsed)
    else:
        MetadataBlocked().check_address("host", parsed)


# --- the provider


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_pool_has_the_documented_defaults() -> None:
    config = HttpPoolConfig()
    assert (config.pool_max_idle_per_host, config.pool_idle_timeout) == (10, 90)
    assert (config.default_timeout, config.tcp_keepalive, config.http2_enabled) == (30, 60, True)
    assert (config.max_group_clients, config.group_client_idle_timeout) == (32, 300)


def test_a_group_keeps_its_client_until_it_was_idle_for_too_long() -> None:
    clock = Clock()
    provider = HttpClientProvider(clock=clock)
    first = provider.client("a")
    clock.now = 299
    assert provider.client("a") is first
    clock.now = 299 + 300
    assert provider.client("a") is not first


def test_another_policy_makes_another_client() -> None:
    provider = HttpClientProvider()
    assert provider.client("a") is not provider.client("a", MetadataBlocked())


def test_the_least_recently_used_of_too_many_clients_goes() -> None:
    provider = HttpClientProvider(HttpPoolConfig(max_group_clients=2))
    a = provider.client("a")
    provider.client("b")
    assert provider.client("a") is a
    provider.client("c")
    assert [entry.group_id for entry in provider.stats().entries] == ["a", "c"]


async def test_a_provider_reports_what_it_holds(server: Server) -> None:
    clock = Clock()
    provider = HttpClientProvider(clock=clock)
    await provider.send(get(server.url))
    clock.now = 5
    (entry,) = provider.stats().entries
    assert (entry.request_count, entry.active, entry.age_secs, entry.idle_secs) == (1, 0, 5, 5)
    await provider.aclose()
    assert provider.stats().active_groups == 0


async def test_a_client_taken_out_in_mid_request_ends_it_first(server: Server) -> None:
    provider = HttpClientProvider(HttpPoolConfig(max_group_clients=1))
    release, arrived = threading.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def answer(_: Seen) -> Reply:
        loop.call_soon_threadsafe(arrived.set)
        return Reply(wait_for=release)

    server.answer = answer
    running = asyncio.create_task(provider.client("a").send(get(server.url)))
    await arrived.wait()
    provider.client("b")
    await provider.cleanup_expired()
    release.set()
    assert (await running).status_code == 200
    await provider.aclose()


# --- a node on top of it


async def test_a_drawn_request_arrives_as_drawn(client: PooledHttpClient, server: Server) -> None:
    kind = HttpRequestNode()
    data = kind.data_model.model_validate(
        {
            "method": "POST",
            "url": f"{server.url}/{{{{#x.path#}}}}",
            "params": [{"key": "q", "value": "{{#x.q#}}"}],
            "body": {"type": "form_data", "data": [{"key": "k", "value": "é"}]},
            "authorization": {"type": "basic_auth", "username": "u", "password": "p"},
        }
    )
    drawn = Node("n", "http-request", "N", cast("HttpRequestData", data), "native")
    values = VariablePool({"x": {"path": "a b", "q": "c&d"}})
    lent = Ports(
        sandbox=cast("SandboxPool", None),
        http=client,
        time=cast("TimeProvider", None),
        llm=LlmProviderRegistry(),
        files=GroupFiles(client),
        idempotency_key="run/n/1",
    )
    result = await kind.execute(drawn, values, lent)
    (seen,) = server.seen
    assert result.outputs["body"] == "ok"
    assert seen.path == "/a%20b?q=c%26d"
    assert seen.headers["idempotency-key"] == "run/n/1"
    assert seen.headers["authorization"] == "Basic dTpw"
    parsed = message_from_bytes(
        b"Content-Type: " + seen.headers["content-type"].encode() + b"\r\n\r\n" + seen.body
    )
    (part,) = cast("list[Message]", parsed.get_payload())
    assert part.get_param("name", header="content-disposition") == "k"
    assert cast("bytes", part.get_payload(decode=True)).decode() == "é"


# --- bodies that are read while they come


async def test_a_body_is_read_while_it_comes(client: PooledHttpClient) -> None:
    answer = MockResponse("GET", "/", response_body="a\n\nb\n\n", event_delay_secs=0)
    with MockServer((answer,)) as mock:
        async with client.stream(get(f"{mock.url}/")) as stream:
            assert stream.status_code == 200
            assert client.stats().active == 1
            assert b"".join([part async for part in stream.parts]) == b"a\n\nb\n\n"
    assert client.stats().active == 0


async def test_a_body_that_breaks_off_is_an_error_that_may_be_retried(
    client: PooledHttpClient,
) -> None:
    answer = MockResponse(
        "GET", "/", response_body="a\n\nb", event_delay_secs=0, cut_after_events=1
    )
    seen: list[bytes] = []
    with MockServer((answer,)) as mock:
        async with client.stream(get(f"{mock.url}/")) as stream:
            with pytest.raises(NodeError) as caught:  # noqa: PT012 - what came first counts
                async for part in stream.parts:
                    seen.append(part)  # noqa: PERF401 - as above
    assert seen == [b"a\n\n"]
    assert caught.value.failure.code == "http_error"
    assert caught.value.failure.retryable


async def test_the_time_limit_counts_while_a_body_comes(client: PooledHttpClient) -> None:
    answer = MockResponse("GET", "/", response_body="a\n\nb", event_delay_secs=30)
    with MockServer((answer,)) as mock, pytest.raises(NodeError, match=r"timed out after 0\.2s"):
        async with client.stream(get(f"{mock.url}/", timeout_secs=0.2)) as stream:
            assert [part async for part in stream.parts] == []


async def test_a_time_limit_of_the_reader_is_not_the_requests_own(
    client: PooledHttpClient,
) -> None:
    answer = MockResponse("GET", "/", response_body="a")
    with MockServer((answer,)) as mock, pytest.raises(TimeoutError):
        async with client.stream(get(f"{mock.url}/")):
            raise TimeoutError
    assert client.stats().active == 0


async def test_a_body_that_grows_too_large_is_given_up(client: PooledHttpClient) -> None:
    body = "\n\n".join(["x" * 100] * 10)
    answer = MockResponse("GET", "/", response_body=body, event_delay_secs=0)
    with MockServer((answer,)) as mock, pytest.raises(NodeError, match="too large"):
        async with client.stream(get(f"{mock.url}/", max_response_bytes=250)) as stream:
            assert [part async for part in stream.parts] == []


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_what_follows_a_packed_body_is_neither_kept_nor_unpacked(encoding: str) -> None:
    """zlib would keep all of it, and copy it each time: 13 s for 65 MB."""
    inflater = body._Inflater(encoding)
    packed = gzip.compress(b"x") if encoding == "gzip" else zlib.compress(b"x")
    assert b"".join(inflater.feed(packed)) == b"x"
    began = time.process_time()
    for _ in range(1_000):
        assert list(inflater.feed(bytes(65_536))) == []
    inflater.finish()
    assert time.process_time() - began < 1


@pytest.mark.parametrize("size", [1, 2, 19, 20, 21, 22, 23, 1_000])
def test_the_members_of_a_packed_body_may_be_cut_anywhere(size: int) -> None:
    packed = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two") + bytes(40)
    inflater = body._Inflater("gzip")
    parts = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert b"".join(out for part in parts for out in inflater.feed(part)) == b"one two"
    inflater.finish()


async def test_a_packed_body_that_unpacks_to_nothing_ends_at_the_limit(
    client: PooledHttpClient, server: Server
) -> None:
    empty = zlib.compressobj()
    packed = empty.compress(b"") + empty.flush(zlib.Z_SYNC_FLUSH) + b"\0\0\0\xff\xff" * 50_000
    headers = {"Content-Encoding": "deflate", "Content-Length": ""}
    server.answer = lambda _: Reply(body=packed, headers=headers)
    error = await failure(client, get(server.url, max_response_bytes=100_000))
    assert "HTTP response too large (max 100000 bytes" in str(error)
