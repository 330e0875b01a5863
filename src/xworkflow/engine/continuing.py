"""When a run leaves its history for a new one: not before it is long, and only if its state fits.

A workflow takes its state along in one payload, and the server refuses those of more than 2 MB, for
ever. A run whose values are larger goes on in its history until they have become smaller. As that
holds 50 MB and 51,200 events, it is drained all the same before. Pure, so the workflow and whoever
reads its history agree.
"""

from __future__ import annotations

from typing import Any, Final

from xworkflow.domain.packing import packed_json
from xworkflow.domain.pool_size import estimate
from xworkflow.domain.wire import RunOptions
from xworkflow.engine.carrier import Carrier

MOST_PACKED: Final = 1536 * 1024
"""Characters of a state that travels; the rest of the payload is for the schema, and for results
that come until the run is drained."""
_CLEARLY_FITS: Final = 1024 * 1024
_MOST_TRIED: Final = 12 * 1024 * 1024
"""Bytes. To pack more would hold the workflow's thread for too long."""
_LAST_EVENTS: Final = 40_000
_LAST_BYTES: Final = 40 * 1024 * 1024


class Continuing:
    """Belongs to one history of a run with these options."""

    def __init__(self, options: RunOptions) -> None:
        self._events: int = options.continue_as_new_after_events
        self._bytes: int = options.continue_as_new_after_bytes
        self._steps = self._events // 4 + 1, self._bytes // 4 + 1
        self._is_large = False

    def is_due(self, carrier: Carrier, events: int, size: int) -> bool:
        """Whether to drain now, at so many events of so many bytes.

        A state that did not fit is looked at again when the history is a quarter longer.
        """
        longer = events > self._events or size > self._bytes
        if not longer and (self._is_large or not carrier.is_long):
            return False
        if events > _LAST_EVENTS or size > _LAST_BYTES or fits(carrier.dump()):
            return True
        self._is_large = True
        more_events, more_bytes = self._steps
        self._events = max(self._events, events) + more_events
        self._bytes = max(self._bytes, size) + more_bytes
        return False


def fits(state: dict[str, Any]) -> bool:
    """Whether a state can be taken along."""
    size = estimate(state, _MOST_TRIED)
    if size <= _CLEARLY_FITS:
        return True
    return size <= _MOST_TRIED and len(packed_json(state) or "") <= MOST_PACKED
