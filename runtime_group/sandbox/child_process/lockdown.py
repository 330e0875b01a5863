"""What the kernel keeps a sandbox process from, whatever its engine does.

Three steps: ``isolate`` before the engine starts any thread, ``seal`` when it is ready for its
first call, ``allow`` before each call. Each part is taken where the platform offers it; what a
process could get is reported to the pool, and seen in its statistics.
"""

import ctypes
import os
import resource
import signal
import struct
import sys
import sysconfig
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from . import landlock, seccomp

_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS = 1, 4, 38
_CLONE_NEWUTS, _CLONE_NEWIPC, _CLONE_NEWUSER, _CLONE_NEWNET = (1 << n for n in (26, 27, 28, 30))
_CAPABILITY_VERSION = 0x20080522
_CPU_SLACK_SECS = 2
_MEMORY_SLACK = 64 * 1024 * 1024
_OPEN_FILES = 64
_STATM_RESIDENT, _STATM_SHARED, _STATM_DATA = 1, 2, 5  # positions in /proc/self/statm, in pages

SYSTEM_LIBRARIES = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
)
_ENGINES_ASK = ("/sys/devices/system/cpu", "/proc/sys/vm/overcommit_memory", "/proc/self/maps")

_statm: int | None = os.open("/proc/self/statm", os.O_RDONLY) if sys.platform == "linux" else None


def die_with_parent() -> None:
    """Ask the kernel to kill this process when the worker dies, even while a script spins."""
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def isolate(readable: Iterable[str] = (), executable: Iterable[str] = ()) -> list[str]:
    """Give up files, network and privileges; returns the names of what was given up.

    What remains readable are Python's own library, the system's libraries and ``readable``:
    engines load parts of themselves as they start. Only ``executable`` programs can be started, and
    only until ``seal``; they keep what was given up here. No thread may have been started before.
    """
    done = ["limits"]
    _limit_files()
    if sys.platform != "linux":
        return done
    if _prctl(_PR_SET_DUMPABLE, 0):
        done.append("not_dumpable")
    if _unshare(_CLONE_NEWUSER | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS):
        done += ["user_namespace", "network_namespace"]
    elif _unshare(_CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWUTS):
        done.append("network_namespace")
    if _drop_capabilities():
        done.append("no_capabilities")
    if _prctl(_PR_SET_NO_NEW_PRIVS, 1):
        done.append("no_new_privileges")
    library = sysconfig.get_path("stdlib")
    own = str(Path(__file__).parent)
    files = [library, own, os.devnull, *SYSTEM_LIBRARIES, *_ENGINES_ASK, *readable]
    programs = [*executable]
    loaders = SYSTEM_LIBRARIES if programs else ()  # the dynamic loader is executed too
    if landlock.restrict(files, [*programs, *loaders]):
        done.append("landlock")
    if programs:
        seccomp.apply(seccomp.RUNNING | seccomp.STARTING, forks=True)
    return done


def seal(readable: Iterable[str] = (), *, forks: bool = False) -> list[str]:
    """Give up all files but these, and every system call that a running engine does not need.

    Nothing else can be imported afterwards. ``forks`` is for a parent of what gives up the rest.
    """
    done: list[str] = []
    paths = list(readable)
    restricted = landlock.restrict(paths, scoped=False)
    reads = bool(paths) and restricted
    allowed = seccomp.RUNNING | seccomp.READING if reads else seccomp.RUNNING
    if seccomp.apply(allowed | seccomp.LOCKING if forks else allowed, forks=forks):
        done.append("seccomp")
    return done


def close_all_but(kept: set[int]) -> None:
    """Close every descriptor that a fork inherited and must not have."""
    for descriptor in set(range(_OPEN_FILES)) - kept:
        with suppress(OSError):
            os.close(descriptor)


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


def keep_limits() -> None:
    """What ``allow`` limits softly, no longer to be raised: for a process of one script."""
    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_DATA):
        soft, _ = resource.getrlimit(kind)
        resource.setrlimit(kind, (soft, soft))


def held_bytes() -> int:
    """The memory that this process holds for itself alone; 0 where the platform does not tell."""
    if _statm is None:
        return 0
    pages = _pages(_statm)
    return (pages[_STATM_RESIDENT] - pages[_STATM_SHARED]) * resource.getpagesize()


def _limit_files() -> None:
    """No core dumps, few files, and none can be written: the first byte over 0 is an error."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)


def _drop_capabilities() -> bool:
    """Give up what root may do beyond others, and what a namespace of one's own gives."""
    header = struct.pack("<Ii", _CAPABILITY_VERSION, 0)
    return ctypes.CDLL(None).capset(header, bytes(24)) == 0


def _unshare(kinds: int) -> bool:
    return ctypes.CDLL(None).unshare(kinds) == 0


def _prctl(option: int, value: int) -> bool:
    return ctypes.CDLL(None).prctl(option, value, 0, 0, 0) == 0


def _data_bytes(statm: int) -> int:
    return _pages(statm)[_STATM_DATA] * resource.getpagesize()


def _pages(statm: int) -> list[int]:
    return [int(part) for part in os.pread(statm, 200, 0).split()]
