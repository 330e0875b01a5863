"""The body of an http-request node as bytes, with the content type that goes with it. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast
from urllib.parse import urlencode

from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue, compact_json
from xworkflow.errors import NodeError
from xworkflow.nodes.http_data import BinaryBody, DrawnBody, FormBody, KeyValue, TextBody
from xworkflow.nodes.http_files import Attachment, Attachments

Render = Callable[[str], str]
Pair = tuple[str, str]
Encoded = tuple[bytes | None, str | None]
"""The bytes, and the content type unless the user names one."""
FormPart = tuple[str, str | Attachment]


def rendered_pairs(pairs: Sequence[KeyValue], render: Render) -> list[Pair]:
    """Keys and values with their references replaced; entries without a key are left out."""
    rendered = [(render(pair.key), render(pair.value)) for pair in pairs]
    return [(key, value) for key, value in rendered if key.strip()]


def encode_body(
    body: DrawnBody | None,
    render: Render,
    secret: Pair | None,
    dialect: Dialect,
    attachments: Attachments,
) -> Encoded:
    """Render and encode a body. ``secret`` is an API key that travels as a member of it.

    ``attachments`` are the files of ``file_fields``, in that order. Raises NodeError
    ``config_error`` when a secret has no place in a body of this type.
    """
    if isinstance(body, FormBody):
        return _form(body, render, secret, attachments)
    if isinstance(body, TextBody) and body.type == "json":
        return _json(render(_as_text(body.data)), secret, dialect)
    if secret is not None:
        raise NodeError.of_kind(
            "config_error", "an api_key in the body needs a form body or a JSON object"
        )
    if isinstance(body, BinaryBody):
        (file,) = attachments[0]
        return file.content, file.mime_type
    if isinstance(body, TextBody):
        content_type = "text/plain" if dialect == "dify" else None
        return render(_as_text(body.data)).encode(), content_type
    return None, None


def _as_text(data: JsonValue) -> str:
    return data if isinstance(data, str) else compact_json(data)


def _json(text: str, secret: Pair | None, dialect: Dialect) -> Encoded:
    if secret is not None:
        text = compact_json({**_json_object(text), secret[0]: secret[1]})
    elif dialect == "dify":
        text = _repaired(text)
    # half a surrogate pair is legal in a JSON text, and in no UTF-8
    return text.encode(errors="replace"), "application/json"


def _json_object(text: str) -> dict[str, JsonValue]:
    try:
        value = json.loads(text or "{}")
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise NodeError.of_kind("config_error", "an api_key in the body needs a JSON object")
    return cast("dict[str, Any]", value)


def _repaired(text: str) -> str:
    """Dify lets replaced references hold raw line breaks inside of JSON texts."""
    try:
        return compact_json(json.loads(text, strict=False))
    except (ValueError, RecursionError):
        return text


def _form(body: FormBody, render: Render, secret: Pair | None, attachments: Attachments) -> Encoded:
    if body.type == "x_www_form_urlencoded":
        pairs = rendered_pairs(body.data, render) + ([secret] if secret else [])
        return urlencode(pairs).encode(), "application/x-www-form-urlencoded"
    parts = list(_form_parts(body, render, attachments))
    return _multipart([*parts, secret] if secret else parts)


def _form_parts(body: FormBody, render: Render, attachments: Attachments) -> Iterator[FormPart]:
    """Texts and files in the order of their fields; a field of several files is several parts."""
    files = iter(attachments)
    for field in body.data:
        if field.type == "file":
            key = render(field.key)
            yield from ((key, file) for file in next(files) if key.strip())
        else:
            yield from rendered_pairs([field], render)


def _multipart(parts: Sequence[FormPart]) -> Encoded:
    written = [_part(key, value) for key, value in parts]
    # the boundary is a hash of the content: repeatable, and no content can hold its own hash
    digest = hashlib.sha256(b"\n".join(written)).hexdigest()
    boundary = f"xworkflow-{digest[:32]}"
    line = f"--{boundary}\r\n".encode()
    content = b"".join(line + part for part in written) + f"--{boundary}--\r\n".encode()
    return content, f"multipart/form-data; boundary={boundary}"


def _part(key: str, value: str | Attachment) -> bytes:
    """One part from its disposition to its last line break."""
    head = f'Content-Disposition: form-data; name="{_quoted(key)}"'
    if isinstance(value, str):
        return f"{head}\r\n\r\n{value}\r\n".encode()
    named = f'{head}; filename="{_quoted(value.name)}"\r\nContent-Type: {value.mime_type}\r\n\r\n'
    return named.encode() + value.content + b"\r\n"


def _quoted(name: str) -> str:
    """A field name inside of quotes, as browsers escape it."""
    return name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
