"""Where the pieces of what models say lie for live readers: a database beside the histories."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from xworkflow.store import SqlStreamStore

VARIABLE: Final = "XWORKFLOW_STREAM_STORE"
KEPT_DAYS: Final = 7.0


def stream_store_url() -> str:
    """What the environment names, or a file of this machine's data directory."""
    from xworkflow.embedded.data_dir import default_data_dir

    named = os.environ.get(VARIABLE)
    if named:
        return named
    folder = default_data_dir()
    folder.mkdir(parents=True, exist_ok=True)
    return f"sqlite:///{folder / 'streams.db'}"


def open_streams(url: str) -> SqlStreamStore:
    """Whoever opens it closes it. Raises MisuseError for a URL that is none."""
    from xworkflow.store import SqlStreamStore  # takes a quarter of a second to load

    return SqlStreamStore(url)
