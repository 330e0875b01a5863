"""Server-sent events out of the bytes in which they come. Pure; only ``data`` is of interest."""

from __future__ import annotations

from typing import Final

_DATA: Final = b"data:"


class SseDecoder:
    """One stream. An event ends with a blank line, a line with CR, LF or both."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._data: list[bytes] = []

    def feed(self, part: bytes) -> list[str]:
        """The data of the events that these bytes complete."""
        start = max(0, len(self._rest) - 1)
        self._rest += part
        # a CR at the very end may be the first half of a line's end
        end = max(self._rest.rfind(b"\n", start), self._rest.rfind(b"\r", start, -1)) + 1
        lines = bytes(self._rest[:end]).splitlines()
        del self._rest[:end]
        return [data for line in lines for data in self._line(line)]

    def close(self) -> list[str]:
        """The data of an event that lacks its blank line, at the end of the stream."""
        last = bytes(self._rest).splitlines()
        self._rest.clear()
        return [data for line in (*last, b"") for data in self._line(line)]

    def _line(self, line: bytes) -> list[str]:
        if line.startswith(_DATA):
            self._data.append(line[len(_DATA) :].removeprefix(b" "))
        if line or not self._data:
            return []
        data = b"\n".join(self._data).decode(errors="replace")
        self._data.clear()
        return [data]
