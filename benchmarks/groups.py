"""What many groups in one worker process cost: started, idle, and when one of them works.

    python benchmarks/groups.py [--groups 1 100 1000] [--pollers 1] [--seconds 63] [--rounds 20]

Each line is a process with so many groups and a server of its own, both fresh. Groups ``with`` a
quota have a ledger each. Memory and CPU for each group are what the process has more than one with
a single group; ``polls`` are requests for work that are open at the server. The latencies are those
of one group while the others are idle: a run of one template, and one of five http and five code
nodes in turn. Idle is measured for longer than a minute, the time after which every poll is asked
for again: a shorter look sees none of that.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import time
import uuid
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from json import dumps, loads
from pathlib import Path
from typing import Any

from drawing import chain, code, end, http, start, text
from temporalio.client import Client
from temporalio.runtime import MetricBuffer, Runtime, TelemetryConfig

from xworkflow.client.connection import connect
from xworkflow.client.runner import WorkflowRunner
from xworkflow.context import WorkflowContext
from xworkflow.domain.governing import Budget, UsageQuota, WorkerSlots
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.embedded.server import start_server
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.worker import build_worker

QUOTA = UsageQuota(concurrent_runs=100_000, http_calls=Budget(limit=10**9))
SETTLE_SECS = 3.0
WARM_UP = 3


@dataclass(frozen=True, slots=True)
class Cell:
    """One process of groups."""

    groups: int
    quota: bool
    pollers: int
    seconds: float
    rounds: int
    address: str = ""
    server: int = 0
    url: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What was measured in one process; sizes in MB, times in ms, CPU in percent of a core."""

    start_ms: float
    rss: float
    cpu: float
    polls: int
    asked: float
    files: int
    threads: int
    server_rss: float
    server_cpu: float
    small: float
    ten: float
    children: int
    stop_ms: float


class Polls:
    """Counts the open polls of this process, and how often it asked, as the SDK tells them. A poll
    lasts a minute; one that the server refuses is asked again at once, and not told as a failure.
    """

    def __init__(self) -> None:
        self._told = MetricBuffer(100_000)
        self._open: dict[tuple[tuple[str, Any], ...], float] = {}
        self.asked = 0.0
        Runtime.set_default(Runtime(telemetry=TelemetryConfig(metrics=self._told)))

    def listen(self) -> None:
        """Take what was told: the buffer drops what it has no room for."""
        for update in self._told.retrieve_updates():
            name = update.metric.name
            if name.endswith("num_pollers"):
                self._open[tuple(sorted(update.attributes.items()))] = update.value
            elif name.endswith("long_request"):
                self.asked += update.value

    def count(self) -> int:
        self.listen()
        return int(sum(self._open.values()))

    async def keep_listening(self) -> None:
        while True:
            await asyncio.sleep(1)
            self.listen()


def group_of(cell: Cell) -> RuntimeGroup:
    return RuntimeGroup(
        group_id=f"group-{uuid.uuid4().hex[:8]}",
        usage_quota=QUOTA if cell.quota else None,
        worker_slots=WorkerSlots(pollers=cell.pollers),
    )


def small_schema() -> WorkflowSchema:
    return chain("small", start("n"), text("t", "{{ v }}!", "start.n"), end(out="t.output"))


def ten_schema(url: str) -> WorkflowSchema:
    """Five http and five code nodes in turn."""
    nodes = [node for i in range(5) for node in (http(f"call{i}", f"{url}/ok"), code(f"code{i}"))]
    return chain("ten", start("n"), *nodes, end(out="code4.n"))


async def timed_run(client: Client, group: RuntimeGroup, schema: WorkflowSchema) -> float:
    builder = WorkflowRunner.builder(schema).context(WorkflowContext.new(group))
    began = time.perf_counter()
    handle = await builder.user_inputs({"n": 1}).client(client).run()
    await handle.wait()
    return (time.perf_counter() - began) * 1000


async def median_run(
    client: Client, group: RuntimeGroup, schema: WorkflowSchema, rounds: int
) -> float:
    times = [await timed_run(client, group, schema) for _ in range(rounds + WARM_UP)]
    return statistics.median(times[WARM_UP:])


async def measure(cell: Cell) -> Found:
    """Everything about one process, from within it."""
    polls = Polls()
    client = await connect(cell.address)
    groups = [group_of(cell) for _ in range(cell.groups)]
    listening = asyncio.create_task(polls.keep_listening())
    async with AsyncExitStack() as stack:
        began = time.perf_counter()
        for group in groups:
            stack.push_async_callback(group.aclose)
            await stack.enter_async_context(build_worker(client, group))
        started = (time.perf_counter() - began) * 1000
        await asyncio.sleep(SETTLE_SECS)
        mine, servers, asked = time.process_time(), cpu_secs(cell.server), polls.asked
        await asyncio.sleep(cell.seconds)
        mine, servers = time.process_time() - mine, cpu_secs(cell.server) - servers
        idle: dict[str, Any] = {
            "start_ms": started,
            "rss": resident_mb(os.getpid()),
            "cpu": mine / cell.seconds * 100,
            "polls": polls.count(),
            "asked": (polls.asked - asked) / cell.seconds,
            "files": entries("/proc/self/fd"),
            "threads": entries("/proc/self/task"),
            "children": children(),
            "server_rss": resident_mb(cell.server),
            "server_cpu": servers / cell.seconds * 100,
        }
        one = groups[cell.groups // 2]
        small = await median_run(client, one, small_schema(), cell.rounds)
        ten = await median_run(client, one, ten_schema(cell.url), cell.rounds)
        began = time.perf_counter()
    listening.cancel()
    stopped = (time.perf_counter() - began) * 1000
    return Found(**idle, small=small, ten=ten, stop_ms=stopped)


def cpu_secs(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def entries(folder: str) -> int:
    return sum(1 for _ in Path(folder).iterdir())


def children() -> int:
    tasks = Path("/proc/self/task").iterdir()
    return sum(len((task / "children").read_text().split()) for task in tasks)


async def in_process_of_its_own(cell: Cell) -> Found:
    async with start_server() as server:
        if (record := server.data.read_record()) is None:
            raise SystemExit("the server has ended")
        with MockServer((MockResponse("GET", "/ok", response_body="fine"),)) as web:
            known = {"address": server.address, "server": record.server_pid, "url": web.url}
            command = [sys.executable, __file__, "--cell", dumps(asdict(cell) | known)]
            process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            out, _ = await process.communicate()
        return Found(**loads(out.splitlines()[-1]))


async def compare(arguments: argparse.Namespace) -> None:
    columns = (
        "groups", "quota", "start s", "KB/group", "µs/s/group", "polls", "asked/s", "files",
        "threads", "procs", "server MB", "server %", "small ms", "ten ms", "stop s",
    )  # fmt: skip
    print(" ".join(f"{name:>10}" for name in columns), flush=True)
    for quota in (False, True):
        first: Found | None = None
        for count in arguments.groups:
            cell = Cell(count, quota, arguments.pollers, arguments.seconds, arguments.rounds)
            found = await in_process_of_its_own(cell)
            first, more = first or found, max(count - 1, 1)
            row = (
                count, "with" if quota else "without", f"{found.start_ms / 1000:.2f}",
                f"{(found.rss - first.rss) / more * 1000:.0f}",
                f"{(found.cpu - first.cpu) / more * 1e4:.0f}",
                found.polls, f"{found.asked:.0f}", found.files, found.threads, found.children,
                f"{found.server_rss:.0f}", f"{found.server_cpu:.1f}",
                f"{found.small:.1f}", f"{found.ten:.1f}", f"{found.stop_ms / 1000:.1f}",
            )  # fmt: skip
            print(" ".join(f"{value:>10}" for value in row), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--groups", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--pollers", type=int, default=WorkerSlots().pollers)
    parser.add_argument("--seconds", type=float, default=63.0)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--cell", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.cell is None:
        asyncio.run(compare(arguments))
        return
    print(dumps(asdict(asyncio.run(measure(Cell(**loads(arguments.cell)))))), flush=True)


if __name__ == "__main__":
    main()
