"""Unpacking a response's body a slice at a time, so that a small one cannot become a huge one.

zlib is asked for at most 64 KiB at once: a library that unpacks a whole network chunk makes 60 MB
of one, before anybody can count.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Final

from xworkflow.errors import NodeError

SLICE: Final = 64 * 1024
MAX_RATIO: Final = 200
"""Texts shrink to a tenth, zeros to a thousandth. Counts once so much came out:"""
RATIO_COUNTS_FROM: Final = 4 * 1024 * 1024
_MEMBER: Final = b"\x1f\x8b"


class DecodingError(Exception):
    """A body that is not packed as its headers say."""


async def decoded(encoding: str, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """A body's content. Raises DecodingError, and NodeError for a decompression bomb."""
    decoder = _decoder(encoding)
    async for part in body:
        if decoder is None:
            yield part
            continue
        for unpacked in decoder.feed(part):
            yield unpacked
    if decoder is not None:
        decoder.finish()


class _Inflater:
    """One gzip or deflate stream; gzip may have several members, deflate may lack its header."""

    def __init__(self, encoding: str) -> None:
        self._gzip = encoding != "deflate"
        self._zlib = self._new()
        self._first = True
        self._taken = 0
        self._given = 0
        self._started = False
        self._between = b""
        self._ended = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        self._taken += len(data)
        self._started = self._started or bool(data)
        # what comes behind the end is no longer given to zlib, which would keep all of it
        while data and not self._ended:
            if self._zlib.eof and not self._goes_on(data):
                return
            data, self._between = self._between + data, b""
            unpacked = self._unpack(data)
            if unpacked:
                self._given += len(unpacked)
                self._check_ratio()
                yield unpacked
            data = self._zlib.unused_data if self._zlib.eof else self._zlib.unconsumed_tail

    def _goes_on(self, data: bytes) -> bool:
        """Whether another member begins behind the one that ended; padding is ignored, as other
        clients do."""
        begin = self._between + data
        if self._gzip and len(begin) < len(_MEMBER) and _MEMBER.startswith(begin):
            self._between = begin
            return False
        if not (self._gzip and begin.startswith(_MEMBER)):
            self._ended = True
            return False
        self._zlib = self._new()
        return True

    def finish(self) -> None:
        """Raises DecodingError when the stream broke off."""
        if self._started and not self._zlib.eof:
            raise DecodingError("the packed body breaks off")

    def _unpack(self, data: bytes) -> bytes:
        try:
            unpacked = self._zlib.decompress(data, SLICE)
        except zlib.error as error:
            if self._gzip or not self._first:
                raise DecodingError(str(error)) from None
            self._zlib = zlib.decompressobj(-zlib.MAX_WBITS)
            self._first = False
            return self._unpack(data)
        self._first = False
        return unpacked

    def _check_ratio(self) -> None:
        if self._given > RATIO_COUNTS_FROM and self._given > MAX_RATIO * self._taken:
            raise NodeError.of_kind(
                "http_error",
                f"HTTP response refused: {self._taken} bytes unpack to more than {self._given} "
                f"(rule max_decompression_ratio, {MAX_RATIO})",
                retryable=False,
            )

    def _new(self):  # noqa: ANN202 - the type of a decompressor has no public name
        return zlib.decompressobj(zlib.MAX_WBITS | 16 if self._gzip else zlib.MAX_WBITS)


def _decoder(header: str) -> _Inflater | None:
    encodings = [name for part in header.split(",") if (name := part.strip().lower())]
    packed = [name for name in encodings if name != "identity"]
    if not packed:
        return None
    if packed not in (["gzip"], ["x-gzip"], ["deflate"]):
        # packed twice is how bombs are made; others were not asked for
        raise DecodingError(f"the content encoding '{', '.join(packed)}' was not asked for")
    return _Inflater(packed[0])
