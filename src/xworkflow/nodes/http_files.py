"""The files that a request sends: taken from the pool by selector, their bytes from the store."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

from xworkflow.domain.mime_types import UNKNOWN
from xworkflow.domain.selectors import Selector
from xworkflow.domain.values import JsonValue, kind_of
from xworkflow.errors import NodeError
from xworkflow.nodes.base import Values
from xworkflow.nodes.http_data import BinaryBody, HttpRequestData
from xworkflow.nodes.images import File, files_in
from xworkflow.ports import FileStore

MAX_BINARY_BYTES: Final = 10 * 1024 * 1024
"""Of a file that is sent or received (spec/dify.md E1)."""

_MIME_TYPE: Final = re.compile(r"[\w.+-]+/[\w.+-]+")


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file ready to send."""

    name: str
    mime_type: str
    content: bytes


Attachments: TypeAlias = Sequence[Sequence[Attachment]]
"""The files of each of ``HttpRequestData.file_fields``."""


async def attachments_of(data: HttpRequestData, values: Values, store: FileStore) -> Attachments:
    """Fetch what the body sends. Raises NodeError: a value is no file, or its bytes are not there.

    A file field of a form whose variable is null sends nothing, as an optional input that was left
    empty; the body itself must be a file.
    """
    whole = isinstance(data.body, BinaryBody)
    found = [
        _files(field, selector, values, optional=not whole) for field, selector in data.file_fields
    ]
    if whole and any(len(files) != 1 for files in found):
        raise NodeError.of_kind("type_error", "body.data: there must be exactly one file")
    return [[await _attachment(file, store) for file in files] for files in found]


def _files(field: str, selector: Selector | None, values: Values, *, optional: bool) -> list[File]:
    value: JsonValue = None if selector is None else values.get(selector)
    if value is None and optional:
        return []
    files = files_in(value)
    if not files and value != []:
        raise NodeError.of_kind("type_error", f"{field}: not a file: {kind_of(value)}")
    return files


async def _attachment(file: File, store: FileStore) -> Attachment:
    content = await store.read(file, max_bytes=MAX_BINARY_BYTES)
    described = cast("dict[str, Any]", file)
    mime_type = str(described.get("mime_type") or "")
    return Attachment(
        name=str(described.get("name") or "file"),
        # a header is made of it
        mime_type=mime_type if _MIME_TYPE.fullmatch(mime_type) else UNKNOWN,
        content=content,
    )
