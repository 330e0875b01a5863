"""What ``docker-compose.yml`` describes, run without containers: server, PostgreSQL, two workers.

Runs when its programs are there; ``XWORKFLOW_POSTGRES_TEST=1`` makes their absence a failure. The
figures are printed (``pytest -s``).
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from temporalio.client import Client

from tests.cli.command import Command, line_with
from tests.deployment.postgresql import binaries, postgresql
from tests.deployment.temporal_cluster import Programs, make_tables, temporal_cluster
from xworkflow.client.builder import WorkflowRunnerBuilder
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.domain.loading import load
from xworkflow.testing.mock_server import MockResponse, MockServer
from xworkflow.testing.run import run_folders

pytestmark = [pytest.mark.temporal, pytest.mark.slow, pytest.mark.timeout(300)]

ORDERS = Path(__file__).resolve().parents[2] / "examples" / "orders.yml"
ORDER = {"customer": "Ada", "lines": [{"name": "gears", "price": 12.5, "count": 12}]}
SHOP = (
    MockResponse("GET", "/orders/4711", response_body=json.dumps(ORDER), delay_secs=0.2),
    MockResponse("GET", "/weather?city=Oslo", response_body="snow"),
)
LETTER = """Dear Ada,

1 items, 15 off: you pay 135.

Your order:
- gears

The weather for the delivery: snow."""
ALONE, TOGETHER = 8, 12
CASES = ("001_*", "012_*", "042_*", "020_*", "110_*")


def absent(what: str) -> NoReturn:
    if os.environ.get("XWORKFLOW_POSTGRES_TEST") == "1":
        pytest.fail(what)
    pytest.skip(what)


def say(text: str) -> None:
    sys.stdout.write(f"\n{text}")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of Temporal on PostgreSQL."""
    programs, postgresql_programs = Programs.in_cache(), binaries()
    if postgresql_programs is None:
        absent("no PostgreSQL server is installed")
    if programs is None:
        absent("temporal-server and temporal-sql-tool are not in the cache (docs/operations.md)")
    began = time.monotonic()
    with postgresql(postgresql_programs) as port:
        say(f"PostgreSQL up after {time.monotonic() - began:.1f} s")
        make_tables(programs, port)
        say(f"tables made after {time.monotonic() - began:.1f} s")
        with temporal_cluster(programs, port, tmp_path_factory.mktemp("temporal")) as address:
            say(f"namespace usable after {time.monotonic() - began:.1f} s")
            yield address


@pytest.fixture(scope="module")
def workers(cluster: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The process id of ``xworkflow worker`` with two processes."""
    command = Command(tmp_path_factory.mktemp("workers"), {"TEMPORAL_ADDRESS": cluster})
    began = time.monotonic()
    child = command.start("worker", "--processes", "2")
    try:
        line_with(child.stdout, "worker ready")
        say(f"two worker processes ready after {time.monotonic() - began:.1f} s")
        yield child.pid
        child.send_signal(signal.SIGTERM)
        child.communicate(timeout=30)
        assert child.returncode == 0
    finally:
        child.kill()


@pytest.mark.usefixtures("workers")
def test_the_example_runs_from_the_command_line(cluster: str, tmp_path: Path) -> None:
    with MockServer(SHOP) as shop:
        inputs = ("-i", "order_id=4711", "-i", f"shop_url={shop.url}")
        ended = Command(tmp_path)("run", ORDERS, "--address", cluster, "--json", "-q", *inputs)
    assert ended.code == 0, ended.err
    assert ended.object["outputs"] == {"letter": LETTER}


async def test_runs_outlive_a_worker_that_is_killed(cluster: str, workers: int) -> None:
    client = await Client.connect(cluster, data_converter=DATA_CONVERTER)
    with MockServer(SHOP) as shop:
        builder = WorkflowRunner.builder(load(ORDERS.read_bytes(), "yaml")).client(client)
        builder.user_inputs({"order_id": "4711", "shop_url": shop.url})
        builder.options(heartbeat_timeout_secs=2)
        times = [await timed(builder) for _ in range(ALONE)]
        say(f"the example, one at a time: {statistics.median(times) * 1000:.0f} ms")
        began = time.monotonic()
        handles = [await builder.run() for _ in range(TOGETHER)]
        victim = Path(f"/proc/{workers}/task/{workers}/children").read_text().split()[0]
        os.kill(int(victim), signal.SIGKILL)
        statuses = await asyncio.gather(*(handle.wait() for handle in handles))
        say(f"{TOGETHER} at once, one worker killed: {time.monotonic() - began:.1f} s")
    for status in statuses:
        assert isinstance(status, Completed), status
        assert status.outputs == {"letter": LETTER}


async def timed(builder: WorkflowRunnerBuilder) -> float:
    began = time.monotonic()
    assert isinstance(await (await builder.run()).wait(), Completed)
    return time.monotonic() - began


async def test_conformance_cases_pass_on_it(cluster: str, shared: Path) -> None:
    client = await Client.connect(cluster, data_converter=DATA_CONVERTER)
    cases = shared / "conformance" / "cases"
    folders = [folder for pattern in CASES for folder in sorted(cases.glob(pattern))]
    assert len(folders) == len(CASES)
    verdicts = await run_folders(folders, client)
    assert [v.outcome for v in verdicts] == ["passed"] * len(CASES), verdicts
