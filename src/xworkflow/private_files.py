"""Files that hold secrets: read only when nobody but their owner can."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from xworkflow.errors import InfrastructureError

_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def read_private(path: Path) -> str:
    """The file's text. Raises InfrastructureError: not there, or open to others than its owner."""
    try:
        with path.open(encoding="utf-8") as opened:
            # asked of the open file, so that it is the one that is read
            mode = stat.S_IMODE(os.fstat(opened.fileno()).st_mode)
            if os.name == "posix" and mode & _OTHERS:
                text = f"{path} can be read by others (mode {mode:04o}): chmod 600 it"
                raise InfrastructureError(text)
            return opened.read()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text"
        raise InfrastructureError(f"{path} cannot be read: {reason}") from None
