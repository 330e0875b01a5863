"""The installed command as a child process, with nothing of the desk's own environment."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

PROGRAM = Path(sys.executable).with_name("xworkflow")
_FOREIGN = ("TEMPORAL_", "XWORKFLOW_", "OPENAI_", "COLUMNS", "NO_COLOR", "FORCE_COLOR")


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def object(self) -> Any:
        """The one JSON value on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Command:
    """Starts commands in a folder of their own. ``settings`` are environment variables."""

    folder: Path
    settings: Mapping[str, str] = field(default_factory=dict[str, str])

    def __call__(
        self, *arguments: str | Path, timeout: float = 60, given: str | None = None
    ) -> Ended:
        """Run a command to its end; ``given`` is what it reads on stdin."""
        child = self.start(*arguments, piped=given is not None)
        try:
            out, err = child.communicate(given, timeout=timeout)
        finally:
            child.kill()
        return Ended(child.returncode, out, err)

    def python(self, script: str) -> Ended:
        """Run a Python program where and as a command would run."""
        done = subprocess.run(
            [sys.executable, "-c", script],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path, piped: bool = False) -> Child:
        """Start a command; Ctrl-C reaches it, as at a terminal.

        With ``piped`` its stdin is ours to write.
        """
        # a shell starts what is in its background with Ctrl-C ignored, and so would we pass it on
        if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(),
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def environment(self) -> dict[str, str]:
        """The desk's environment without what would change a command, and our settings."""
        desk = {k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN)}
        return {
            **desk,
            "TEMPORAL_CONFIG_FILE": str(self.folder / "none.toml"),
            "XWORKFLOW_DATA": str(self.folder / "data"),
            **self.settings,
        }


Child = subprocess.Popen[str]


def line_with(stream: IO[str] | None, text: str) -> str:
    """Wait for a line that holds a text."""
    assert stream is not None
    seen: list[str] = []
    for line in stream:
        seen.append(line)
        if text in line:
            return line
    raise AssertionError(f"no line holds {text!r}: {''.join(seen)!r}")


def the_rest_of(child: Child, timeout: float = 60) -> tuple[str, str]:
    """What a child still says on stdout and stderr until it ends; it is killed after ``timeout``.

    After ``line_with``, where ``communicate`` would lose the lines that were read ahead.
    """
    assert child.stdout is not None
    assert child.stderr is not None
    late = threading.Timer(timeout, child.kill)
    late.start()
    try:
        with child, ThreadPoolExecutor(1) as reader:
            out = reader.submit(child.stdout.read)
            err = child.stderr.read()
            return out.result(), err
    finally:
        late.cancel()
