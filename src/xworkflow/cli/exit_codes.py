"""What exit codes mean, and the one place where a command ends."""

from __future__ import annotations

import gc
import os
import sys
from enum import IntEnum
from typing import NoReturn

from xworkflow.client.status import Completed, ExecutionStatus, FailedWithRecovery, Running, Stopped


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    INFRASTRUCTURE = 3
    STOPPED = 4
    WAITING = 5
    DETACHED = 130


def code_of(status: ExecutionStatus) -> ExitCode:
    """The exit code that a run's status stands for."""
    match status:
        case Completed() | FailedWithRecovery():
            return ExitCode.OK
        case Stopped():
            return ExitCode.STOPPED
        case Running():
            return ExitCode.WAITING
        case _:
            return ExitCode.FAILED


def leave(code: int) -> NoReturn:
    """End the process with this code.

    After everything is shut down and flushed the process leaves without the interpreter's own end:
    threads of the Temporal SDK may abort it there (sdk-python#300), with a wrong code.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    gc.collect()
    os._exit(code)
