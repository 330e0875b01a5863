"""The embedded server, with the real Temporal dev server behind it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from xworkflow.domain.wire import SEARCH_ATTRIBUTES
from xworkflow.embedded import dev_server, server
from xworkflow.embedded.data_dir import DataDir
from xworkflow.embedded.server import EmbeddedServer, start_server, stop_server
from xworkflow.errors import InfrastructureError

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("temporal_binary")]

USER = """
import asyncio, sys
from pathlib import Path
from xworkflow.embedded.server import start_server

async def main():
    async with start_server(Path(sys.argv[1])) as server:
        print(server.address, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""


def is_alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rsplit(")", 1)[1].split()[0] != "Z"


async def gone(pid: int) -> None:
    async with asyncio.timeout(15):
        while is_alive(pid):
            await asyncio.sleep(0.02)


def server_pid(used: EmbeddedServer) -> int:
    record = used.data.read_record()
    assert record is not None
    return record.server_pid


@asynccontextmanager
async def another_process(folder: Path) -> AsyncGenerator[tuple[asyncio.subprocess.Process, str]]:
    """A second process that uses the server of ``folder``, and the address that it was given."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        USER,
        str(folder),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        yield process, (await process.stdout.readline()).decode().strip()
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def test_without_a_directory_nothing_is_left_behind() -> None:
    async with start_server() as used:
        pid = server_pid(used)
        assert await dev_server.answers(used.address)
        assert used.ui_url is None
        assert not used.data.database.exists()
    assert not is_alive(pid)
    assert not used.data.folder.exists()


async def test_the_web_ui_answers_where_the_server_says() -> None:
    async with start_server(ui=True) as used:
        assert used.ui_url is not None
        with await asyncio.to_thread(urllib.request.urlopen, used.ui_url) as page:
            assert page.status == 200


async def test_a_run_is_found_again_by_the_next_server_of_the_directory(tmp_path: Path) -> None:
    async with start_server(tmp_path) as used:
        client = await Client.connect(used.address)
        await client.start_workflow("Waits", id="kept", task_queue="nobody")
    async with start_server(tmp_path) as used:
        client = await Client.connect(used.address)
        assert (await client.get_workflow_handle("kept").describe()).workflow_type == "Waits"


async def test_finished_runs_are_kept_for_thirty_days(tmp_path: Path) -> None:
    async with start_server(tmp_path) as used:
        client = await Client.connect(used.address)
        described = await client.workflow_service.describe_namespace(
            DescribeNamespaceRequest(namespace="default")
        )
    assert described.config.workflow_execution_retention_ttl.ToTimedelta() == dev_server.RETENTION


async def known_attributes(address: str) -> frozenset[str]:
    client = await Client.connect(address)
    listed = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace="default")
    )
    return frozenset[str](SEARCH_ATTRIBUTES).intersection(listed.custom_attributes)


async def test_a_database_that_is_older_than_an_attribute_learns_it_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setattr(dev_server, "SEARCH_ATTRIBUTES", SEARCH_ATTRIBUTES[:1])
        async with start_server(tmp_path) as used:
            assert await known_attributes(used.address) == set(SEARCH_ATTRIBUTES[:1])
    async with start_server(tmp_path) as used:
        assert await known_attributes(used.address) == set(SEARCH_ATTRIBUTES)
        client = await Client.connect(used.address)
        values = [
            SearchAttributePair(SearchAttributeKey.for_keyword(name), "x")
            for name in SEARCH_ATTRIBUTES
        ]
        await client.start_workflow(
            "Waits",
            id="found",
            task_queue="nobody",
            search_attributes=TypedSearchAttributes(values),
        )


async def test_a_server_that_is_older_than_an_attribute_learns_it_when_it_is_joined(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dev_server, "SEARCH_ATTRIBUTES", ())
    async with start_server(tmp_path) as used:
        assert await known_attributes(used.address) == set()
        monkeypatch.undo()
        async with start_server(tmp_path) as joined:
            assert joined.address == used.address
            assert await known_attributes(used.address) == set(SEARCH_ATTRIBUTES)


async def test_two_processes_share_one_server_that_outlives_the_one_that_started_it(
    tmp_path: Path,
) -> None:
    async with another_process(tmp_path) as (first, address):
        async with start_server(tmp_path) as used:
            pid = server_pid(used)
            assert used.address == address
            await first.communicate(b"")  # it ends in good order
            assert first.returncode == 0
            assert await dev_server.answers(address)
        assert not is_alive(pid)
    assert DataDir(tmp_path).read_record() is None


async def test_ten_at_once_start_one_server(tmp_path: Path) -> None:
    addresses: set[str] = set()
    all_in = asyncio.Barrier(10)

    async def use() -> None:
        async with start_server(tmp_path) as used:
            addresses.add(used.address)
            await all_in.wait()

    await asyncio.gather(*(use() for _ in range(10)))
    assert len(addresses) == 1


async def test_a_killed_user_takes_the_server_with_it(tmp_path: Path) -> None:
    async with another_process(tmp_path) as (user, _):
        record = DataDir(tmp_path).read_record()
        assert record is not None
        user.kill()
        await gone(record.server_pid)
    async with start_server(tmp_path) as used:
        assert await dev_server.answers(used.address)


async def test_a_killed_keeper_leaves_no_server_and_the_next_user_starts_anew(
    tmp_path: Path,
) -> None:
    async with start_server(tmp_path) as used:
        record = used.data.read_record()
        assert record is not None
        os.kill(record.keeper_pid, signal.SIGKILL)
        await gone(record.server_pid)
        async with start_server(tmp_path) as again:
            assert await dev_server.answers(again.address)


async def test_a_server_that_dies_is_started_anew_for_the_next_user(tmp_path: Path) -> None:
    async with start_server(tmp_path) as used:
        pid = server_pid(used)
        os.kill(pid, signal.SIGKILL)
        await gone(pid)
        async with start_server(tmp_path) as again:
            assert server_pid(again) != pid


async def test_a_server_told_to_stay_stays_until_it_is_stopped(tmp_path: Path) -> None:
    async with start_server(tmp_path) as used:
        used.stay()
        pid = server_pid(used)
    async with start_server(tmp_path) as again:
        assert server_pid(again) == pid
    assert await stop_server(tmp_path)
    assert not is_alive(pid)
    assert not await stop_server(tmp_path)


async def test_a_program_that_is_no_server_is_reported_with_its_last_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake = tmp_path / "temporal"
    fake.write_text("#!/bin/sh\necho no such flag\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("TEMPORAL_CLI", str(fake))
    with pytest.raises(InfrastructureError, match="no such flag"):
        async with start_server(tmp_path / "data"):
            pass


async def test_a_directory_that_cannot_be_made_is_an_error_for_people(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InfrastructureError, match="data directory cannot be made"):
        async with server.start_server(tmp_path / "file" / "data"):
            pass


def test_the_command_line_carries_every_measured_setting(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").touch()
    words = dev_server.command(
        Path("temporal"), 7233, database=tmp_path / "temporal.db", ui_port=None
    )
    assert " ".join(words) == (
        "temporal server start-dev --ip 127.0.0.1 --port 7233 --headless "
        "--dynamic-config-value history.transferProcessorMaxPollRPS=10000 "
        "--dynamic-config-value matching.numTaskqueueReadPartitions=1 "
        "--dynamic-config-value matching.numTaskqueueWritePartitions=1 "
        "--dynamic-config-value system.enableActivityEagerExecution=true "
        "--dynamic-config-value frontend.namespaceCount=100000 "
        "--search-attribute XworkflowApp=Keyword --search-attribute XworkflowGroup=Keyword "
        "--search-attribute XworkflowSchemaHash=Keyword "
        f"--db-filename {tmp_path}/temporal.db "
        "--sqlite-pragma journal_mode=WAL --sqlite-pragma synchronous=NORMAL"
    )
