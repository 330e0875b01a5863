"""The server of random nested graphs: it computes what their requests ask for.

The path of a request has the rest that fails for good (``0-1`` is none), how many attempts fail in
passing, the constant, and the values. See ``tests/properties/nested_graphs.py``.
"""

from __future__ import annotations

from urllib.parse import unquote

from tests.properties.nested_graphs import SIZE, weigh
from xworkflow.testing.mock_server import MockResponse, MockServer, ReceivedRequest


def reckoned(request: ReceivedRequest) -> MockResponse:
    """The answer to a request of a ``Work`` that is away."""
    _, rest, flaky, constant, *values = request.path.split("/")
    attempt = int(request.headers["idempotency-key"].rsplit("/", 1)[1])
    if attempt <= int(flaky):
        return MockResponse("GET", request.path, response_status=503, response_body="busy")
    texts = [unquote(value).removeprefix("v") for value in values]
    # a value that is null is shown as an empty text, and weighs as much
    result = (int(constant) + sum(weigh(text) for text in texts)) % SIZE
    of, wanted = map(int, rest.split("-"))
    if of and result % of == wanted:
        return MockResponse("GET", request.path, response_status=400, response_body="no")
    return MockResponse("GET", request.path, response_body=str(result))


class Reckoner(MockServer):
    """Computes, and notes every request."""

    def answer(self, request: ReceivedRequest) -> MockResponse:
        self.requests.append(request)
        return reckoned(request)
