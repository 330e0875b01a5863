"""``Retry-After``: how long a server asks its clients to wait (spec/runtime.md 3.3, 4.4)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

# ten digits are 300 years: no honest answer, and the next ones overflow what waits for it
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


def retry_after_secs(headers: Iterable[tuple[str, str]]) -> float | None:
    """The seconds of the header, whose names are lower case here; a date counts as no answer."""
    given = dict(headers).get("retry-after", "").strip()
    return float(given) if _SECONDS.fullmatch(given) else None
