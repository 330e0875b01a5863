"""Several supervised workers, with small scripts as workers."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from xworkflow.embedded.worker_processes import start_workers
from xworkflow.errors import InfrastructureError

FIRST_IS_READY = """
import os, pathlib, signal, sys
try:
    pathlib.Path(sys.argv[1]).touch(exist_ok=False)
except FileExistsError:
    sys.exit(1)
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
print('worker ready', flush=True)
signal.pause()
"""


async def test_when_one_does_not_start_none_is_left(tmp_path: Path) -> None:
    first = tmp_path / "first"
    command = [sys.executable, "-c", FIRST_IS_READY, str(first)]
    with pytest.raises(InfrastructureError, match="the worker does not start"):
        async with start_workers(command, 2, crashed=lambda _: None):
            pytest.fail("one of them has not started")
    if pid := first.read_text():
        assert not Path(f"/proc/{pid}").exists()
