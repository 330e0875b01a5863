"""Tie a program to the life of the process that started it: ``tether PARENT_PID PROGRAM ARGS…``.

Run as a program, between a parent and its child: it asks the kernel for a SIGTERM when the parent
ends, then becomes the program, with the same process id. A ``preexec_fn`` would do the same, but
runs between fork and exec, where a parent with threads (every Temporal client has some) may
deadlock.

Linux ties to the *thread* that started it. Elsewhere the program simply runs.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1


def tethered(command: Sequence[str]) -> list[str]:
    """``command``, tied to the calling process."""
    return [sys.executable, "-I", "-S", __file__, str(os.getpid()), *command]


def follow_parent() -> None:
    """Have this process, and what it becomes by exec, get SIGTERM when its parent ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def main(arguments: Sequence[str]) -> None:
    """Follow the parent, then become the program."""
    parent, *command = arguments
    follow_parent()
    if os.getppid() == int(parent):  # it may have ended before the kernel was asked
        os.execv(command[0], command)  # noqa: S606 - that is the purpose of this program


if __name__ == "__main__":
    main(sys.argv[1:])
