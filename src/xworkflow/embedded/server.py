"""One Temporal dev server per data directory, shared by all processes that name it.

The processes and locks behind it are explained in ``keeper`` and ``data_dir``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from xworkflow.embedded import dev_server
from xworkflow.embedded.binaries import temporal_cli
from xworkflow.embedded.data_dir import DataDir, ServerRecord
from xworkflow.embedded.keeper import GRACE_SECS, Job
from xworkflow.embedded.locks import FileLock, exclusive
from xworkflow.errors import InfrastructureError

READY_SECS = 30.0
STARTS = 3  # a free port may be taken by somebody else before the server has it
_POLL_SECS = 0.03


@dataclass(frozen=True, slots=True)
class EmbeddedServer:
    """A server in use. ``ui_url`` is None when the process that started it wanted no Web UI."""

    address: str
    ui_url: str | None
    data: DataDir

    def stay(self) -> None:
        """Leave the server running when its last user ends; ``stop_server`` ends it."""
        self.data.stay.touch()


@asynccontextmanager
async def start_server(
    data_dir: Path | None = None, *, ui: bool = False
) -> AsyncGenerator[EmbeddedServer]:
    """Use the server of a data directory; start it when nobody has.

    Without a directory the server is this block's own and keeps nothing. The last user's block
    waits until the server has stopped, unless it was told to stay. Raises InfrastructureError.
    """
    data = DataDir(data_dir.resolve() if data_dir else Path(tempfile.mkdtemp(prefix="xworkflow-")))
    _make(data.folder)
    users = FileLock(data.users_lock)
    await users.acquire(shared=True)
    record: ServerRecord | None = None
    try:
        async with exclusive(data.start_lock):
            record = await _find_or_start(data, ui=ui, temporary=data_dir is None)
        yield EmbeddedServer(record.address, record.ui_url, data)
    finally:
        await _leave(data, users, record)


async def stop_server(data_dir: Path) -> bool:
    """Stop a server that was told to stay, also under its users. False when there is none."""
    data = DataDir(data_dir.resolve())
    if not data.folder.is_dir():
        return False
    async with exclusive(data.start_lock):
        record = data.read_record()
        if record is None or not _is_kept(data):
            return False
        os.kill(record.keeper_pid, signal.SIGTERM)
        await _until_gone(data, record)
    return True


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InfrastructureError(f"the data directory cannot be made: {error}") from None


async def _find_or_start(data: DataDir, *, ui: bool, temporary: bool) -> ServerRecord:
    """The record of a server that answers. Called under ``start.lock``."""
    if _is_kept(data) and (record := await _until_ready(data)):
        # it may have been started by an xworkflow that knew fewer
        await dev_server.know_search_attributes(record.address)
        return record
    await _stop_leftover(data)
    cli = await temporal_cli()
    data.keep_one_old_log()
    for _ in range(STARTS):
        await _spawn_keeper(_job(cli, data, ui=ui, temporary=temporary), data)
        if record := await _until_ready(data):
            if not temporary:
                await dev_server.know_search_attributes(record.address)
                await dev_server.keep_finished_runs(record.address)
            return record
    raise InfrastructureError(
        f"the Temporal dev server ({cli}) does not start; its last words: {data.log_tail()}"
    )


def _job(cli: Path, data: DataDir, *, ui: bool, temporary: bool) -> Job:
    port = dev_server.free_port()
    ui_port = dev_server.free_port() if ui else None
    database = None if temporary else data.database
    return Job(
        folder=str(data.folder),
        command=dev_server.command(cli, port, database=database, ui_port=ui_port),
        address=f"{dev_server.HOST}:{port}",
        ui_url=None if ui_port is None else f"http://{dev_server.HOST}:{ui_port}",
        temporary=temporary,
    )


async def _spawn_keeper(job: Job, data: DataDir) -> None:
    """Start the keeper in a session of its own, so that Ctrl-C in a terminal does not reach it."""
    with data.log.open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "xworkflow.embedded.keeper",
            job.to_json(),
            cwd=data.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        await process.wait()  # it forks, and returns when the fork holds keeper.lock


async def _until_ready(data: DataDir) -> ServerRecord | None:
    """The record, once its server answers; None when the server ended instead."""
    try:
        async with asyncio.timeout(READY_SECS):
            while _is_kept(data):
                record = data.read_record()
                if record and await dev_server.answers(record.address):
                    return record
                await asyncio.sleep(_POLL_SECS)
    except TimeoutError:
        raise InfrastructureError(
            f"the Temporal dev server of {data.folder} does not answer; see {data.log}"
        ) from None
    return None


def _is_kept(data: DataDir) -> bool:
    """Whether a keeper lives. Asked under ``start.lock`` alone: the question takes its lock."""
    lock = FileLock(data.keeper_lock)
    if lock.try_acquire():
        lock.release()
        return False
    return True


async def _stop_leftover(data: DataDir) -> None:
    """End a server whose keeper was killed, where the kernel did not: it holds the database."""
    record = data.read_record()
    if record is None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        deadline = asyncio.get_running_loop().time() + GRACE_SECS
        # the id is trusted only while a server answers at the address that was recorded with it
        if await dev_server.answers(record.address):
            os.kill(record.server_pid, number)
        while await dev_server.answers(record.address):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_SECS)
    data.record_file.unlink(missing_ok=True)


async def _leave(data: DataDir, users: FileLock, record: ServerRecord | None) -> None:
    """Let go; as the last user, wait for the end of the server."""
    was_last = users.try_acquire()
    users.release()
    if was_last and record is not None and not data.stay.exists():
        await _until_gone(data, record)


async def _until_gone(data: DataDir, record: ServerRecord) -> None:
    """Wait until the keeper has stopped its server; it removes the record last."""
    async with asyncio.timeout(GRACE_SECS + 5):
        while data.read_record() == record:
            await asyncio.sleep(_POLL_SECS)
