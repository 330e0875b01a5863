"""The bytes of file values: fetched from a URL, or kept below the group's one directory.

A file value is data of a workflow, so it is not to be trusted: a path in it leads nowhere but below
the directory, and a group without one has no local files at all.

::

    <directory>/report.pdf                local_file, internal_storage: the id is a path below
    <directory>/.kept/ab/ab12…ef          tool_file: the id is the SHA-256 of the content
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from xworkflow.domain.values import JsonValue, to_file
from xworkflow.errors import NodeError
from xworkflow.ports import HttpClient, HttpRequest

_KEPT: Final = ".kept"
_HASH: Final = re.compile(r"[0-9a-f]{64}")
_FETCH_SECS: Final = 120.0


class GroupFiles:
    """Implements ``ports.FileStore`` for one group. Holds nothing open."""

    def __init__(self, http: HttpClient, directory: Path | None = None) -> None:
        self._http = http
        self._directory = directory

    async def read(self, file: Mapping[str, JsonValue], *, max_bytes: int) -> bytes:
        """The bytes of a file value. Raises NodeError."""
        if file.get("transfer_method") == "remote_url":
            return await self._fetched(str(file.get("url") or ""), max_bytes)
        path = self._path(file)
        return await asyncio.to_thread(_read, path, _label(file), max_bytes)

    async def save(self, content: bytes, *, name: str, mime_type: str) -> JsonValue:
        """Keep bytes under the hash of their content. Raises NodeError without a directory."""
        directory = self._directory
        if directory is None:
            raise NodeError.of_kind(
                "config_error",
                f"there is a file to keep ({mime_type}, {len(content)} bytes), and this group has "
                "no directory for files: give its worker one (--file-directory)",
            )
        digest = hashlib.sha256(content).hexdigest()
        await asyncio.to_thread(_write, _kept(directory, digest), content)
        return to_file(
            {
                "name": name,
                "size": len(content),
                "mime_type": mime_type,
                "transfer_method": "tool_file",
                "id": digest,
                "hash": digest,
            }
        )

    async def _fetched(self, url: str, max_bytes: int) -> bytes:
        request = HttpRequest("GET", url, timeout_secs=_FETCH_SECS, max_response_bytes=max_bytes)
        response = await self._http.send(request)
        if response.status_code >= 400:  # noqa: PLR2004
            retryable = response.status_code >= 500 or response.status_code == 429  # noqa: PLR2004
            raise NodeError.of_kind(
                "http_error",
                f"a file cannot be fetched: its server answers {response.status_code}",
                retryable=retryable,
            )
        return response.content

    def _path(self, file: Mapping[str, JsonValue]) -> Path:
        """Where a local file is. Raises NodeError for everything outside of the directory."""
        if self._directory is None:
            raise _refused(file, "this group has no directory for files (--file-directory)")
        name = str(file.get("id") or "")
        if not name or "\0" in name:
            raise _refused(file, "it has no id")
        if file.get("transfer_method") == "tool_file":
            if not _HASH.fullmatch(name):
                raise _refused(file, "its id is no hash of a kept file")
            return _kept(self._directory, name)
        root = self._directory.resolve()
        path = (root / name).resolve()
        if not path.is_relative_to(root):
            raise _refused(file, "it is outside of the group's directory for files")
        return path


def _kept(directory: Path, digest: str) -> Path:
    return directory / _KEPT / digest[:2] / digest


def _read(path: Path, label: str, max_bytes: int) -> bytes:
    """At most ``max_bytes``, and only of a regular file: a pipe would never end."""
    try:
        if not path.is_file():
            raise NodeError.of_kind("input_validation_error", f"{label} is not there")
        with path.open("rb") as opened:
            content = opened.read(max_bytes + 1)
    except OSError as error:
        reason = error.strerror or "error"
        raise NodeError.of_kind("execution_error", f"{label} cannot be read: {reason}") from None
    if len(content) > max_bytes:
        raise NodeError.of_kind(
            "input_validation_error", f"{label} is too large (max {max_bytes} bytes)"
        )
    return content


def _write(path: Path, content: bytes) -> None:
    """Written aside and moved into place, so that nobody ever reads half of it."""
    if path.exists():
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor, aside = tempfile.mkstemp(dir=path.parent)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(content)
        Path(aside).replace(path)
    except OSError as error:
        reason = error.strerror or "error"
        raise NodeError.of_kind("execution_error", f"a file cannot be kept: {reason}") from None


def _label(file: Mapping[str, JsonValue]) -> str:
    return f"the file '{file.get('name') or file.get('id') or ''}'"


def _refused(file: Mapping[str, JsonValue], reason: str) -> NodeError:
    return NodeError.of_kind("input_validation_error", f"{_label(file)} is refused: {reason}")
