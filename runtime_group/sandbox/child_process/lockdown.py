"""Limits that the kernel keeps for a sandbox process, whatever its engine does."""

import ctypes
import os
import resource
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CPU_SLACK_SECS = 2
_MEMORY_SLACK = 64 * 1024 * 1024
_STATM_DATA = 5  # position of "data + stack" in /proc/self/statm, in pages

_statm: int | None = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the worker dies, even while a script spins."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def forbid_files() -> None:
    """No core dumps, and no file can be written: the first byte over 0 is an error."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def allow(*, cpu_secs: float, memory_bytes: int) -> None:
    """Let the next call use this much more than what the process has used or holds already.

    A backstop: the worker's own clock kills earlier, and engines count their heap themselves.
    Memory is limited as data (RLIMIT_DATA): V8 reserves far more addresses than it ever uses.
    """
    usage = resource.getrusage(resource.RUSAGE_SELF)
    cpu_limit = int(usage.ru_utime + usage.ru_stime + cpu_secs) + _CPU_SLACK_SECS
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_limit, resource.RLIM_INFINITY))
    if _statm is not None:
        data_limit = _data_bytes(_statm) + memory_bytes + _MEMORY_SLACK
        resource.setrlimit(resource.RLIMIT_DATA, (data_limit, resource.RLIM_INFINITY))


def _data_bytes(statm: int) -> int:
    return int(os.pread(statm, 200, 0).split()[_STATM_DATA]) * resource.getpagesize()
