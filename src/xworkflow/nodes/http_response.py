"""What an http-request node makes of a response (spec/runtime.md 4.3, 4.4; spec/dify.md E1)."""

from __future__ import annotations

import codecs
import json
import re
from typing import Any, Final
from urllib.parse import unquote, urlsplit

from xworkflow.domain.mime_types import UNKNOWN, extension_for, extension_of
from xworkflow.domain.retry_after import retry_after_secs
from xworkflow.domain.selectors import Dialect
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.ports import FileStore, HttpResponse

MAX_ERROR_BODY: Final = 512
"""Characters of a body that an error quotes (4.4)."""
DIFY_MAX_TEXT_BYTES: Final = 1024 * 1024

_TEXT: Final = re.compile(
    r"text/.*|.*[+/](json|xml)|application/(javascript|ecmascript|x-javascript|x-ndjson|graphql"
    r"|yaml|x-yaml|toml|sql|x-sh|x-www-form-urlencoded)"
)
_FAMILIES: Final = ("iso8859-", "cp125")
_CHARSETS: Final = frozenset({
    "ascii", "big5", "big5hkscs", "cp866", "cp874", "cp932", "cp949", "euc_jp", "euc_kr", "gb18030",
    "gb2312", "gbk", "hz", "iso2022_jp", "iso2022_kr",
    "koi8-r", "koi8-u", "mac-cyrillic", "mac-roman", "shift_jis",
    "tis-620", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-8", "utf-8-sig",
})  # fmt: skip
"""Names of codecs, for the charsets that browsers read."""
_MEDIA: Final = ("image/", "audio/", "video/", "font/")
_FILE_NAME: Final = re.compile(r"""filename\*?=(?:UTF-8'')?"?([^";]+)""", re.IGNORECASE)


def check_status(response: HttpResponse) -> None:
    """Raise for 4xx and 5xx; only 429 and 5xx are worth another attempt (4.4)."""
    status = response.status_code
    if status < 400:  # noqa: PLR2004
        return
    server_error = status >= 500  # noqa: PLR2004
    too_many = status == 429  # noqa: PLR2004
    raise NodeError(
        NodeFailure(
            code="http_server_error" if server_error else "http_client_error",
            text=f"HTTP {status} {_decoded(response)[:MAX_ERROR_BODY]}",
            retryable=server_error or too_many,
            retry_after_secs=retry_after_secs(response.headers) if too_many else None,
            http_status=status,
        )
    )


async def outputs_of(
    response: HttpResponse, url: str, dialect: Dialect, store: FileStore
) -> dict[str, Any]:
    """The node's outputs. Raises NodeError for a text too large, or a file that cannot be kept."""
    headers = _joined(response)
    if dialect == "native":
        return {
            "status_code": response.status_code,
            "body": response.content.decode(errors="replace"),
            "headers": json.dumps(headers, ensure_ascii=False),
        }
    files = [await _kept(response, url, store)] if is_file_response(response) else []
    return {
        "status_code": response.status_code,
        "body": "" if files else _text(response),
        "headers": headers,
        "files": files,
    }


def is_file_response(response: HttpResponse) -> bool:
    """Whether a response is a file rather than a text: by its headers, else by its bytes."""
    headers = dict(response.headers)
    if not response.content:
        return False
    if headers.get("content-disposition", "").strip().lower().startswith("attachment"):
        return True
    mime_type = _mime_type(headers)
    if mime_type.startswith(_MEDIA):
        return True
    if _TEXT.fullmatch(mime_type):
        return False
    return mime_type not in ("", UNKNOWN) or not _reads_as_text(response.content)


def _reads_as_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode()
    except UnicodeDecodeError:
        return False


async def _kept(response: HttpResponse, url: str, store: FileStore) -> JsonValue:
    mime_type = _mime_type(dict(response.headers)) or UNKNOWN
    name = _file_name(response, url) or "file"
    if not extension_of(name):
        name += extension_for(mime_type)
    return await store.save(response.content, name=name, mime_type=mime_type)


def _file_name(response: HttpResponse, url: str) -> str:
    """What the server calls the file, else the last segment of the address."""
    disposition = dict(response.headers).get("content-disposition", "")
    found = _FILE_NAME.search(disposition)
    try:
        name = unquote(found[1] if found else urlsplit(url).path)
    except ValueError:
        return ""
    return name.replace("\\", "/").rsplit("/", 1)[-1].strip()


def _text(response: HttpResponse) -> str:
    size = len(response.content)
    if size > DIFY_MAX_TEXT_BYTES:
        text = f"HTTP response too large (max {DIFY_MAX_TEXT_BYTES} bytes, got {size})"
        raise NodeError.of_kind("http_error", text)
    return _decoded(response)


def _decoded(response: HttpResponse) -> str:
    """The text in the charset that the server names; UTF-8 where it names none that the web has."""
    content_type = dict(response.headers).get("content-type", "")
    _, _, named = content_type.lower().partition("charset=")
    return response.content.decode(_codec(named.split(";")[0].strip(" \"'")), "replace")


def _codec(charset: str) -> str:
    """Python knows more than charsets: some of its codecs take quadratic time (``punycode``), some
    fail whatever they get, and some make texts that UTF-8 cannot hold (``unicode_escape``)."""
    try:
        found = codecs.lookup(charset).name
    except (LookupError, ValueError):
        return "utf-8"
    return found if found in _CHARSETS or found.startswith(_FAMILIES) else "utf-8"


def _mime_type(headers: dict[str, str]) -> str:
    return headers.get("content-type", "").split(";")[0].strip().lower()


def _joined(response: HttpResponse) -> dict[str, str]:
    headers: dict[str, str] = {}
    for name, value in response.headers:
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    return headers
