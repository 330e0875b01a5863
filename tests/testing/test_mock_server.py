"""A mock server answers as its table says, in the order of the table, and remembers what came."""

from __future__ import annotations

import time

import httpx
import pytest

from xworkflow.testing.mock_server import MockResponse, MockServer


def get(server: MockServer, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.url}{path}", headers=headers)


def test_an_answer_has_its_status_headers_and_body() -> None:
    answer = MockResponse(
        "GET", "/a", response_status=418, response_headers={"x-tea": "yes"}, response_body="hot ☕"
    )
    with MockServer((answer,)) as server:
        got = get(server, "/a")
    assert (got.status_code, got.headers["x-tea"], got.text) == (418, "yes", "hot ☕")


def test_what_nothing_matches_is_answered_with_501() -> None:
    with MockServer((MockResponse("GET", "/a?b=1"),)) as server:
        assert get(server, "/a?b=1").status_code == 200
        assert get(server, "/a").status_code == 501
        assert get(server, "/a?b=2").status_code == 501
        assert httpx.post(f"{server.url}/a?b=1").status_code == 501


def test_the_first_match_serves_as_often_as_it_expects_and_the_last_for_ever() -> None:
    answers = (
        MockResponse("GET", "/", response_body="1"),
        MockResponse("GET", "/other", response_body="x"),
        MockResponse("GET", "/", response_body="2", expect=2),
        MockResponse("GET", "/", response_body="3"),
    )
    with MockServer(answers) as server:
        assert [get(server, "/").text for _ in range(6)] == ["1", "2", "2", "3", "3", "3"]


def test_headers_match_exactly_whatever_the_case_of_their_names() -> None:
    answer = MockResponse("GET", "/", match_headers={"X-Key": "Secret"})
    with MockServer((answer,)) as server:
        assert get(server, "/", **{"x-kEY": "Secret"}).status_code == 200
        assert get(server, "/", **{"x-key": "secret"}).status_code == 501


def test_a_body_matches_where_the_expression_is_found_in_it() -> None:
    answer = MockResponse("POST", "/", match_body=r'"n":\s*\d+')
    with MockServer((answer,)) as server:
        assert httpx.post(server.url, json={"n": 12}).status_code == 200
        assert httpx.post(server.url, json={"n": "x"}).status_code == 501


def test_an_expression_that_is_none_is_refused_when_it_is_written() -> None:
    with pytest.raises(ValueError, match="match_body is no regular expression"):
        MockResponse("GET", "/", match_body="(")


def test_204_has_no_body_and_head_has_a_length_alone() -> None:
    answers = (
        MockResponse("DELETE", "/", response_status=204, response_body="ignored"),
        MockResponse("HEAD", "/", response_body="12345"),
    )
    with MockServer(answers) as server:
        deleted, head = httpx.delete(server.url), httpx.head(server.url)
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert "content-length" not in deleted.headers
    assert (head.headers["content-length"], head.content) == ("5", b"")


def test_what_came_in_is_kept_in_the_order_of_arrival() -> None:
    with MockServer() as server:
        get(server, "/one", **{"X-A": "1"})
        httpx.post(f"{server.url}/two", content="text")
    one, two = server.requests
    assert (one.method, one.path, one.headers["x-a"], one.body) == ("GET", "/one", "1", "")
    assert (two.method, two.path, two.body) == ("POST", "/two", "text")


def test_a_connection_serves_more_than_one_request() -> None:
    with (
        MockServer((MockResponse("GET", "/", response_body="x"),)) as server,
        httpx.Client() as one,
    ):
        assert [one.get(server.url).text for _ in range(3)] == ["x"] * 3


def test_a_late_answer_comes_late_and_does_not_outlive_its_server() -> None:
    soon = MockResponse("GET", "/soon", delay_secs=0.2)
    never = MockResponse("GET", "/never", delay_secs=600)
    with MockServer((soon, never)) as server:
        began = time.monotonic()
        get(server, "/soon")
        assert time.monotonic() - began >= 0.2
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(f"{server.url}/never", timeout=0.1)
        closing = time.monotonic()
    assert time.monotonic() - closing < 10


BODY = "data: 1\n\ndata: 2\n\ndata: 3"


def test_a_body_can_go_out_event_by_event() -> None:
    with (
        MockServer(
            (MockResponse("GET", "/", response_body=BODY, event_delay_secs=0.05),)
        ) as server,
        httpx.stream("GET", server.url) as response,
    ):
        began = time.monotonic()
        assert list(response.iter_text()) == ["data: 1\n\n", "data: 2\n\n", "data: 3"]
        assert time.monotonic() - began >= 0.1


def test_a_body_can_break_off() -> None:
    answer = MockResponse("GET", "/", response_body=BODY, event_delay_secs=0, cut_after_events=1)
    with MockServer((answer,)) as server, pytest.raises(httpx.RemoteProtocolError):
        httpx.get(server.url)
