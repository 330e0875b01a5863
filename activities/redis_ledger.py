"""``RedisLedger``: the connection of one process to the ledger that its group has in Redis.

All decisions are taken by one script (redis_ledger.lua), in one round trip. Every operation may be
repeated, so a lost answer is no harm. A call ends within seconds, whatever Redis does.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import uuid
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Any, Final, Protocol, cast
from urllib.parse import urlsplit

from xworkflow.domain.governing import Kind, UsageQuota
from xworkflow.errors import GovernorAwayError, MisuseError

CALL_SECS: Final = 2.5
_SOCKET_SECS: Final = 1.0
_CONNECTIONS: Final = 16
_TRIES: Final = 2
_DAY_SECS: Final = 86_400
SILENCE_MS: Final = 30_000
"""A process that has set something aside speaks every 8 s. After this, it counts as used."""
SWEEP_MS: Final = 8_000
"""A place whose run was terminated comes back after at most twice this, and a beat."""
TELL_AGAIN_MS: Final = 3_000
_SCHEMES: Final = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster")
_KEYS: Final = (
    *("meta", "holders", "since", "held", "queue", "back", "asks", "waiting_of", "untold"),
    *("budgets", "parts", "alive"),
)
_SCRIPT: Final = (files("xworkflow.activities") / "redis_ledger.lua").read_text("utf-8")
_SHA: Final = hashlib.sha1(_SCRIPT.encode()).hexdigest()  # noqa: S324 - the name Redis gives it


class _Client(Protocol):
    """The part of redis-py's two clients that is needed here."""

    async def evalsha(self, sha: str, numkeys: int, *keys_and_args: str) -> object: ...
    async def eval(self, script: str, numkeys: int, *keys_and_args: str) -> object: ...
    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Answer:
    """What an operation said. ``told`` are runs that got a place with it, and are to hear of it;
    ``old`` holders that a sweep should look after."""

    word: str
    rest: tuple[Any, ...]
    told: tuple[tuple[str, int], ...] = ()
    old: tuple[str, ...] = ()


class RedisLedger:
    """Belongs to one event loop. Connects with the first call, and no more once it was closed."""

    def __init__(self, url: str, group_id: str, quota: UsageQuota) -> None:
        """Raises MisuseError for a URL that is none, and where redis-py is not installed."""
        self.process = uuid.uuid4().hex
        self._address = shown(url)
        self._group_id = group_id
        self._url = url
        self._client: _Client | None = None
        self._is_closed = False
        self._connections = asyncio.Semaphore(_CONNECTIONS)
        self._keys = tuple(f"{{xworkflow:{group_id}}}:{name}" for name in _KEYS)
        self._quota = _as_json(quota)
        self._keep_secs = _keep_secs(quota)
        _check(url)

    @property
    def where(self) -> str:
        """For people; without a password."""
        return f"the Redis of the governor of group {self._group_id} at {self._address}"

    async def call(self, operation: str, *given: str) -> Answer:
        """Raises GovernorAwayError when Redis does not answer, or refuses, or this was closed."""
        from redis.exceptions import ConnectionError as LostConnection
        from redis.exceptions import RedisClusterException, RedisError

        try:
            async with asyncio.timeout(CALL_SECS), self._connections:
                for left in reversed(range(_TRIES)):
                    try:
                        return _answer(await self._run(operation, given))
                    except LostConnection:  # one that Redis had closed, maybe
                        if not left:
                            raise
        except TimeoutError:
            raise self._away(f"no answer within {CALL_SECS} s") from None
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._away(str(error).rstrip(".") or type(error).__name__) from None
        raise AssertionError

    async def aclose(self) -> None:
        self._is_closed = True
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def _run(self, operation: str, given: tuple[str, ...]) -> object:
        from redis.exceptions import NoScriptError

        if self._is_closed:
            raise GovernorAwayError(f"{self.where} is asked no more: this governor was closed")
        if self._client is None:
            self._client = _open(self._url)
        head = (operation, self._quota, self.process, str(self._keep_secs))
        times = (str(SILENCE_MS), str(SWEEP_MS), str(TELL_AGAIN_MS))
        everything = (*self._keys, *head, *times, *given)
        try:
            return await self._client.evalsha(_SHA, len(self._keys), *everything)
        except NoScriptError:
            return await self._client.eval(_SCRIPT, len(self._keys), *everything)

    def _away(self, why: str) -> GovernorAwayError:
        text = (
            f"{self.where} does not answer ({why}). Nothing that it counts starts until it does: "
            "see that it runs, can be reached from this worker, and has this address"
        )
        return GovernorAwayError(text)


def shown(url: str) -> str:
    """A URL without user, password and options."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        return "an address that cannot be read"
    at = "" if host is None else f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{at}{'' if port is None else f':{port}'}{parts.path}"


def _check(url: str) -> None:
    if find_spec("redis") is None:
        remedy = "pip install 'xworkflow[redis]'"
        raise MisuseError(f"a governor in Redis needs the module redis: {remedy}")
    try:
        scheme, host = urlsplit(url).scheme, urlsplit(url).hostname
        port = urlsplit(url).port
    except ValueError:
        scheme, host, port = "", None, None
    del port
    if scheme not in _SCHEMES or (host is None and scheme != "unix"):
        raise MisuseError(
            f"'{shown(url)}' names no Redis: redis://HOST:PORT, rediss:// with TLS, "
            "redis+cluster:// or rediss+cluster:// for a cluster, or unix:///PATH"
        )


def _open(url: str) -> _Client:
    """A client that tries once, and waits for nothing longer than a second."""
    from redis.asyncio import Redis, RedisCluster
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    options: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": _SOCKET_SECS,
        "socket_connect_timeout": _SOCKET_SECS,
        "max_connections": 2 * _CONNECTIONS,
        "retry": Retry(NoBackoff(), 0),
    }
    plain = url.replace("+cluster://", "://", 1)
    if plain != url:
        options["retry"] = Retry(NoBackoff(), 1)  # after a slot has moved
        return cast("_Client", RedisCluster.from_url(plain, **options))
    return cast("_Client", Redis.from_url(url, **options))  # pyright: ignore[reportUnknownMemberType]


def _answer(said: object) -> Answer:
    (word, *rest), told, old = cast("list[list[Any]]", said)
    turns = tuple((told[i], int(told[i + 1])) for i in range(0, len(told), 2))
    return Answer(word, tuple(rest), turns, tuple(old))


def _as_json(quota: UsageQuota) -> str:
    """As the script reads it; what is unlimited is left out."""
    limits: dict[str, Any] = {
        "refuses": quota.when_full == "refuse",
        "max_waiting": quota.max_waiting,
        "budgets": [
            (kind.value, budget.limit, budget.window_secs * 1000)
            for kind in Kind
            if (budget := quota.budget(kind)) is not None
        ],
    }
    if quota.concurrent_runs is not None:
        limits["places"] = quota.concurrent_runs
    if quota.runs is not None:
        limits |= {"starts": quota.runs.limit, "starts_ms": quota.runs.window_secs * 1000}
    return json.dumps(limits)


def _keep_secs(quota: UsageQuota) -> int:
    """How long keys outlive their last use: no window is cut short."""
    windows = [b.window_secs for kind in Kind if (b := quota.budget(kind)) is not None]
    return max(7 * _DAY_SECS, 2 * max(windows, default=0))
