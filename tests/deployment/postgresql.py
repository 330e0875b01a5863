"""A PostgreSQL server of its own in a folder of its own, run by an ordinary user."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from xworkflow.embedded.dev_server import HOST, free_port

USER = "temporal"
START_SECS = 60.0


def binaries() -> Path | None:
    """The folder of the newest PostgreSQL server's programs; None when none is installed."""
    folders = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if folders:
        return max(folders, key=_version)
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


def _version(folder: Path) -> int:
    return int(folder.parent.name) if folder.parent.name.isdigit() else 0


@contextmanager
def postgresql(programs: Path) -> Generator[int]:
    """The port of a server on loopback, whose superuser needs no password."""
    with tempfile.TemporaryDirectory(prefix="xworkflow-pg-") as name:
        folder, owner = Path(name), _owner()
        if owner is not None:
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        data, port = folder / "data", free_port()
        init = [programs / "initdb", "-D", data, "-U", USER, "--auth=trust", "--no-sync"]
        with (folder / "log").open("wb") as log:
            _run(init, owner, log)
            serve = [programs / "postgres", "-D", data, "-h", HOST, "-p", str(port), "-k", folder]
            with _child(serve, owner, log) as child:
                _wait_ready(programs, port, child, folder / "log")
                yield port


def _owner() -> pwd.struct_passwd | None:
    """Whom the server runs as, when this process is root: PostgreSQL refuses root."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _as(owner: pwd.struct_passwd | None) -> dict[str, Any]:
    if owner is None:
        return {}
    return {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}


def _run(command: Sequence[str | Path], owner: pwd.struct_passwd | None, log: Any) -> None:
    subprocess.run(command, check=True, cwd="/", stdout=log, stderr=log, **_as(owner))


@contextmanager
def _child(
    command: Sequence[str | Path], owner: pwd.struct_passwd | None, log: Any
) -> Generator[subprocess.Popen[str]]:
    child = subprocess.Popen(command, cwd="/", stdout=log, stderr=log, **_as(owner))
    try:
        yield child
    finally:
        child.send_signal(signal.SIGINT)  # ends the sessions that are left
        try:
            child.wait(timeout=30)
        finally:
            child.kill()


def _wait_ready(programs: Path, port: int, child: subprocess.Popen[str], log: Path) -> None:
    deadline = time.monotonic() + START_SECS
    ask = [programs / "pg_isready", "-q", "-h", HOST, "-p", str(port)]
    while subprocess.run(ask, check=False).returncode != 0:
        if child.poll() is not None or time.monotonic() > deadline:
            raise AssertionError(log.read_text(errors="replace"))
        time.sleep(0.1)
