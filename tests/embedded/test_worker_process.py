"""The supervision of a worker process, with small scripts as workers."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from xworkflow.embedded.worker_process import start_worker, worker_command
from xworkflow.errors import InfrastructureError

READY = "import signal; print('worker ready', flush=True); signal.pause()"
BROKEN = "import sys; sys.exit('no such task queue')"
PARENT = """
import asyncio, sys
from pathlib import Path
from xworkflow.embedded.worker_process import start_worker

async def main():
    async with start_worker(sys.argv[2:], log=Path(sys.argv[1])) as worker:
        print(worker.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(main())
"""


def script(text: str) -> list[str]:
    return [sys.executable, "-c", text]


def ended(pid: int) -> bool:
    """Whether the process is gone, or a zombie that nobody has asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


async def test_a_worker_is_ready_inside_the_block_and_gone_after_it(tmp_path: Path) -> None:
    async with start_worker(script(READY), log=tmp_path / "log") as worker:
        pid = worker.pid
        assert pid is not None
        assert not ended(pid)
    assert ended(pid)


async def test_a_worker_that_crashes_is_started_again(tmp_path: Path) -> None:
    async with start_worker(script(READY), log=tmp_path / "log") as worker:
        first = worker.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            while worker.pid in (None, first):
                await asyncio.sleep(0.02)
            await worker.wait_ready()
        assert worker.restarts == 1


async def test_a_worker_that_never_gets_ready_is_reported_with_its_last_words(
    tmp_path: Path,
) -> None:
    with pytest.raises(InfrastructureError, match="no such task queue"):
        async with start_worker(script(BROKEN), log=tmp_path / "log"):
            pass


async def test_a_worker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    parent = await asyncio.create_subprocess_exec(
        *script(PARENT), str(tmp_path / "log"), *script(READY), stdout=asyncio.subprocess.PIPE
    )
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    parent.kill()
    await parent.communicate()
    async with asyncio.timeout(10):
        while not ended(pid):
            await asyncio.sleep(0.02)


def test_the_command_names_server_and_task_queue() -> None:
    assert worker_command("localhost:7233", "xworkflow-default")[1:] == [
        "-m",
        "xworkflow.worker",
        "--address",
        "localhost:7233",
        "--task-queue",
        "xworkflow-default",
    ]
