"""The transport below the HTTP client: it connects only to addresses that were checked.

A check of the name alone would leave a gap: the name may resolve to something else when the socket
is opened (DNS rebinding). So the name is resolved here, each address is checked, and the socket
goes to one of those very addresses; TLS still verifies the name.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from ipaddress import ip_address
from typing import Any, cast

import httpcore
import httpx

from xworkflow.runtime_group.egress import EgressPolicy
from xworkflow.runtime_group.egress.resolver import Resolver
from xworkflow.runtime_group.egress.urls import address_of

SocketOption = tuple[int, int, int]


class CheckedBackend(httpcore.AsyncNetworkBackend):
    """Opens sockets for httpcore, to checked addresses only."""

    def __init__(self, policy: EgressPolicy, resolver: Resolver) -> None:
        self._policy = policy
        self._resolver = resolver
        self._backend = cast("httpcore.AsyncNetworkBackend", httpcore.AnyIOBackend())

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises NodeError for a refused address, httpcore's errors for the rest."""
        failure: Exception | None = None
        for address in await self._checked(host, port, timeout):
            try:
                return await self._backend.connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError(f"{host} has no address")

    async def _checked(self, host: str, port: int, timeout: float | None) -> list[str]:  # noqa: ASYNC109
        """The addresses of a host, all of which pass; one that does not refuses the host."""
        literal = address_of(host)
        if literal is not None:
            self._policy.check_address(host, literal)
            return [str(literal)]
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._resolver.resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"resolving {host} took too long") from None
        except (OSError, UnicodeError) as error:
            raise ResolutionError(host) from error
        for address in addresses:
            self._policy.check_address(host, ip_address(address.partition("%")[0]))
        return list(addresses)

    async def sleep(self, seconds: float) -> None:
        await self._backend.sleep(seconds)


class ResolutionError(httpcore.ConnectError):
    """A name that does not resolve."""

    def __init__(self, host: str) -> None:
        super().__init__(f"cannot resolve the name {host}")
        self.host = host


class CheckedTransport(httpx.AsyncBaseTransport):
    """A connection pool under a policy. Owned by its client, which closes it."""

    def __init__(  # noqa: PLR0913 - the pool's own settings
        self,
        policy: EgressPolicy,
        resolver: Resolver,
        *,
        ssl_context: ssl.SSLContext,
        max_idle: int,
        idle_secs: float,
        http2: bool,
        socket_options: Iterable[SocketOption],
    ) -> None:
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=ssl_context,
            max_connections=None,
            max_keepalive_connections=max_idle,
            keepalive_expiry=idle_secs,
            http1=True,
            http2=http2,
            retries=0,
            socket_options=list(socket_options),
            network_backend=CheckedBackend(policy, resolver),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; the body is read by whoever gets the response."""
        sent = httpcore.Request(
            method=request.method,
            url=httpcore.URL(
                scheme=request.url.raw_scheme,
                host=request.url.raw_host,
                port=request.url.port,
                target=request.url.raw_path,
            ),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        received = await self._pool.handle_async_request(sent)
        return httpx.Response(
            status_code=received.status,
            headers=received.headers,
            stream=_Body(received),
            extensions=dict(cast("Mapping[str, Any]", received.extensions)),  # pyright: ignore[reportUnknownMemberType]
        )

    async def aclose(self) -> None:
        await self._pool.aclose()


class _Body(httpx.AsyncByteStream):
    """httpcore's response body in httpx's clothes."""

    def __init__(self, response: httpcore.Response) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._response.aiter_stream():
            yield part

    async def aclose(self) -> None:
        await self._response.aclose()
