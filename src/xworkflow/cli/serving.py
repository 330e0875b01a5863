"""A worker process that serves the groups of ``xworkflow.toml``, and hears of its changes."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from xworkflow.cli.configured import require_group
from xworkflow.cli.failures import print_failure
from xworkflow.cli.printing import print_note, print_text
from xworkflow.cli.stopping import heard
from xworkflow.configuration import ProcessParts, Settings, read_settings
from xworkflow.configuration.references import Reference, resolved
from xworkflow.domain.quota import SecurityLevel
from xworkflow.embedded.group_workers import Changes, GroupWorkers
from xworkflow.embedded.worker_process import READY_LINE
from xworkflow.errors import ConfigurationError, EngineError, InfrastructureError

if TYPE_CHECKING:
    from temporalio.client import Client


@dataclass(frozen=True, slots=True)
class Configured:
    """What a file and the command's options say together; options win."""

    file: Path
    settings: Settings
    address: str | None
    group_id: str | None
    streams: str | None
    files: Path | None
    sandboxed: bool
    local: bool

    @property
    def only(self) -> tuple[str, ...] | None:
        """The one group that was named; None for all."""
        return None if self.group_id is None else (self.group_id,)

    def reread(self) -> Settings:
        """The file as it is now. Raises ConfigurationError, InputError."""
        settings = read_settings(self.file)
        if self.group_id is not None:
            require_group(settings, self.file, self.group_id)
        return settings

    def of_process(self) -> tuple[str | None, str | None]:
        """URLs of the stream store and of the governor. Raises ConfigurationError when a variable
        or a file that the settings name is not there."""
        worker = self.settings.worker
        streams = self.streams or self._resolved("stream_store", worker.stream_store)
        return streams, self._resolved("governor_url", worker.governor_url)

    def _resolved(self, key: str, value: str | Reference | None) -> str | None:
        try:
            return resolved(value)
        except InfrastructureError as error:
            raise ConfigurationError((f"{self.file}: worker.{key}: {error}",)) from None


async def serve(configured: Configured, client: Client, stop: asyncio.Event) -> None:
    """Serve until ``stop``; SIGHUP has the file read again. Raises what a worker died of."""
    from xworkflow.cli.local_secrets import local_secrets
    from xworkflow.cli.streams import open_streams
    from xworkflow.runtime_group.sandbox import ProcessBudget

    reload = heard(signal.SIGHUP)
    async with AsyncExitStack() as stack:
        url, governor_url = configured.of_process()
        most = configured.settings.worker.sandbox_processes
        store = None if url is None else open_streams(url)
        if store is not None:
            stack.push_async_callback(store.aclose)
        parts = ProcessParts(
            secret_store=local_secrets(),
            stream_store=store,
            default_level=None if configured.local else SecurityLevel.STANDARD,
            file_directory=configured.files,
            governor_url=governor_url,
            process_budget=None if most is None else ProcessBudget(most),
        )
        workers = GroupWorkers(client, parts, sandboxed=configured.sandboxed)
        stack.push_async_callback(workers.aclose)
        changes = await workers.apply(configured.settings, configured.only)
        where = client.service_client.config.target_host
        print_note(f"serving {_named(changes.added)} of {configured.file} at {where}")
        print_text(READY_LINE.decode(), flush=True)
        await _until(stop, reload, configured, workers)


async def _until(
    stop: asyncio.Event, reload: asyncio.Event, configured: Configured, workers: GroupWorkers
) -> None:
    watching = asyncio.create_task(workers.wait())
    stopping = asyncio.create_task(stop.wait())
    try:
        while True:
            reloading = asyncio.create_task(reload.wait())
            await asyncio.wait((watching, stopping, reloading), return_when=asyncio.FIRST_COMPLETED)
            reloading.cancel()
            if watching.done():
                watching.result()
            if stop.is_set():
                return
            reload.clear()
            await _reload(configured, workers)
    finally:
        watching.cancel()
        stopping.cancel()


async def _reload(configured: Configured, workers: GroupWorkers) -> None:
    """Take the file as it is now; what is wrong with it is said, and changes nothing."""
    try:
        settings = configured.reread()
        changes = await workers.apply(settings, configured.only)
    except EngineError as error:
        print_failure(error)
        print_note(f"{configured.file} is not taken: the worker goes on as before")
        return
    print_note(f"{configured.file} read again: {_told(changes)}")
    if settings.worker != configured.settings.worker:
        print_note("[worker] is for the process: what changed there needs a new start")


def _told(changes: Changes) -> str:
    kinds = {
        "added": changes.added,
        "changed": changes.changed,
        "started anew": changes.restarted,
        "removed": changes.removed,
    }
    parts = [f"{_named(groups)} {kind}" for kind, groups in kinds.items() if groups]
    return "; ".join(parts) or "nothing has changed"


def _named(groups: Sequence[str]) -> str:
    shown, few = ", ".join(groups[:_FEW]), len(groups) <= _FEW
    noun = "group" if len(groups) == 1 else "groups"
    return f"{noun} {shown}" if few else f"{len(groups)} groups ({shown}, …)"


_FEW = 5
