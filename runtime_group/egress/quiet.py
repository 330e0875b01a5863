"""httpx logs the whole URL of each request, and a URL can hold secrets."""

from __future__ import annotations

import logging


class _NoRequestLines(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        return not str(record.msg).startswith("HTTP Request:")


_FILTER = _NoRequestLines()


def keep_urls_out_of_logs() -> None:
    """Drop httpx's lines about requests. Safe to call often."""
    logging.getLogger("httpx").addFilter(_FILTER)
