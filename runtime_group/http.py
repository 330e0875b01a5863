"""HTTP clients by group: no two groups share a connection (spec/runtime.md 4.6)."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from time import monotonic
from typing import TypeAlias

from xworkflow.ports import HttpRequest, HttpResponse, HttpStream
from xworkflow.runtime_group.egress import EgressPolicy
from xworkflow.runtime_group.egress.resolver import Resolver
from xworkflow.runtime_group.http_client import HttpClientStats, HttpPoolConfig, PooledHttpClient

__all__ = [
    "GroupClientStats",
    "HttpClientProvider",
    "HttpClientStats",
    "HttpPoolConfig",
    "HttpProviderStats",
    "PooledHttpClient",
]


@dataclass(frozen=True, slots=True)
class GroupClientStats:
    """One group's client; durations in seconds."""

    group_id: str
    request_count: int
    active: int
    idle_secs: float
    age_secs: float


@dataclass(frozen=True, slots=True)
class HttpProviderStats:
    active_groups: int
    entries: tuple[GroupClientStats, ...]


_Key: TypeAlias = tuple[str, EgressPolicy | None]


@dataclass(slots=True)
class _Entry:
    client: PooledHttpClient
    made_at: float
    used_at: float


class HttpClientProvider:
    """Makes and keeps one client per group and policy. Is itself the client of the default group.

    Clients that are idle for too long, or the least used of too many, are taken out at each lookup
    and closed once their last request has ended.
    """

    def __init__(
        self,
        config: HttpPoolConfig | None = None,
        *,
        clock: Callable[[], float] = monotonic,
        resolver: Resolver | None = None,
    ) -> None:
        self._config = config or HttpPoolConfig()
        self._clock = clock
        self._resolver = resolver
        self._entries: OrderedDict[_Key, _Entry] = OrderedDict()
        self._retired: list[PooledHttpClient] = []
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def config(self) -> HttpPoolConfig:
        return self._config

    def client(self, group_id: str = "", policy: EgressPolicy | None = None) -> PooledHttpClient:
        """The client of a group; a change of its policy makes another one."""
        now = self._clock()
        self._retire(now)
        key = (group_id, policy)
        entry = self._entries.get(key)
        if entry is None:
            made = PooledHttpClient(self._config, policy, self._resolver)
            entry = _Entry(made, made_at=now, used_at=now)
            self._entries[key] = entry
        entry.used_at = now
        self._entries.move_to_end(key)
        while len(self._entries) > self._config.max_group_clients:
            self._retired.append(self._entries.popitem(last=False)[1].client)
        self._close_retired_soon()
        return entry.client

    async def send(self, request: HttpRequest) -> HttpResponse:
        """Send as the default group (``ports.HttpClient``)."""
        await self._close_retired()
        return await self.client().send(request)

    @asynccontextmanager
    async def stream(self, request: HttpRequest) -> AsyncGenerator[HttpStream]:
        """Send as the default group, and read the body while it comes."""
        await self._close_retired()
        async with self.client().stream(request) as answer:
            yield answer

    def check_url(self, url: str) -> None:
        """Ask the default group's policy (``ports.HttpClient``)."""
        self.client().check_url(url)

    async def cleanup_expired(self) -> None:
        """Close the clients that nobody has asked for in ``group_client_idle_timeout``."""
        self._retire(self._clock())
        await self._close_retired()

    def stats(self) -> HttpProviderStats:
        now = self._clock()
        return HttpProviderStats(
            active_groups=len(self._entries),
            entries=tuple(
                GroupClientStats(
                    group_id=key[0],
                    request_count=entry.client.stats().requests,
                    active=entry.client.stats().active,
                    idle_secs=now - entry.used_at,
                    age_secs=now - entry.made_at,
                )
                for key, entry in self._entries.items()
            ),
        )

    async def aclose(self) -> None:
        """Close all connections of the running event loop. Safe to call twice."""
        here = asyncio.get_running_loop()
        await asyncio.gather(*(task for task in self._closing if task.get_loop() is here))
        clients = [entry.client for entry in self._entries.values()] + self._retired
        self._entries.clear()
        self._retired.clear()
        for client in clients:
            await client.aclose()

    def _retire(self, now: float) -> None:
        limit = self._config.group_client_idle_timeout
        for key, entry in list(self._entries.items()):
            if now - entry.used_at >= limit and not entry.client.stats().active:
                self._retired.append(self._entries.pop(key).client)

    def _close_retired_soon(self) -> None:
        """Whoever asks for a client does not wait until others are closed."""
        if not any(not client.stats().active for client in self._retired):
            return
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:  # asked for outside of a loop: the next one closes them
            return
        task = loop.create_task(self._close_retired())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def _close_retired(self) -> None:
        idle = [client for client in self._retired if not client.stats().active]
        self._retired = [client for client in self._retired if client not in idle]
        for client in idle:
            await client.aclose()
