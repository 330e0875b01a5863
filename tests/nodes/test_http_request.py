"""The http-request node: what it sends, and what it makes of the answer."""

from __future__ import annotations

import json
import time
from email import message_from_bytes
from email.message import Message
from typing import Any, cast

import pytest
from pydantic import ValidationError

from tests.nodes.conftest import FakeFiles, FakeHttp, node, pool, ports
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import to_file
from xworkflow.errors import NodeError
from xworkflow.nodes.base import CrossedValues
from xworkflow.nodes.http_request import HttpRequestNode
from xworkflow.ports import HttpRequest, HttpResponse

VALUES = pool(x={"v": "a b&c", "quote": '"', "line": "1\n2", "n": 5}, env={"key": "s3cret"})


async def sent(
    dialect: Dialect = "native", lent: dict[str, Any] | None = None, **data: Any
) -> HttpRequest:
    http = FakeHttp()
    drawn = node("http-request", dialect, **({"method": "POST", "url": "http://h/p"} | data))
    await HttpRequestNode().execute(drawn, VALUES, ports(http=http, **(lent or {})))
    return http.sent[0]


def headers(request: HttpRequest) -> dict[str, str]:
    return {name.lower(): value for name, value in request.headers}


# --- the request


async def test_references_are_filled_everywhere() -> None:
    request = await sent(
        url="http://h/{{#x.n#}}",
        headers=[{"key": "X-{{#x.n#}}", "value": "h{{#x.n#}}"}],
        params=[{"key": "p{{#x.n#}}", "value": "{{#x.v#}}"}],
        body={"type": "raw_text", "data": "b{{#x.n#}}"},
        authorization={"type": "bearer_token", "token": "{{#env.key#}}"},
    )
    assert request.url == "http://h/5?p5=a%20b%26c"
    assert headers(request) == {"x-5": "h5", "authorization": "Bearer s3cret"}
    assert request.content == b"b5"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://h", "http://h?k=v"),
        ("http://h/?a=1", "http://h/?a=1&k=v"),
        ("http://h/?", "http://h/?k=v"),
        ("http://h/?a=1&", "http://h/?a=1&k=v"),
        ("http://h/#f", "http://h/?k=v#f"),
    ],
)
async def test_params_are_appended_to_the_query(url: str, expected: str) -> None:
    assert (await sent(url=url, params=[{"key": "k", "value": "v"}])).url == expected


async def test_of_two_headers_with_one_name_the_later_stays() -> None:
    drawn = [{"key": "X-A", "value": "1"}, {"key": "x-a", "value": "2"}]
    assert (await sent(headers=drawn)).headers == (("x-a", "2"),)


async def test_headers_that_http_cannot_carry_are_skipped() -> None:
    drawn = [
        {"key": "X Bad", "value": "1"},
        {"key": "", "value": "1"},
        {"key": "X-Split", "value": "{{#x.line#}}"},
        {"key": " X-Good ", "value": " é "},
    ]
    assert (await sent(headers=drawn)).headers == (("X-Good", "é"),)


@pytest.mark.parametrize(
    ("body", "content", "content_type"),
    [
        (None, None, None),
        ({"type": "none", "data": []}, None, None),
        ({"type": "raw_text", "data": "t"}, b"t", None),
        ({"type": "json", "data": '{"a": {{#x.n#}}}'}, b'{"a": 5}', "application/json"),
        ({"type": "json", "data": {"a": "{{#x.n#}}"}}, b'{"a":"5"}', "application/json"),
        ({"type": "json", "data": "no json"}, b"no json", "application/json"),
        (
            {"type": "x_www_form_urlencoded", "data": [{"key": "k", "value": "{{#x.v#}}"}]},
            b"k=a+b%26c",
            "application/x-www-form-urlencoded",
        ),
    ],
)
async def test_each_kind_of_body_is_encoded(
    body: Any, content: bytes | None, content_type: str | None
) -> None:
    request = await sent(body=body)
    assert request.content == content
    assert headers(request).get("content-type") == content_type


async def test_a_form_is_sent_in_parts() -> None:
    pairs = [{"key": 'a"b', "value": "{{#x.line#}}"}, {"key": "c", "value": "é"}]
    request = await sent(body={"type": "form_data", "data": pairs})
    kind, _, boundary = headers(request)["content-type"].partition("; boundary=")
    assert kind == "multipart/form-data"
    assert (request.content or b"").decode() == (
        f'--{boundary}\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\n1\n2\r\n'
        f'--{boundary}\r\nContent-Disposition: form-data; name="c"\r\n\r\né\r\n'
        f"--{boundary}--\r\n"
    )


async def test_the_same_form_has_the_same_bytes_each_time() -> None:
    body = {"type": "form_data", "data": [{"key": "k", "value": "v"}]}
    assert (await sent(body=body)).content == (await sent(body=body)).content


async def test_a_drawn_content_type_goes_before_the_default() -> None:
    drawn = [{"key": "content-type", "value": "application/vnd.api+json"}]
    request = await sent(body={"type": "json", "data": "{}"}, headers=drawn)
    assert headers(request)["content-type"] == "application/vnd.api+json"


async def test_a_drawn_content_type_never_hides_the_boundary_of_a_form() -> None:
    drawn = [{"key": "Content-Type", "value": "multipart/form-data"}]
    request = await sent(body={"type": "form_data", "data": []}, headers=drawn)
    assert "boundary=" in headers(request)["content-type"]


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        ({"type": "no_auth"}, {}),
        ({"type": "bearer_token", "token": "t"}, {"authorization": "Bearer t"}),
        (
            {"type": "basic_auth", "username": "u", "password": "{{#env.key#}}"},
            {"authorization": "Basic dTpzM2NyZXQ="},
        ),
        ({"type": "api_key", "key": "X-Key", "value": "{{#env.key#}}"}, {"x-key": "s3cret"}),
        ({"type": "custom_headers", "headers": {"X-A": "1", "X-B": "2"}}, {"x-a": "1", "x-b": "2"}),
        ({"type": "custom_headers", "headers": [{"key": "X-A", "value": "1"}]}, {"x-a": "1"}),
    ],
)
async def test_credentials_in_headers_are_marked_as_such(
    authorization: Any, expected: dict[str, str]
) -> None:
    request = await sent(authorization=authorization)
    assert headers(request) == expected
    assert request.credential_headers == set(expected)


async def test_credentials_go_before_a_drawn_header() -> None:
    drawn = [{"key": "authorization", "value": "mine"}]
    request = await sent(headers=drawn, authorization={"type": "bearer_token", "token": "t"})
    assert request.headers == (("Authorization", "Bearer t"),)


def api_key(position: str) -> dict[str, Any]:
    return {"type": "api_key", "key": "k", "value": "{{#env.key#}}", "position": position}


async def test_an_api_key_may_travel_in_the_query() -> None:
    request = await sent(authorization=api_key("query"), params=[{"key": "a", "value": "1"}])
    assert request.url == "http://h/p?a=1&k=s3cret"


@pytest.mark.parametrize(
    ("body", "content"),
    [
        ({"type": "json", "data": '{"a": 1}'}, b'{"a":1,"k":"s3cret"}'),
        ({"type": "json", "data": ""}, b'{"k":"s3cret"}'),
        (
            {"type": "x_www_form_urlencoded", "data": [{"key": "a", "value": "1"}]},
            b"a=1&k=s3cret",
        ),
    ],
)
async def test_an_api_key_may_travel_in_the_body(body: Any, content: bytes) -> None:
    assert (await sent(body=body, authorization=api_key("body"))).content == content


@pytest.mark.parametrize("body", [None, {"type": "raw_text"}, {"type": "json", "data": "[1]"}])
async def test_an_api_key_needs_a_place_in_the_body(body: Any) -> None:
    with pytest.raises(NodeError) as caught:
        await sent(body=body, authorization=api_key("body"))
    assert caught.value.failure.code == "config_error"


async def test_the_idempotency_key_is_sent_unless_one_is_drawn() -> None:
    lent = {"idempotency_key": "run/n/1"}
    assert headers(await sent(lent=lent))["idempotency-key"] == "run/n/1"
    drawn = [{"key": "idempotency-key", "value": "mine"}]
    assert (await sent(lent=lent, headers=drawn)).headers == (("idempotency-key", "mine"),)
    assert "idempotency-key" not in headers(await sent())


@pytest.mark.parametrize("field", ["url", "headers", "params", "body", "authorization"])
async def test_a_strict_run_fails_for_a_missing_variable(field: str) -> None:
    text = "{{#x.gone#}}"
    data: dict[str, Any] = {
        "url": f"http://h/{text}",
        "headers": [{"key": "a", "value": text}],
        "params": [{"key": "a", "value": text}],
        "body": {"type": "json", "data": text},
        "authorization": {"type": "bearer_token", "token": text},
    }
    await sent(**{field: data[field]})
    with pytest.raises(NodeError) as caught:
        await sent(lent={"strict_template": True}, **{field: data[field]})
    assert caught.value.failure.code == "variable_not_found"


def test_all_that_a_request_reads_is_named() -> None:
    drawn = node(
        "http-request",
        method="GET",
        url="http://{{#a.v#}}",
        headers=[{"key": "{{#b.v#}}", "value": "{{#c.v#}}"}],
        params=[{"key": "{{#d.v#}}", "value": ""}],
        body={"type": "json", "data": {"deep": ["{{#e.v#}}"]}},
        authorization=api_key("query"),
    )
    kind = HttpRequestNode()
    assert {s[0] for s in kind.hidden_reads(drawn)} == {"b", "c", "d", "e", "env"}
    assert [field for field, _ in kind.texts(drawn)] == [
        "url", "headers[0].value", "params[0].value",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("dialect", "drawn", "expected"),
    [
        ("native", None, (10, None, None, None)),
        ("native", 3, (3, None, None, None)),
        ("native", 0, (10, None, None, None)),
        ("native", {"connect": 1, "read": 2, "write": 3}, (6, 1, 2, 3)),
        ("dify", None, (1210, 10, 600, 600)),
        ("dify", {"max_connect_timeout": 0, "max_read_timeout": 5}, (615, 10, 5, 600)),
    ],
)
async def test_timeouts_are_one_number_or_three(
    dialect: Dialect, drawn: Any, expected: tuple[float | None, ...]
) -> None:
    r = await sent(dialect, timeout=drawn)
    parts = (r.connect_timeout_secs, r.read_timeout_secs, r.write_timeout_secs)
    assert (r.timeout_secs, *parts) == expected


@pytest.mark.parametrize(
    ("dialect", "lent", "limit"),
    [
        ("native", None, None),
        ("native", 100, 100),
        ("dify", None, 10 * 1024 * 1024),
        ("dify", 100, 100),
    ],
)
async def test_the_size_of_a_response_is_limited(
    dialect: Dialect, lent: int | None, limit: int | None
) -> None:
    request = await sent(dialect, lent={"max_response_bytes": lent})
    assert request.max_response_bytes == limit


async def test_dify_lets_references_put_line_breaks_into_json() -> None:
    request = await sent("dify", body={"type": "json", "data": '{"a": "{{#x.line#}}"}'})
    assert json.loads(request.content or b"") == {"a": "1\n2"}
    broken = await sent("dify", body={"type": "json", "data": '{"a": "{{#x.quote#}}"}'})
    assert broken.content == b'{"a": """}'


async def test_dify_calls_raw_text_plain() -> None:
    request = await sent("dify", body={"type": "raw_text", "data": "t"})
    assert headers(request)["content-type"] == "text/plain"


@pytest.mark.parametrize(
    "data",
    [
        {"method": "get", "url": "u"},
        {"method": "TRACE", "url": "u"},
        {"url": "u"},
        {"method": "GET", "url": "u", "body": {"type": "xml"}},
        {"method": "GET", "url": "u", "authorization": {"type": "magic"}},
        {"method": "GET", "url": "u", "timeout": -1},
    ],
)
def test_a_drawing_without_sense_is_refused(data: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        node("http-request", **data)


# --- files

PNG = to_file({"type": "image", "transfer_method": "local_file", "upload_file_id": "u1.png"})
ODD = {**cast("dict[str, Any]", PNG), "name": 'a"b.bin', "mime_type": "x/y\r\nX-Evil: 1"}
STORED = {"u1.png": b"\x89PNG\r\n"}
WITH_FILES = pool(x={"f": PNG, "list": [PNG, ODD], "none": None, "text": "t", "empty": []})


async def uploaded(body: dict[str, Any]) -> HttpRequest:
    """Sent with nothing but what the node says that it reads."""
    kind, http = HttpRequestNode(), FakeHttp()
    drawn = node("http-request", "dify", method="POST", url="http://h/p", body=body)
    values = CrossedValues({s: WITH_FILES.get(s) for s in kind.hidden_reads(drawn)})
    await kind.execute(drawn, values, ports(http=http, files=FakeFiles(STORED)))
    return http.sent[0]


async def test_a_binary_body_is_the_file_itself() -> None:
    request = await uploaded({"type": "binary", "data": ["x", "f"]})
    assert request.content == STORED["u1.png"]
    assert headers(request)["content-type"] == "image/png"


async def test_files_of_a_form_travel_as_parts_beside_its_texts() -> None:
    fields = [
        {"key": "a", "value": "é"},
        {"key": "f", "type": "file", "file": ["x", "list"]},
        {"key": "g", "type": "file", "file": ["x", "none"]},
    ]
    request = await uploaded({"type": "form_data", "data": fields})
    content_type = headers(request)["content-type"]
    raw = f"Content-Type: {content_type}\r\n\r\n".encode() + (request.content or b"")
    parts = cast("list[Message]", message_from_bytes(raw).get_payload())
    found = [
        (
            part.get_param("name", header="content-disposition"),
            part.get_filename(),
            part.get_content_type() if part.get_filename() else None,
            part.get_payload(decode=True),
        )
        for part in parts
    ]
    assert found == [
        ("a", None, None, "é".encode()),
        ("f", "file", "image/png", STORED["u1.png"]),
        ("f", "a%22b.bin", "application/octet-stream", STORED["u1.png"]),
    ]
    assert b"X-Evil" not in (request.content or b"")


@pytest.mark.parametrize(
    "body",
    [
        {"type": "binary", "data": ["x", "text"]},
        {"type": "binary", "data": ["x", "none"]},
        {"type": "binary", "data": ["x", "empty"]},
        {"type": "binary", "data": ["x", "list"]},
        {"type": "form_data", "data": [{"key": "k", "type": "file", "file": ["x", "text"]}]},
    ],
)
async def test_what_is_no_file_is_not_sent(body: dict[str, Any]) -> None:
    with pytest.raises(NodeError) as caught:
        await uploaded(body)
    assert caught.value.failure.code == "type_error"


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"type": "binary", "data": ""}, "body.data"),
        ({"type": "form_data", "data": [{"key": "k", "type": "file"}]}, "body.data[0].file"),
    ],
)
def test_a_body_that_names_no_file_is_refused_by_validation(body: Any, field: str) -> None:
    drawn = node("http-request", "dify", method="POST", url="http://h", body=body)
    (found,) = HttpRequestNode().check(drawn)
    assert (found.code, found.field_path) == ("E217", field)


# --- the response


async def outputs(
    response: HttpResponse, dialect: Dialect = "native", **data: Any
) -> dict[str, Any]:
    drawn = node("http-request", dialect, method="GET", url="http://h", **data)
    return (await HttpRequestNode().execute(drawn, VALUES, ports(http=FakeHttp(response)))).outputs


ANSWER = HttpResponse(
    404, (("content-type", "text/plain"), ("set-cookie", "a"), ("set-cookie", "b")), b"no\xff"
)


async def test_native_outputs_hold_the_headers_as_json_text() -> None:
    assert await outputs(ANSWER) == {
        "status_code": 404,
        "body": "no\ufffd",
        "headers": '{"content-type": "text/plain", "set-cookie": "a, b"}',
    }


async def test_dify_outputs_hold_the_headers_as_an_object() -> None:
    assert await outputs(ANSWER, "dify") == {
        "status_code": 404,
        "body": "no\ufffd",
        "headers": {"content-type": "text/plain", "set-cookie": "a, b"},
        "files": [],
    }


@pytest.mark.parametrize(
    ("content_type", "text"),
    [
        ("text/html; charset=latin-1", "é"),
        ("text/html; charset=nope", "\ufffd"),
        ("text/html", "\ufffd"),
        ("text/html; charset=ISO-8859-15", "é"),
        ("text/html; charset=windows-1252", "é"),
        ("text/html; charset=Shift_JIS", "\ufffd"),
        ("text/html; charset=x\0", "\ufffd"),
    ],
)
async def test_dify_reads_the_charset_that_the_server_names(content_type: str, text: str) -> None:
    response = HttpResponse(200, (("content-type", content_type),), b"\xe9")
    assert (await outputs(response, "dify"))["body"] == text


@pytest.mark.parametrize(
    "charset",
    [
        "punycode",
        "idna",
        "undefined",
        "unicode_escape",
        "raw-unicode-escape",
        "utf-7",
        "hex",
        "zip",
    ],
)
async def test_a_server_cannot_choose_a_codec_that_is_no_charset(charset: str) -> None:
    """Some are slow by design, some fail always, some make what cannot be sent onwards."""
    content = rb"\ud800 +2AA-" + b"a" * 200_000 + b"-" + b"a99" * 50_000
    response = HttpResponse(200, (("content-type", f"text/x; charset={charset}"),), content)
    began = time.process_time()
    body = (await outputs(response, "dify"))["body"]
    assert body == content.decode()
    assert time.process_time() - began < 0.5


def response_of(content: bytes, content_type: str = "", disposition: str = "") -> HttpResponse:
    headers = (("content-type", content_type), ("content-disposition", disposition))
    return HttpResponse(200, tuple(pair for pair in headers if pair[1]), content)


@pytest.mark.parametrize(
    ("response", "is_file"),
    [
        (response_of(b"a", "text/plain"), False),
        (response_of(b"{}", "application/json; charset=utf-8"), False),
        (response_of(b"<a/>", "application/atom+xml"), False),
        (response_of(b"a", "application/javascript"), False),
        (response_of(b"a"), False),
        (response_of(b"a", "application/octet-stream"), False),
        (response_of(b"a\0", "application/octet-stream"), True),
        (response_of(b"\xff\xfe"), True),
        (response_of(b"%PDF", "application/pdf"), True),
        (response_of(b"<svg/>", "image/svg+xml"), True),
        (response_of(b"a", "IMAGE/PNG"), True),
        (response_of(b"a,b", "text/csv", "attachment; filename=a.csv"), True),
        (response_of(b"a", "text/plain", "inline"), False),
        (response_of(b"", "image/png"), False),
    ],
)
async def test_dify_tells_files_from_texts(response: HttpResponse, is_file: bool) -> None:
    found = await outputs(response, "dify")
    assert bool(found["files"]) is is_file
    assert found["body"] == ("" if is_file else response.content.decode())
    assert "files" not in await outputs(response, "native")


@pytest.mark.parametrize(
    ("response", "name"),
    [
        (response_of(b"a", "image/png"), "p.png"),
        (response_of(b"a", "image/png", 'attachment; filename="x.jpg"'), "x.jpg"),
        (response_of(b"a", "image/png", "attachment; filename*=UTF-8''%C3%A9.png"), "é.png"),
        (response_of(b"a", "image/png", 'attachment; filename="../../etc/x"'), "x.png"),
        (response_of(b"a", "a/unknown", "attachment"), "p"),
    ],
)
async def test_a_file_keeps_the_name_that_it_came_with(response: HttpResponse, name: str) -> None:
    store = FakeFiles()
    drawn = node("http-request", "dify", method="GET", url="http://h/d/p?q=1")
    lent = ports(http=FakeHttp(response), files=store)
    result = await HttpRequestNode().execute(drawn, VALUES, lent)
    ((content, saved_as, _),) = store.saved
    assert (content, saved_as) == (b"a", name)
    assert result.outputs["files"][0]["name"] == name


async def test_an_error_status_keeps_no_file() -> None:
    store = FakeFiles()
    drawn = node("http-request", "dify", method="GET", url="http://h", fail_on_error_status=True)
    lent = ports(http=FakeHttp(HttpResponse(500, (), b"\0")), files=store)
    with pytest.raises(NodeError):
        await HttpRequestNode().execute(drawn, VALUES, lent)
    assert store.saved == []


async def test_dify_refuses_a_text_of_more_than_a_megabyte() -> None:
    text = b"x" * (1024 * 1024)
    assert len((await outputs(response_of(text, "text/plain"), "dify"))["body"]) == len(text)
    with pytest.raises(NodeError, match="HTTP response too large"):
        await outputs(response_of(text + b"x", "text/plain"), "dify")
    assert len((await outputs(response_of(text + b"x", "text/plain")))["body"]) > len(text)


@pytest.mark.parametrize(
    ("status", "code", "retryable"),
    [
        (400, "http_client_error", False),
        (401, "http_client_error", False),
        (404, "http_client_error", False),
        (422, "http_client_error", False),
        (429, "http_client_error", True),
        (500, "http_server_error", True),
        (503, "http_server_error", True),
    ],
)
async def test_an_error_status_fails_the_node_where_it_is_asked_to(
    status: int, code: str, retryable: bool
) -> None:
    response = HttpResponse(status, (("retry-after", "7"),), b"x" * 600)
    with pytest.raises(NodeError) as caught:
        await outputs(response, fail_on_error_status=True)
    failure = caught.value.failure
    assert failure.text == f"HTTP {status} {'x' * 512}"
    assert (failure.code, failure.retryable, failure.http_status) == (code, retryable, status)
    assert failure.retry_after_secs == (7 if status == 429 else None)


@pytest.mark.parametrize("status", [200, 204, 302, 399])
async def test_other_statuses_are_a_success_even_so(status: int) -> None:
    result = await outputs(HttpResponse(status, (), b""), fail_on_error_status=True)
    assert result["status_code"] == status


async def test_a_retry_after_that_is_a_date_is_ignored() -> None:
    response = HttpResponse(429, (("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),), b"")
    with pytest.raises(NodeError) as caught:
        await outputs(response, fail_on_error_status=True)
    assert caught.value.failure.retry_after_secs is None
