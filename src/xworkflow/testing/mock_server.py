"""A small HTTP server that answers as a case says (spec/graph.md 10.1)."""

from __future__ import annotations

import re
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

_POLL_SECS: Final = 0.02  # how soon a server notices that it is closed


@dataclass(frozen=True, slots=True)
class MockResponse:
    """One entry of ``mock_server``: what it matches, and what it answers.

    ``path`` is exact and includes the query string; ``match_body`` is searched as a regular
    expression; ``expect`` is how often the entry serves before the next one that matches. The
    answer waits for ``delay_secs`` first, or until the server is closed.

    With ``event_delay_secs`` the body goes out event by event (a blank line ends one), so long
    apart; after ``cut_after_events`` of them the connection breaks.
    """

    method: str
    path: str
    response_status: int = 200
    response_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    response_body: str = ""
    match_headers: Mapping[str, str] = field(default_factory=dict[str, str])
    match_body: str | None = None
    expect: int | None = None
    delay_secs: float = 0.0
    event_delay_secs: float | None = None
    cut_after_events: int | None = None

    def __post_init__(self) -> None:
        if self.match_body is not None:
            try:
                re.compile(self.match_body)
            except re.error as error:
                raise ValueError(f"match_body is no regular expression: {error}") from None

    @classmethod
    def from_table(cls, table: Mapping[str, Any]) -> MockResponse:
        """Read a table of ``state.toml``; unknown keys are ignored."""
        return cls(**{name: table[name] for name in cls.__slots__ if name in table})

    @property
    def events(self) -> tuple[str, ...]:
        """The body, cut after each blank line."""
        return tuple(re.findall(r"(?s).+?(?:\n\n|\Z)", self.response_body))

    def matches(self, request: ReceivedRequest) -> bool:
        return (
            self.method.upper() == request.method
            and self.path == request.path
            and all(request.headers.get(k.lower()) == v for k, v in self.match_headers.items())
            and (self.match_body is None or re.search(self.match_body, request.body) is not None)
        )


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request as it came in; header names are lower case."""

    method: str
    path: str
    headers: dict[str, str]
    body: str


class MockServer:
    """Serves on a free port of 127.0.0.1 while it is used as a context manager.

    ``requests`` has everything that came in, in order of arrival.
    """

    def __init__(self, responses: tuple[MockResponse, ...] = ()) -> None:
        self._responses = responses
        self._served = [0] * len(responses)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self.requests: list[ReceivedRequest] = []
        self._http = _Server(("127.0.0.1", 0), _Handler)
        self._http.mock = self
        self._thread = threading.Thread(
            target=self._http.serve_forever, args=(_POLL_SECS,), daemon=True
        )

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._closing.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def answer(self, request: ReceivedRequest) -> MockResponse:
        """The first match that has served less often than it expects, else the last match."""
        with self._lock:
            self.requests.append(request)
            matching = [i for i, r in enumerate(self._responses) if r.matches(request)]
            if not matching:
                return MockResponse(request.method, request.path, response_status=501)
            chosen = next(
                (i for i in matching if self._served[i] < (self._responses[i].expect or 1)),
                matching[-1],
            )
            self._served[chosen] += 1
            return self._responses[chosen]

    def wait(self, secs: float) -> None:
        """Wait as long as an answer takes; ends early when the server is closed."""
        if secs > 0:
            self._closing.wait(secs)


class _Server(ThreadingHTTPServer):
    mock: MockServer
    daemon_threads = True
    request_queue_size = 128

    def handle_error(
        self, request: socket.socket | tuple[bytes, socket.socket], client_address: object
    ) -> None:
        """A client that went away before its answer is nothing to report."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # head and body leave in one segment: two would wait for each other's acknowledgement (40 ms)
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def setup(self) -> None:
        super().setup()
        self.connection.settimeout(30)

    def _serve(self) -> None:
        length = int(self.headers.get("content-length") or 0)
        body = self.rfile.read(length).decode("utf-8", "replace")
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.mock.answer(ReceivedRequest(self.command, self.path, headers, body))
        self.server.mock.wait(answer.delay_secs)
        payload = answer.response_body.encode()
        self.send_response(answer.response_status)
        for name, value in answer.response_headers.items():
            self.send_header(name, value)
        if answer.event_delay_secs is not None:
            self._stream(answer, answer.event_delay_secs)
            return
        if answer.response_status != 204:  # noqa: PLR2004 - no body, so no length
            self.send_header("content-length", str(len(payload)))
        self.end_headers()
        if self.command != "HEAD" and answer.response_status != 204:  # noqa: PLR2004
            self.wfile.write(payload)

    def _stream(self, answer: MockResponse, delay_secs: float) -> None:
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number, event in enumerate(answer.events):
            if number == answer.cut_after_events:
                self.close_connection = True
                return
            self.server.mock.wait(delay_secs)
            payload = event.encode()
            self.wfile.write(b"%x\r\n%b\r\n" % (len(payload), payload))
            self.wfile.flush()
        self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = _serve

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base's name
        """Say nothing: the terminal belongs to whoever runs the tests."""
