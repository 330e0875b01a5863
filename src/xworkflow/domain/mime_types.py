"""MIME types by file name, for files that come without one.

Our own short table: Python's reads the machine's, and a replay must give the same on every machine.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

UNKNOWN: Final = "application/octet-stream"

_OFFICE: Final = "application/vnd.openxmlformats-officedocument."
_BY_EXTENSION: Final[Mapping[str, str]] = MappingProxyType(
    {
        ".csv": "text/csv",
        ".doc": "application/msword",
        ".docx": f"{_OFFICE}wordprocessingml.document",
        ".gif": "image/gif",
        ".htm": "text/html",
        ".html": "text/html",
        ".jpeg": "image/jpeg",
        ".jpg": "image/jpeg",
        ".json": "application/json",
        ".m4a": "audio/mp4",
        ".md": "text/markdown",
        ".mov": "video/quicktime",
        ".mp3": "audio/mpeg",
        ".mp4": "video/mp4",
        ".ogg": "audio/ogg",
        ".pdf": "application/pdf",
        ".png": "image/png",
        ".ppt": "application/vnd.ms-powerpoint",
        ".pptx": f"{_OFFICE}presentationml.presentation",
        ".svg": "image/svg+xml",
        ".txt": "text/plain",
        ".wav": "audio/wav",
        ".webm": "video/webm",
        ".webp": "image/webp",
        ".xls": "application/vnd.ms-excel",
        ".xlsx": f"{_OFFICE}spreadsheetml.sheet",
        ".xml": "application/xml",
        ".yaml": "application/yaml",
        ".yml": "application/yaml",
        ".zip": "application/zip",
    }
)
# of two names for one type the later, shorter one: .htm and .html, .jpeg and .jpg
_BY_TYPE: Final[Mapping[str, str]] = MappingProxyType(
    {mime: extension for extension, mime in _BY_EXTENSION.items()}
)


def extension_of(name: str) -> str:
    """The last suffix of a file name with its dot, in lower case; nothing where there is none."""
    stem, dot, suffix = name.rpartition(".")
    return f".{suffix.lower()}" if dot and stem and suffix and "/" not in suffix else ""


def mime_type_of(name: str) -> str:
    """The type that a file name tells; ``application/octet-stream`` where it tells none."""
    return _BY_EXTENSION.get(extension_of(name), UNKNOWN)


def extension_for(mime_type: str) -> str:
    """The suffix that files of a type have, with its dot; nothing for types not known here."""
    return _BY_TYPE.get(mime_type, "")
