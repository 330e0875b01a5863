"""Large texts on their way through Temporal, which refuses payloads of more than 2 MB.

Schemas and states of large runs repeat themselves: they pack to a twentieth. What is small travels
as it is, so that people can read it in the Web UI.
"""

from __future__ import annotations

import base64
import binascii
import json
import zlib
from functools import lru_cache
from typing import Final

PAYLOAD_BYTES: Final = 2 * 1024 * 1024
"""What Temporal takes in one payload."""
PACK_ABOVE: Final = 256 * 1024
"""Characters; shorter texts are never packed."""
MAX_UNPACKED: Final = 256 * 1024 * 1024
"""Bytes. What would be more is no text of ours."""

_MARK: Final = "zlib:"


def packed(text: str) -> str:
    """The text as it travels. JSON never begins as a packed text does."""
    return text if len(text) <= PACK_ABOVE else _zlib(text)


def packed_json(value: object) -> str | None:
    """A large value's JSON, packed. None for one that travels as it is."""
    text = json.dumps(value, separators=(",", ":"))
    return _zlib(text) if len(text) > PACK_ABOVE else None


@lru_cache(maxsize=2)  # what is sent was measured before, and the children of one node share a pool
def _zlib(text: str) -> str:
    return _MARK + base64.b64encode(zlib.compress(text.encode(errors="surrogatepass"), 6)).decode()


def unpacked(text: str) -> str:
    """The text again. Raises ValueError for a packed text that is broken or far too large."""
    if not text.startswith(_MARK):
        return text
    try:
        reader = zlib.decompressobj()
        data = reader.decompress(base64.b64decode(text[len(_MARK) :]), MAX_UNPACKED)
    except (binascii.Error, zlib.error) as error:
        raise ValueError(f"a packed text cannot be read: {error}") from None
    if not reader.eof:
        raise ValueError("a packed text is too large, or cut off")
    return data.decode(errors="surrogatepass")
