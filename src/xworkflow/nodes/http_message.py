"""From a drawn http-request node to the request that is sent. Pure."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Iterable
from typing import TypedDict
from urllib.parse import quote, urlencode

from xworkflow.domain.selectors import Dialect
from xworkflow.nodes.http_body import Pair, Render, encode_body, rendered_pairs
from xworkflow.nodes.http_data import (
    ApiKey,
    BasicAuth,
    BearerToken,
    CustomHeaders,
    HttpRequestData,
    TimeoutParts,
)
from xworkflow.nodes.http_files import MAX_BINARY_BYTES, Attachments
from xworkflow.ports import HttpRequest

DEFAULT_TIMEOUT_SECS = 10.0
DIFY_CONNECT_SECS, DIFY_READ_SECS, DIFY_WRITE_SECS = 10.0, 600.0, 600.0
IDEMPOTENCY_HEADER = "Idempotency-Key"

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


def build_request(  # noqa: PLR0913 - the drawing, and four things from four places
    data: HttpRequestData,
    dialect: Dialect,
    render: Render,
    *,
    attachments: Attachments,
    idempotency_key: str,
    max_response_bytes: int | None,
) -> HttpRequest:
    """Render and assemble the request. Raises NodeError."""
    auth = _Auth(data, render)
    content, content_type = encode_body(data.body, render, auth.member, dialect, attachments)
    headers = _Headers(rendered_pairs(data.headers, render))
    if content_type and content_type.startswith("multipart/"):
        # a user's own would lack the boundary
        headers.override([("Content-Type", content_type)])
    headers.default("Content-Type", content_type)
    headers.default(IDEMPOTENCY_HEADER, idempotency_key)
    headers.override(auth.headers)
    url = with_query(render(data.url).strip(), rendered_pairs(data.params, render) + auth.query)
    return HttpRequest(
        method=data.method,
        url=url,
        headers=headers.pairs(),
        content=content,
        max_response_bytes=_response_limit(dialect, max_response_bytes),
        verify_tls=data.ssl_verify,
        credential_headers=frozenset(name.lower() for name, _ in auth.headers),
        credential_body=auth.member is not None,
        **_timeouts(data.timeout, dialect),
    )


def with_query(url: str, params: list[Pair]) -> str:
    """The URL with parameters appended to those that it has, before its fragment."""
    if not params:
        return url
    head, hash_sign, fragment = url.partition("#")
    joint = "" if head.endswith(("?", "&")) else "&" if "?" in head else "?"
    return f"{head}{joint}{urlencode(params, quote_via=quote)}{hash_sign}{fragment}"


class _Auth:
    """Where the credentials of one request go: headers, query, or a member of the body."""

    def __init__(self, data: HttpRequestData, render: Render) -> None:
        self.headers: list[Pair] = []
        self.query: list[Pair] = []
        self.member: Pair | None = None
        match data.authorization:
            case BearerToken(token=token):
                self.headers = [("Authorization", f"Bearer {render(token)}")]
            case BasicAuth(username=username, password=password):
                plain = f"{render(username)}:{render(password)}".encode()
                self.headers = [("Authorization", f"Basic {b64encode(plain).decode()}")]
            case CustomHeaders(headers=headers):
                self.headers = rendered_pairs(headers, render)
            case ApiKey(key=key, value=value, position=position):
                self._place((render(key), render(value)), position)
            case _:
                pass

    def _place(self, pair: Pair, position: str) -> None:
        if position == "header":
            self.headers = [pair]
        elif position == "query":
            self.query = [pair]
        else:
            self.member = pair


class _Headers:
    """Headers by name, whatever its case; of two with one name the later stays."""

    def __init__(self, pairs: Iterable[Pair]) -> None:
        self._by_name: dict[str, Pair] = {}
        self.override(pairs)

    def override(self, pairs: Iterable[Pair]) -> None:
        """Set headers; names and values that HTTP cannot carry are skipped."""
        for name, value in pairs:
            clean_name, clean_value = name.strip(), value.strip()
            if _TOKEN.fullmatch(clean_name) and not _CONTROL.search(clean_value):
                self._by_name[clean_name.lower()] = (clean_name, clean_value)

    def default(self, name: str, value: str | None) -> None:
        if value and name.lower() not in self._by_name:
            self.override([(name, value)])

    def pairs(self) -> tuple[Pair, ...]:
        return tuple(self._by_name.values())


def _response_limit(dialect: Dialect, limit: int | None) -> int | None:
    if dialect == "native":
        return limit
    return MAX_BINARY_BYTES if limit is None else min(limit, MAX_BINARY_BYTES)


class _Timeouts(TypedDict, total=False):
    timeout_secs: float
    connect_timeout_secs: float
    read_timeout_secs: float
    write_timeout_secs: float


def _timeouts(timeout: float | TimeoutParts | None, dialect: Dialect) -> _Timeouts:
    """The timeouts of ``HttpRequest``. Dify's parts together bound the whole, so that it ends."""
    if isinstance(timeout, (int, float)) or (timeout is None and dialect == "native"):
        return {"timeout_secs": timeout or DEFAULT_TIMEOUT_SECS}
    given = timeout or TimeoutParts()
    connect = given.connect or DIFY_CONNECT_SECS
    read = given.read or DIFY_READ_SECS
    write = given.write or DIFY_WRITE_SECS
    return {
        "timeout_secs": connect + read + write,
        "connect_timeout_secs": connect,
        "read_timeout_secs": read,
        "write_timeout_secs": write,
    }
