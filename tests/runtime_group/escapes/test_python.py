"""Scripts of Python that want out, in both tiers: nothing is read, made, called or ended."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.runtime_group.escapes.python import BODIES
from xworkflow.errors import SandboxError
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, PythonTier2

CANARY = "canary-7b1f"
LIMITS = SandboxLimits(timeout_secs=2)
EFFECTS = (CANARY, "uid=", "root:", "forked", "listening", "kubepods")
"""What shows that a script has seen something of the machine, or done something to it."""
INSIDES = ("<module", "<frame", "<function", "__builtins__", "site-packages", " at 0x")
"""What shows that the interpreter gives its own insides away. In the second tier that is no harm:
the kernel is the wall there, and the process has nothing to hide."""


@dataclass
class World:
    """What scripts are after. Its state afterwards tells whether one got there."""

    secret: Path
    drop: Path
    listener: socket.socket

    def aimed(self, body: str) -> str:
        port = self.listener.getsockname()[1]
        return body.format(secret=self.secret, drop=self.drop, port=port, parent=os.getpid())

    def damage(self) -> list[str]:
        """What is not as it was."""
        found: list[str] = []
        if not self.secret.exists() or self.secret.read_text() != CANARY:
            found.append("the secret file is changed")
        if self.drop.exists() or self.drop.is_symlink():
            found.append("a file was made")
        try:
            self.listener.accept()
            found.append("somebody called")
        except BlockingIOError:
            pass
        return found


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("XWORKFLOW_CANARY", CANARY)
    secret = tmp_path / "secret.txt"
    secret.write_text(CANARY)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        listener.setblocking(False)
        yield World(secret, tmp_path / "dropped", listener)


@pytest.fixture
async def second_tier() -> AsyncIterator[DefaultSandboxPool]:
    if sys.platform != "linux":
        pytest.skip("needs seccomp and Landlock")
    pool = DefaultSandboxPool(max_python_vms=1, python_tier2=PythonTier2())
    try:
        await pool.warm(cpython=1)
    except SandboxError:
        await pool.aclose()
        pytest.skip("this kernel has no seccomp or no Landlock")
    yield pool
    await pool.aclose()


async def escaped(
    pool: DefaultSandboxPool, world: World, signs: tuple[str, ...], first: str = ""
) -> dict[str, object]:
    """The scripts that got somewhere, with what they got. A script after each still runs."""
    found: dict[str, object] = {}
    for body in BODIES:
        async with pool.python_vm() as vm:
            try:
                script = f"{first}def main():\n    {world.aimed(body)}\n"
                told = json.dumps((await vm.execute(script, {}, LIMITS)).value)
            except SandboxError as error:
                told = CANARY if CANARY in str(error) else ""
        seen = [sign for sign in signs if sign in told]
        if happened := [*seen, *world.damage()]:
            found[body] = (told[:200], happened)
        async with pool.python_vm() as vm:
            after = await vm.execute(f"{first}def main():\n    return 'next'", {}, LIMITS)
            assert after.value == "next", body
    return found


async def test_no_script_gets_out_of_the_first_tier(pool: DefaultSandboxPool, world: World) -> None:
    assert len(BODIES) > 200
    assert await escaped(pool, world, (*EFFECTS, *INSIDES)) == {}


@pytest.mark.slow
async def test_no_script_gets_out_of_the_second_tier(
    second_tier: DefaultSandboxPool, world: World
) -> None:
    only_cpython = "import tempfile\n"
    assert await escaped(second_tier, world, EFFECTS, only_cpython) == {}
