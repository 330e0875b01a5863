"""One HTTP client: pooled connections, redirects by hand, capped reading, one tree of errors."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import re
import socket
import ssl
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Final
from weakref import WeakKeyDictionary

import httpcore
import httpx

from xworkflow.errors import NodeError
from xworkflow.ports import HttpRequest, HttpResponse, HttpStream
from xworkflow.runtime_group.egress import EgressPolicy, EgressRefused, MetadataBlocked
from xworkflow.runtime_group.egress.body import DecodingError, decoded
from xworkflow.runtime_group.egress.quiet import keep_urls_out_of_logs
from xworkflow.runtime_group.egress.refusal import invalid_url
from xworkflow.runtime_group.egress.resolver import Resolver, SystemResolver
from xworkflow.runtime_group.egress.urls import PORTS, origin, port_of, read_url
from xworkflow.runtime_group.http_transport import CheckedTransport, ResolutionError, SocketOption

_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_KEEP_METHOD: Final = frozenset({307, 308})
_CREDENTIALS: Final = re.compile(
    r"auth|cookie|token|secret|passw|credential|session|signature|api-?key"
    r"|(?<!idempotency-)(?<![a-z])key(?![a-z])"
)
"""In the name of a header: its value is for the server that it was drawn for."""
_OF_BODY: Final = frozenset({"content-type", "content-encoding", "content-language"})
# what frames the message or names the connection is the client's own affair
_OWN: Final = frozenset({"connection", "content-length", "te", "transfer-encoding", "upgrade"})
# httpcore counts idle connections of all hosts together
_IDLE_HOSTS: Final = 10


@dataclass(frozen=True, slots=True)
class HttpPoolConfig:
    """How connections are kept (spec/runtime.md 4.6). Durations in seconds.

    ``default_timeout`` bounds single connects, waits and writes of a request that names none.
    HTTP/2 is spoken where the ``h2`` package is installed.
    """

    pool_max_idle_per_host: int = 10
    pool_idle_timeout: float = 90
    default_timeout: float = 30
    tcp_keepalive: int = 60
    http2_enabled: bool = True
    max_group_clients: int = 32
    group_client_idle_timeout: float = 300


@dataclass(frozen=True, slots=True)
class HttpClientStats:
    """``requests`` were started so far; ``active`` of them have not ended."""

    requests: int
    active: int


class PooledHttpClient:
    """Implements ``ports.HttpClient``. Connections live as long as the event loop that opened them.

    Its owner closes it; a request after that opens it anew.
    """

    def __init__(
        self,
        config: HttpPoolConfig | None = None,
        policy: EgressPolicy | None = None,
        resolver: Resolver | None = None,
    ) -> None:
        self._config = config or HttpPoolConfig()
        self._policy: EgressPolicy = policy or MetadataBlocked()
        self._resolver: Resolver = resolver or SystemResolver()
        keep_urls_out_of_logs()
        self._clients: WeakKeyDictionary[
            asyncio.AbstractEventLoop, dict[bool, httpx.AsyncClient]
        ] = WeakKeyDictionary()
        self._requests = 0
        self._active = 0

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send, follow redirects, read whole. Any status is a response.

        Raises NodeError: ``input_validation_error`` for a URL that is invalid or refused,
        ``http_error`` for everything that goes wrong on the way.
        """
        async with self.stream(request) as answer:
            content = b"".join([part async for part in answer.parts])
        return HttpResponse(answer.status_code, answer.headers, content)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[HttpStream]:
        """As ``send``, with the body to be read while it comes; its errors are the same."""
        self._requests += 1
        self._active += 1
        limit = asyncio.timeout(request.timeout_secs)
        try:
            async with limit:
                response = await self._follow(request)
                try:
                    headers = _headers(response)
                    yield HttpStream(response.status_code, headers, _parts(response, request))
                finally:
                    await response.aclose()
        except TimeoutError:
            if not limit.expired():
                raise
            where = origin(read_url(request.url))
            raise _failed(f"{where} timed out after {request.timeout_secs:g}s") from None
        finally:
            self._active -= 1

    def check_url(self, url: str) -> None:
        """Raises NodeError ``input_validation_error`` for a URL that is invalid or refused."""
        self._allowed(url)

    def stats(self) -> HttpClientStats:
        return HttpClientStats(requests=self._requests, active=self._active)

    async def aclose(self) -> None:
        """Close the connections of the running event loop. Safe to call twice."""
        for client in self._clients.pop(asyncio.get_running_loop(), {}).values():
            await client.aclose()

    async def _follow(self, request: HttpRequest) -> httpx.Response:
        """The open response at the end of all redirects; whoever gets it closes it."""
        hop, limit = request, self._policy.max_redirects
        for count in range(limit + 1):
            try:
                response = await self._exchange(hop)
            except EgressRefused as refusal:
                raise (refusal.of_redirect() if count else refusal) from None
            location = _location(response)
            if location is None or not request.follow_redirects:
                return response
            try:
                async for _part in _parts(response, hop):
                    pass  # what is read to its end leaves its connection to the next hop
            finally:
                await response.aclose()
            hop = _redirected(hop, response.status_code, location)
        problem = f"more than {limit} redirects"
        if isinstance(self._policy, MetadataBlocked):
            raise _failed(problem, retryable=False)
        host = httpx.URL(request.url).host
        raise EgressRefused(problem, rule="max_redirects", host=host).of_redirect()

    async def _exchange(self, request: HttpRequest) -> httpx.Response:
        url = self._allowed(request.url)
        client = self._client(request.verify_tls)
        try:
            return await client.send(self._built(client, request, url), stream=True)
        except (httpx.HTTPError, *_TRANSPORT_ERRORS) as error:
            raise _mapped(error, origin(url)) from error

    def _allowed(self, text: str) -> httpx.URL:
        url = read_url(text)
        self._policy.check_url(url.scheme, url.host, port_of(url), user_info=bool(url.userinfo))
        return url

    def _built(
        self, client: httpx.AsyncClient, request: HttpRequest, url: httpx.URL
    ) -> httpx.Request:
        default = self._config.default_timeout
        # under a policy a name is allowed, and a Host header would ask for another one there
        left_out = _OWN if isinstance(self._policy, MetadataBlocked) else _OWN | {"host"}
        return client.build_request(
            request.method,
            url,
            # as bytes, because httpx would refuse characters outside of ASCII
            headers=[
                (name.encode(), value.encode())
                for name, value in request.headers
                if name.lower() not in left_out
            ],
            content=request.content,
            timeout=httpx.Timeout(
                connect=request.connect_timeout_secs or default,
                read=request.read_timeout_secs or max(default, request.timeout_secs),
                write=request.write_timeout_secs or max(default, request.timeout_secs),
                pool=None,
            ),
        )

    def _client(self, verify_tls: bool) -> httpx.AsyncClient:
        clients = self._clients.setdefault(asyncio.get_running_loop(), {})
        if verify_tls not in clients:
            clients[verify_tls] = self._opened(verify_tls)
        return clients[verify_tls]

    def _opened(self, verify_tls: bool) -> httpx.AsyncClient:
        config = self._config
        http2 = config.http2_enabled and importlib.util.find_spec("h2") is not None
        transport = CheckedTransport(
            self._policy,
            self._resolver,
            ssl_context=_ssl_context(verify_tls, http2, _named_authorities()),
            max_idle=config.pool_max_idle_per_host * _IDLE_HOSTS,
            idle_secs=config.pool_idle_timeout,
            http2=http2,
            socket_options=_keepalive(config.tcp_keepalive),
        )
        # a jar that takes nothing: runs of one group must not see each other's cookies
        jar = CookieJar(policy=DefaultCookiePolicy(allowed_domains=[]))
        return httpx.AsyncClient(
            transport=transport,
            cookies=jar,
            trust_env=False,
            headers={"user-agent": "xworkflow", "accept-encoding": "gzip, deflate"},
        )


def _named_authorities() -> tuple[str | None, ...]:
    """What the environment names in place of the authorities that come with httpx."""
    return tuple(os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"))


@cache
def _ssl_context(
    verify_tls: bool,
    http2: bool,  # noqa: ARG001 - the protocols of a connection are set in its context
    authorities: tuple[str | None, ...],  # noqa: ARG001 - read again by httpx
) -> ssl.SSLContext:
    """One for all groups: it takes 30 ms of the event loop and 0.85 MB, and has no secrets. No
    session of TLS is resumed, so nothing goes from one group's connections to another's."""
    return httpx.create_ssl_context(verify=verify_tls)


def _headers(response: httpx.Response) -> tuple[tuple[str, str], ...]:
    return tuple((name.lower(), value) for name, value in response.headers.multi_items())


async def _parts(response: httpx.Response, request: HttpRequest) -> AsyncIterator[bytes]:
    """The decoded body. Raises NodeError as soon as it is known to be too large."""
    limit = request.max_response_bytes
    declared = response.headers.get("content-length", "")
    if limit is not None and request.method != "HEAD" and declared.isdecimal():
        _check_size(int(declared), limit)
    size = 0
    try:
        packed = _within(response.aiter_raw(), limit)
        async for part in decoded(response.headers.get("content-encoding", ""), packed):
            size += len(part)
            if limit is not None:
                _check_size(size, limit)
            yield part
    except (httpx.HTTPError, DecodingError, *_TRANSPORT_ERRORS) as error:
        raise _mapped(error, origin(response.request.url)) from error


async def _within(body: AsyncIterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
    """The bytes as they come: what unpacks to nothing must end as well."""
    size = 0
    async for part in body:
        size += len(part)
        if limit is not None:
            _check_size(size, limit)
        yield part


def _check_size(size: int, limit: int) -> None:
    if size > limit:
        raise _failed(f"HTTP response too large (max {limit} bytes, got {size})")


def _location(response: httpx.Response) -> str | None:
    if response.status_code not in _REDIRECTS:
        return None
    return dict(_headers(response)).get("location")


def _redirected(request: HttpRequest, status: int, location: str) -> HttpRequest:
    """The next hop: as browsers do it, and no credentials to another origin."""
    old = read_url(request.url)
    try:
        new = old.join(location)
    except (httpx.InvalidURL, UnicodeError) as error:
        raise invalid_url(str(error)).of_redirect() from None
    dropped: frozenset[str] = frozenset()
    elsewhere = _endpoint(new) != _endpoint(old)
    if elsewhere:
        names = {name.lower() for name, _ in request.headers}
        called_so = {name for name in names if _CREDENTIALS.search(name)}
        dropped |= called_so | request.credential_headers | {"host"}
    if status not in _KEEP_METHOD and request.method not in ("GET", "HEAD"):
        dropped |= _OF_BODY
        request = replace(request, method="GET", content=None)
    elif elsewhere and request.credential_body and request.content:
        reason = "there are credentials in the body, and it leads to another origin"
        raise EgressRefused(reason, rule="credentials_stay", host=new.host).of_redirect()
    kept = tuple(pair for pair in request.headers if pair[0].lower() not in dropped)
    return replace(request, url=str(new), headers=kept)


def _endpoint(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port or PORTS.get(url.scheme)


def _keepalive(after_secs: int) -> list[SocketOption]:
    options: list[SocketOption] = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
    if hasattr(socket, "TCP_KEEPIDLE"):  # not on macOS
        options.append((socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, after_secs))
    return options


def _failed(message: str, *, retryable: bool = True) -> NodeError:
    return NodeError.of_kind("http_error", message, retryable=retryable)


_TRANSPORT_ERRORS: Final = (
    httpcore.NetworkError,
    httpcore.TimeoutException,
    httpcore.ProtocolError,
    httpcore.UnsupportedProtocol,
)

_MESSAGES: Final[tuple[tuple[type[Exception], Callable[[str, Exception], str]], ...]] = (
    (ResolutionError, lambda _, error: str(error)),
    (httpcore.ConnectTimeout, lambda where, _: f"connecting to {where} timed out"),
    (httpcore.TimeoutException, lambda where, _: f"{where} did not answer in time"),
    (httpcore.ConnectError, lambda where, error: f"cannot connect to {where}: {error}"),
    (DecodingError, lambda where, error: f"unreadable response of {where}: {error}"),
)


def _mapped(error: Exception, where: str) -> NodeError:
    for kind, message in _MESSAGES:
        if isinstance(error, kind):
            return _failed(message(where, error))
    return _failed(f"the exchange with {where} broke off: {error}")
