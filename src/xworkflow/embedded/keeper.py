"""The keeper: a small process that owns one embedded server for as long as somebody uses it.

Theory of operation. Each process that uses the server holds a shared lock on ``users.lock``; the
keeper asks for the same lock alone, and the kernel grants it when the last user has let go, or
died. Then the keeper stops the server. So a server neither dies under a second user when the first
one ends, nor outlives them all, and no process id is ever judged. The server itself is tied to the
keeper by the kernel (``tether``), in case the keeper is killed.

Run as ``python -m xworkflow.embedded.keeper JOB``, with a Job as JSON. The program returns when its
forked self holds ``keeper.lock``. It imports little: it is started while a user waits.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

from xworkflow.embedded.data_dir import DataDir, ServerRecord
from xworkflow.embedded.locks import FileLock
from xworkflow.embedded.tether import follow_parent

GRACE_SECS = 10.0


@dataclass(frozen=True, slots=True)
class Job:
    """What to run, and where."""

    folder: str
    command: tuple[str, ...]
    address: str
    ui_url: str | None
    temporary: bool  # nothing to save: the folder goes, and the server is killed at once

    def to_json(self) -> str:
        return json.dumps(asdict(self))


class _Interrupted(Exception):  # noqa: N818 - no error: it leaves the wait for the users
    """The server has ended, or somebody asked the keeper to stop."""


def main(argument: str) -> None:
    """Become the keeper of a data directory, in the background, unless it already has one."""
    job = Job(**json.loads(argument))
    data = DataDir(Path(job.folder))
    alive = FileLock(data.keeper_lock)
    if not alive.try_acquire():
        return
    if os.fork():
        os._exit(0)  # the fork holds the lock on
    try:
        _keep(job, data)
    finally:
        data.record_file.unlink(missing_ok=True)
        data.stay.unlink(missing_ok=True)
        if job.temporary:
            shutil.rmtree(data.folder, ignore_errors=True)
        alive.release()


def _keep(job: Job, data: DataDir) -> None:
    users = FileLock(data.users_lock)
    data.stay.unlink(missing_ok=True)
    # no threads here, so preexec_fn is safe; environment: measured, 8 % less CPU in the server
    server = subprocess.Popen(  # noqa: S603 - our own command
        job.command,
        stdin=subprocess.DEVNULL,
        env={**os.environ, "GOGC": "400"},
        preexec_fn=follow_parent,  # noqa: PLW1509
    )
    data.write_record(ServerRecord(job.address, job.ui_url, server.pid, os.getpid()))
    try:
        signal.signal(signal.SIGTERM, _interrupt)
        signal.signal(signal.SIGCHLD, _interrupt)
        if server.poll() is None:
            _wait_until_unused(data, users)
    except _Interrupted:
        pass
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        _stop(server, grace_secs=0 if job.temporary else GRACE_SECS)


def _wait_until_unused(data: DataDir, users: FileLock) -> None:
    users.wait()  # from here on nobody joins: the lock is held to the end of this process
    while data.stay.exists():
        users.release()
        signal.pause()


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise _Interrupted


def _stop(server: subprocess.Popen[bytes], grace_secs: float) -> None:
    server.terminate()
    try:
        server.wait(grace_secs)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


if __name__ == "__main__":
    main(sys.argv[1])
