"""Values of secret variables that came with workflow files, kept where workers find them.

A scope names a group and a workflow (``domain/secret_references.store_key``).
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Final

from xworkflow.errors import InfrastructureError
from xworkflow.private_files import read_private

_SCOPE: Final = re.compile(r"[0-9a-f]{64}")


class MemorySecretStore:
    """Of one process: the run's starter and its worker are the same."""

    def __init__(self) -> None:
        self._values: dict[str, dict[str, str]] = {}
        self._lock = Lock()

    def keep(self, scope: str, values: Mapping[str, str]) -> None:
        with self._lock:
            self._values[scope] = {**self._values.get(scope, {}), **values}

    def find(self, scope: str, name: str) -> str | None:
        return self._values.get(scope, {}).get(name)


@cache
def process_secret_store() -> MemorySecretStore:
    """The store of groups that are given none: whoever starts a run and its worker in this process
    need not have the same group object. Keys hold the group's id, so no group finds another's."""
    return MemorySecretStore()


class FileSecretStore:
    """Of one user on one machine, or of all that share a directory: one file for each workflow.

    Directory and files are the owner's alone (0700, 0600); a file that others can read is refused.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def keep(self, scope: str, values: Mapping[str, str]) -> None:
        """Written aside and moved into place, so that nobody ever reads half of it."""
        text = json.dumps({**self._read(scope), **values})
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            descriptor, aside = tempfile.mkstemp(dir=self._directory)  # made with 0600
            with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
                opened.write(text)
            Path(aside).replace(self._path(scope))
        except OSError as error:
            reason = error.strerror or "error"
            raise InfrastructureError(f"the secrets cannot be kept: {reason}") from None

    def find(self, scope: str, name: str) -> str | None:
        return self._read(scope).get(name)

    def _read(self, scope: str) -> dict[str, str]:
        # a scope comes from a run's data
        if not _SCOPE.fullmatch(scope) or not self._path(scope).exists():
            return {}
        values = json.loads(read_private(self._path(scope)))
        return {str(name): str(value) for name, value in values.items()}

    def _path(self, scope: str) -> Path:
        return self._directory / f"{scope}.json"
