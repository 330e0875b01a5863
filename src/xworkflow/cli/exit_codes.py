"""What exit codes mean, and the one place where a command ends."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Mapping
from enum import IntEnum
from typing import Final, NoReturn

from xworkflow.errors import (
    ConfigurationError,
    CredentialError,
    DslError,
    EngineError,
    InfrastructureError,
    InputError,
    MisuseError,
    NodeError,
    RunError,
)


class ExitCode(IntEnum):
    """Exit codes of all commands."""

    OK = 0
    FAILED = 1
    REFUSED = 2
    INFRASTRUCTURE = 3
    STOPPED = 4
    WAITING = 5
    DETACHED = 130


CODES: Final[Mapping[type[EngineError], ExitCode]] = {
    DslError: ExitCode.REFUSED,
    InputError: ExitCode.REFUSED,
    ConfigurationError: ExitCode.REFUSED,
    MisuseError: ExitCode.REFUSED,
    NodeError: ExitCode.FAILED,
    CredentialError: ExitCode.FAILED,
    RunError: ExitCode.FAILED,
    InfrastructureError: ExitCode.INFRASTRUCTURE,
}
"""The branches of the tree of errors; a test proves that none is missing."""


def code_of(error: Exception) -> ExitCode:
    """The exit code of a command that an error has ended; FAILED for a fault of our own."""
    for kind in type(error).__mro__:
        if kind in CODES:
            return CODES[kind]
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
    if "xworkflow.telemetry" in sys.modules:
        from xworkflow.telemetry import flush

        flush()
    gc.collect()
    os._exit(code)
