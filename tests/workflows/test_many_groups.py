"""Many groups in one worker process: each has its own pools, and all end together."""

from __future__ import annotations

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from temporalio.client import Client

from tests.runtime_group.sandbox.test_pool import descendants
from tests.workflows.bench import Bench
from tests.workflows.drawing import chain, code, end, http, start
from xworkflow.client.status import Completed
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.governing import UsageQuota, WorkerSlots
from xworkflow.runtime_group.group import RuntimeGroup

pytestmark = pytest.mark.temporal

COUNT = 30


class Peers:
    """A web server that keeps connections open, and which of them asked for which path."""

    def __init__(self) -> None:
        self.url = ""
        self.ports: defaultdict[str, set[int]] = defaultdict(set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        port = writer.get_extra_info("peername")[1]
        while line := await reader.readline():
            path = line.split()[1].decode()
            while await reader.readline() != b"\r\n":
                pass
            self.ports[path].add(port)
            answer = f"HTTP/1.1 200 OK\r\ncontent-length: {len(path)}\r\n\r\n{path}"
            writer.write(answer.encode())
            await writer.drain()
        writer.close()


@pytest_asyncio.fixture
async def peers() -> AsyncIterator[Peers]:
    found = Peers()
    async with await asyncio.start_server(found.serve, "127.0.0.1") as server:
        found.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        yield found


@pytest.fixture
def groups(task_queue: str) -> list[RuntimeGroup]:
    """Every third has a quota."""
    return [
        RuntimeGroup(
            group_id=f"many-{task_queue}-{number}",
            worker_slots=WorkerSlots(pollers=1),
            usage_quota=None if number % 3 else UsageQuota(concurrent_runs=2),
        )
        for number in range(COUNT)
    ]


@asynccontextmanager
async def serving(client: Client, groups: list[RuntimeGroup]) -> AsyncGenerator[list[Bench]]:
    """Benches of all groups, served by this process until the end of the block."""
    queues = [f"queue-{group.group_id}" for group in groups]
    found = [Bench(client, queue, group) for queue, group in zip(queues, groups, strict=True)]
    async with AsyncExitStack() as stack:
        for bench in found:
            stack.push_async_callback(bench.group.aclose)
            await stack.enter_async_context(bench.worker())
        yield found


async def connected(client: Client) -> Client:
    """A client of this test alone: the SDK allows one worker of a queue for each."""
    address = client.service_client.config.target_host
    return await Client.connect(address, data_converter=DATA_CONVERTER)


def tenant(peers: Peers, number: int) -> Any:
    """Two requests and a script."""
    url = f"{peers.url}/{number}"
    nodes = [http("first", url), http("second", url), code("plus")]
    return chain("tenant", start("n"), *nodes, end(body="second.body", n="plus.n"))


async def test_groups_of_one_process_share_no_process_and_no_connection_and_end_in_seconds(
    temporal_client: Client, groups: list[RuntimeGroup], peers: Peers
) -> None:
    before = descendants(os.getpid())
    async with serving(await connected(temporal_client), groups) as benches:
        assert descendants(os.getpid()) == before, "idle groups have no processes"
        numbered = list(enumerate(benches))
        for first in range(0, COUNT, 6):  # each starts a process
            handles = {
                i: await bench.start(tenant(peers, i), {"n": i})
                for i, bench in numbered[first : first + 6]
            }
            for i, handle in handles.items():
                assert await handle.wait() == Completed({"body": f"/{i}", "n": i + 1})
        used: set[int] = set()
        for group in groups:
            async with group.sandbox_pool.js_vm() as vm:
                used.add(vm.process_id)
        assert len(used) == COUNT
        assert used <= descendants(os.getpid())
        ports = [port for found in peers.ports.values() for port in found]
        assert len(ports) == len(set(ports)) >= COUNT
        began = time.monotonic()
    assert time.monotonic() - began < 10
    assert descendants(os.getpid()) == before


async def test_governed_groups_of_one_process_share_a_worker_for_their_ledgers(
    temporal_client: Client, groups: list[RuntimeGroup]
) -> None:
    """It outlives the group that brought it, ends with the last, and comes again."""
    client = await connected(temporal_client)
    inline = chain("inline", start("n"), end(n="start.n"))
    governed = [group for group in groups if group.usage_quota is not None][:3]
    for _ in range(2):
        async with serving(client, governed[1:]) as benches:
            async with serving(client, governed[:1]) as [first]:
                assert await (await first.start(inline, {"n": 1})).wait() == Completed({"n": 1})
            for bench in benches:
                assert await (await bench.start(inline, {"n": 2})).wait() == Completed({"n": 2})
    async with serving(client, governed[:1]) as [first], AsyncExitStack() as others:
        [second] = await others.enter_async_context(serving(client, governed[1:2]))
        assert await (await second.start(inline, {"n": 3})).wait() == Completed({"n": 3})
        await others.aclose()
        assert await (await first.start(inline, {"n": 4})).wait() == Completed({"n": 4})
