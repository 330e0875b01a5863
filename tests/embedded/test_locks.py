"""Locks between processes; two file objects of one process conflict like two processes."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from xworkflow.embedded.locks import FileLock, exclusive

HOLDER = """
import sys
from pathlib import Path
from xworkflow.embedded.locks import FileLock
assert FileLock.try_acquire(lock := FileLock(Path(sys.argv[1])))
print("held", flush=True)
sys.stdin.read()
"""


def test_many_share_a_lock_that_none_of_them_can_have_alone(tmp_path: Path) -> None:
    first, second = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert first.try_acquire(shared=True)
    assert second.try_acquire(shared=True)
    assert not FileLock(tmp_path / "lock").try_acquire()
    first.release()
    assert second.try_acquire()
    second.release()


def test_releasing_what_is_not_held_is_harmless(tmp_path: Path) -> None:
    lock = FileLock(tmp_path / "lock")
    lock.release()
    assert lock.try_acquire()
    lock.release()
    lock.release()
    assert lock.try_acquire()
    lock.release()


async def test_a_second_block_waits_for_the_first(tmp_path: Path) -> None:
    order: list[str] = []

    async def enter(name: str) -> None:
        async with exclusive(tmp_path / "lock"):
            order.append(f"{name} in")
            await asyncio.sleep(0)
            order.append(f"{name} out")

    await asyncio.gather(enter("a"), enter("b"))
    assert order == ["a in", "a out", "b in", "b out"]


async def test_a_killed_holder_holds_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert holder.stdout is not None
    assert await holder.stdout.readline() == b"held\n"
    lock = FileLock(path)
    assert not lock.try_acquire()
    holder.kill()
    await holder.communicate()
    assert lock.try_acquire()
    lock.release()
