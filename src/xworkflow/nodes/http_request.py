"""``http-request``: one request and its response (spec/runtime.md 4)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from typing import Any, ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import references, render
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Dialect, Selector
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.nodes.base import Node, Values, WorkNode
from xworkflow.nodes.http_data import HttpRequestData
from xworkflow.nodes.http_message import build_request
from xworkflow.nodes.registry import node_type
from xworkflow.ports import HttpResponse, Ports

MAX_ERROR_BODY = 512
"""Characters of a body that an error quotes (4.4)."""
_NO_FILES = "sending files is not supported; it needs a file store"


@node_type
class HttpRequestNode(WorkNode[HttpRequestData]):
    """Outputs ``status_code: int``, ``body: str`` and ``headers``, the last as JSON text.

    In Dify's dialect ``headers`` is an object, and there is ``files``, an empty list. Any status is
    a success unless ``fail_on_error_status`` is set.
    """

    type: ClassVar[str] = "http-request"
    data_model = HttpRequestData
    placement = Placement.ACTIVITY

    def texts(self, node: Node[HttpRequestData]) -> Iterator[tuple[str, str]]:
        """What validation looks at (E502); body and credentials may hold the like as data."""
        yield "url", node.data.url
        for field, pairs in (("headers", node.data.headers), ("params", node.data.params)):
            for index, pair in enumerate(pairs):
                yield f"{field}[{index}].value", pair.value

    def hidden_reads(self, node: Node[HttpRequestData]) -> Iterator[Selector]:
        data = node.data
        drawn = [data.body, data.authorization, *data.headers, *data.params]
        for text in _texts_in([part.model_dump() for part in drawn if part is not None]):
            yield from references(text, node.dialect)

    def check(self, node: Node[HttpRequestData]) -> Iterator[Diagnostic]:
        if not node.data.url.strip():
            yield finding("E209", "the url is empty", node=node.id, field="url")
        for field in node.data.file_fields:
            yield finding("E217", f"{field}: {_NO_FILES}", node=node.id, field=field)

    async def execute(
        self, node: Node[HttpRequestData], values: Values, ports: Ports
    ) -> NodeRunResult:
        if node.data.file_fields:
            raise NodeError.of_kind("config_error", _NO_FILES)
        fill = partial(render, get=values.get, dialect=node.dialect, strict=ports.strict_template)
        request = build_request(
            node.data,
            node.dialect,
            fill,
            idempotency_key=ports.idempotency_key,
            max_response_bytes=ports.max_response_bytes,
        )
        response = await ports.http.send(request)
        outputs = _outputs(response, node.dialect)
        if node.data.fail_on_error_status:
            _check_status(response, outputs["body"])
        return NodeRunResult(
            inputs={"method": request.method, "url": node.data.url}, outputs=outputs
        )


def _texts_in(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():  # pyright: ignore[reportUnknownVariableType]
            yield from _texts_in(key)
            yield from _texts_in(item)
    elif isinstance(value, (list, tuple)):
        for item in value:  # pyright: ignore[reportUnknownVariableType]
            yield from _texts_in(item)


def _outputs(response: HttpResponse, dialect: Dialect) -> dict[str, Any]:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    if dialect == "native":
        return {
            "status_code": response.status_code,
            "body": response.content.decode(errors="replace"),
            "headers": json.dumps(headers, ensure_ascii=False),
        }
    return {
        "status_code": response.status_code,
        "body": _decoded(response.content, headers.get("content-type", "")),
        "headers": headers,
        "files": [],
    }


def _decoded(content: bytes, content_type: str) -> str:
    """The text in the charset that the server names; UTF-8 where it names none that is known."""
    _, _, charset = content_type.lower().partition("charset=")
    try:
        return content.decode(charset.split(";")[0].strip(" \"'") or "utf-8", errors="replace")
    except LookupError:
        return content.decode(errors="replace")


def _check_status(response: HttpResponse, body: str) -> None:
    """Raise for 4xx and 5xx; only 429 and 5xx are worth another attempt (4.4)."""
    status = response.status_code
    if status < 400:  # noqa: PLR2004
        return
    server_error = status >= 500  # noqa: PLR2004
    too_many = status == 429  # noqa: PLR2004
    raise NodeError(
        NodeFailure(
            code="http_server_error" if server_error else "http_client_error",
            text=f"HTTP {status} {body[:MAX_ERROR_BODY]}",
            retryable=server_error or too_many,
            retry_after_secs=_retry_after(response) if too_many else None,
            http_status=status,
        )
    )


def _retry_after(response: HttpResponse) -> float | None:
    given = dict(response.headers).get("retry-after", "").strip()
    return float(given) if given.isdecimal() else None
