"""The codec endpoint: decrypts for Temporal's Web UI and CLI what their users look at.

``POST /decode`` and ``/encode`` take and give ``{"payloads": […]}``, as Temporal's own clients do.
Whoever asks must know the token, as ``Authorization: Bearer`` or as the first part of the path
(``http://host:port/TOKEN``), where the Web UI cannot send a header of its own.
"""

from __future__ import annotations

import asyncio
import hmac
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final

from google.protobuf import json_format
from temporalio.api.common.v1 import Payload, Payloads
from temporalio.converter import PayloadCodec

from xworkflow.errors import EngineError

MAX_BYTES: Final = 64 * 1024 * 1024
_HEADERS: Final = "authorization, content-type, x-namespace"
_TALK_SECS: Final = 30


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is served: ``origin`` is where the Web UI's pages come from, ``token`` who may ask."""

    codec: PayloadCodec
    origin: str
    token: str = field(repr=False)

    @property
    def _ways(self) -> Mapping[str, Callable[[Sequence[Payload]], Awaitable[list[Payload]]]]:
        return {"/decode": self.codec.decode, "/encode": self.codec.encode}

    def admits(self, path: str, authorization: str) -> bool:
        first = path.split("/")[1] if path.count("/") > 1 else ""
        bearer = authorization.removeprefix("Bearer ")
        return any(
            hmac.compare_digest(given.encode(), self.token.encode()) for given in (first, bearer)
        )

    def answer(self, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        """Status and body of the answer to an admitted request."""
        work = self._ways.get("/" + path.rsplit("/", 1)[-1])
        if work is None:
            return 404, {"message": "there are /decode and /encode"}
        try:
            asked = json_format.Parse(body, Payloads())
        except (json_format.ParseError, UnicodeDecodeError, RecursionError):
            return 400, {"message": 'the body must be JSON: {"payloads": […]}'}
        try:
            done = asyncio.run(_awaited(work(list(asked.payloads))))
        except EngineError as error:
            return 400, {"message": str(error)}
        return 200, json_format.MessageToDict(Payloads(payloads=done))


async def _awaited(work: Awaitable[list[Payload]]) -> list[Payload]:
    return await work


class CodecServer(ThreadingHTTPServer):
    """Serves an endpoint; its owner runs ``serve_forever`` and closes it."""

    daemon_threads = True

    def __init__(self, address: tuple[str, int], endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        super().__init__(address, _Handler)

    @property
    def url(self) -> str:
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _TALK_SECS
    server: CodecServer  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_OPTIONS(self) -> None:
        """What a browser asks before it asks: nothing secret, and for one origin alone."""
        self._reply(204, None)

    def do_POST(self) -> None:
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > MAX_BYTES:
            self.close_connection = True
            self._reply(413, {"message": f"at most {MAX_BYTES} bytes"})
            return
        body = self.rfile.read(int(length))
        endpoint = self.server.endpoint
        if not endpoint.admits(self.path, self.headers.get("authorization", "")):
            self._reply(401, {"message": "the token is missing or wrong"})
            return
        self._reply(*endpoint.answer(self.path, body))

    def _reply(self, status: int, answer: dict[str, Any] | None) -> None:
        content = b"" if answer is None else json.dumps(answer).encode()
        self.send_response(status)
        if self.headers.get("origin") == self.server.endpoint.origin:
            self.send_header("access-control-allow-origin", self.server.endpoint.origin)
            self.send_header("access-control-allow-methods", "POST, OPTIONS")
            self.send_header("access-control-allow-headers", _HEADERS)
            self.send_header("access-control-allow-credentials", "true")
        self.send_header("vary", "origin")
        if answer is not None:
            self.send_header("content-type", "application/json")
            self.send_header("cache-control", "no-store")
            self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: a path can hold the token."""
