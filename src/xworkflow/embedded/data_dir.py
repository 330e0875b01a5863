"""What lies in the data directory of one embedded server.

::

    server.json   where the server answers, and its processes; there only while it is kept
    keeper.lock   held by the server's keeper as long as it lives
    users.lock    held (shared) by each process that uses the server; alone by a keeper that ends
    start.lock    held by the one process that looks for the server or starts it
    stay          there when the server is to outlive its users
    server.log    what the server prints; server.log.1 is the one of the server before
    temporal.db   its database, when runs are to be kept
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServerRecord:
    """A running server: ``address`` is host:port, ``ui_url`` None when it runs without Web UI."""

    address: str
    ui_url: str | None
    server_pid: int
    keeper_pid: int


@dataclass(frozen=True, slots=True)
class DataDir:
    """The paths of one data directory, and its server's record."""

    folder: Path

    @property
    def record_file(self) -> Path:
        return self.folder / "server.json"

    @property
    def keeper_lock(self) -> Path:
        return self.folder / "keeper.lock"

    @property
    def users_lock(self) -> Path:
        return self.folder / "users.lock"

    @property
    def start_lock(self) -> Path:
        return self.folder / "start.lock"

    @property
    def stay(self) -> Path:
        return self.folder / "stay"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    @property
    def database(self) -> Path:
        return self.folder / "temporal.db"

    def read_record(self) -> ServerRecord | None:
        """Where the server is said to be; None when none is kept."""
        try:
            return ServerRecord(**json.loads(self.record_file.read_text()))
        except (OSError, ValueError, TypeError):  # not there, or torn by a crash of the machine
            return None

    def write_record(self, record: ServerRecord) -> None:
        """Put the record in place whole: a reader sees all of it or nothing."""
        draft = self.record_file.with_suffix(".draft")
        draft.write_text(json.dumps(asdict(record)))
        draft.replace(self.record_file)

    def keep_one_old_log(self) -> None:
        """Begin a new log; the one before the last is forgotten, so that they do not grow."""
        if self.log.exists():
            self.log.replace(self.log.with_name("server.log.1"))

    def log_tail(self, lines: int = 5) -> str:
        """The last lines that the server printed."""
        try:
            return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
        except OSError:
            return ""


def default_data_dir() -> Path:
    """Where this user's embedded server keeps its runs: XWORKFLOW_DATA, or the XDG place."""
    named = os.environ.get("XWORKFLOW_DATA")
    if named:
        return Path(named)
    base = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
    return Path(base, "xworkflow")
