"""Images for a model: file values and addresses as parts of a message."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

from xworkflow.domain.chat import ImagePart
from xworkflow.domain.pool import file_attribute
from xworkflow.domain.values import JsonValue, is_file, to_file
from xworkflow.errors import NodeError
from xworkflow.nodes.audit import audit
from xworkflow.ports import Ports

MAX_IMAGE_BYTES: Final = 10 * 1024 * 1024
"""Of an image that is sent along (spec/dify.md E1, binary)."""

_SIGNATURES: Final = (
    (b"\x89PNG", "image/png"),
    (b"\xff\xd8", "image/jpeg"),
    (b"GIF8", "image/gif"),
    (b"RIFF", "image/webp"),
)

File = Mapping[str, JsonValue]


def files_in(value: JsonValue) -> list[File]:
    """The files of a file or of a list of nothing but files; nothing of anything else."""
    items = cast("list[Any]", value) if isinstance(value, list) else [value]
    files = [_as_file(item) for item in items]
    return [] if None in files else cast("list[File]", files)


def _as_file(value: JsonValue) -> File | None:
    """A file value, or an object that describes one, as callers and code nodes make them."""
    if is_file(value):
        return value
    described = isinstance(value, dict) and "transfer_method" in value
    return to_file(value) if described else None


async def image_parts(
    files: Iterable[File], detail: str | None, node_id: str, ports: Ports
) -> list[ImagePart]:
    """The images among files, in order; a chat model has no use for the others.

    A remote one goes as its URL, which the provider fetches; the bytes of others go along.
    """
    images = [file for file in files if file_attribute(file, "type") == "image"]
    return [ImagePart(await _address(image, node_id, ports), detail) for image in images]


async def _address(file: File, node_id: str, ports: Ports) -> str:
    if file.get("transfer_method") == "remote_url":
        return checked_url(str(file.get("url") or ""), node_id, ports)
    content = await ports.files.read(file, max_bytes=MAX_IMAGE_BYTES)
    return f"data:{_mime_type(file, content)};base64,{b64encode(content).decode()}"


def _mime_type(file: File, content: bytes) -> str:
    """Models refuse images without a type of their own: without one, the first bytes tell it."""
    given = str(file.get("mime_type") or "")
    if given.startswith("image/"):
        return given
    return next((mime for sign, mime in _SIGNATURES if content.startswith(sign)), given)


def checked_url(url: str, node_id: str, ports: Ports) -> str:
    """The URL, once the network policy has let it pass. Raises NodeError."""
    if url.startswith("data:image/"):
        return url
    try:
        ports.http.check_url(url)
    except NodeError as error:
        told = {name: error.failure.metadata.get(name) for name in ("host", "rule")}
        audit(ports, node_id, "SsrfBlocked", "Warning", **told, reason=error.failure.text)
        raise
    return url
