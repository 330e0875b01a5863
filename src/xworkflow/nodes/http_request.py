"""``http-request``: one request and its response (spec/runtime.md 4)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import ClassVar

from xworkflow.domain.diagnostics import Diagnostic, finding
from xworkflow.domain.placeholders import TextBudget, references, render
from xworkflow.domain.plan import Placement
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue
from xworkflow.nodes.base import Node, Values, WorkNode
from xworkflow.nodes.http_data import HttpRequestData
from xworkflow.nodes.http_files import attachments_of
from xworkflow.nodes.http_message import build_request
from xworkflow.nodes.http_response import check_status, outputs_of
from xworkflow.nodes.registry import node_type
from xworkflow.ports import Ports


@node_type
class HttpRequestNode(WorkNode[HttpRequestData]):
    """Outputs ``status_code: int``, ``body: str`` and ``headers``, the last as JSON text.

    In Dify's dialect ``headers`` is an object; a response that is a file has an empty ``body``, and
    the file in ``files``. Any status is a success unless ``fail_on_error_status`` is set.
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
        for _, selector in data.file_fields:
            if selector is not None:
                yield selector

    def check(self, node: Node[HttpRequestData]) -> Iterator[Diagnostic]:
        if not node.data.url.strip():
            yield finding("E209", "the url is empty", node=node.id, field="url")
        for field, selector in node.data.file_fields:
            if selector is None:
                text = f"{field}: there is no file selected"
                yield finding("E217", text, node=node.id, field=field)

    async def execute(
        self, node: Node[HttpRequestData], values: Values, ports: Ports
    ) -> NodeRunResult:
        fill = partial(
            render,
            get=values.get,
            dialect=node.dialect,
            strict=ports.strict_template,
            budget=TextBudget(),
        )
        request = build_request(
            node.data,
            node.dialect,
            fill,
            attachments=await attachments_of(node.data, values, ports.files),
            idempotency_key=ports.idempotency_key,
            max_response_bytes=ports.max_response_bytes,
        )
        response = await ports.http.send(request)
        if node.data.fail_on_error_status:
            check_status(response)
        return NodeRunResult(
            inputs={"method": request.method, "url": node.data.url},
            outputs=await outputs_of(response, request.url, node.dialect, ports.files),
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
