"""Which system calls a sandbox process may still make: an allow-list, kept by the kernel.

A call that is not allowed fails with EPERM, as if by permissions. The filter is written by hand
(seccomp-bpf) and put on all threads at once; it can never be taken off again.
"""

import ctypes
import errno
import os
import platform
import struct
import sys

_X86_64, _AARCH64 = "x86_64", "aarch64"
_AUDIT_ARCH = {_X86_64: 0xC000003E, _AARCH64: 0xC00000B7}
_SECCOMP_CALL = {_X86_64: 317, _AARCH64: 277}
_X32_BIT = 0x40000000

# name: (number on x86_64, number on aarch64); -1 where there is none
_NUMBERS = {
    "arch_prctl": (158, -1),
    "access": (21, -1),
    "brk": (12, 214),
    "clock_getres": (229, 114),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "clone": (56, 220),
    "clone3": (435, 435),
    "close": (3, 57),
    "dup": (32, 23),
    "dup2": (33, -1),
    "dup3": (292, 24),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_pwait": (281, 22),
    "epoll_wait": (232, -1),
    "eventfd2": (290, 19),
    "execve": (59, 221),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "fcntl": (72, 25),
    "fstat": (5, 80),
    "futex": (202, 98),
    "getcpu": (309, 168),
    "getcwd": (79, 17),
    "getdents64": (217, 61),
    "getegid": (108, 177),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getpid": (39, 172),
    "getppid": (110, 173),
    "getrandom": (318, 278),
    "getrlimit": (97, 163),
    "getrusage": (98, 165),
    "gettid": (186, 178),
    "gettimeofday": (96, 169),
    "getuid": (102, 174),
    "ioctl": (16, 29),
    "kill": (62, 129),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "lseek": (8, 62),
    "lstat": (6, -1),
    "madvise": (28, 233),
    "membarrier": (324, 283),
    "mincore": (27, 232),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "mremap": (25, 216),
    "munmap": (11, 215),
    "nanosleep": (35, 101),
    "newfstatat": (262, 79),
    "openat": (257, 56),
    "pipe2": (293, 59),
    "pkey_alloc": (330, 289),
    "pkey_free": (331, 290),
    "pkey_mprotect": (329, 288),
    "poll": (7, -1),
    "ppoll": (271, 73),
    "prctl": (157, 167),
    "pread64": (17, 67),
    "prlimit64": (302, 261),
    "pselect6": (270, 72),
    "read": (0, 63),
    "readlink": (89, -1),
    "readlinkat": (267, 78),
    "readv": (19, 65),
    "recvfrom": (45, 207),
    "restart_syscall": (219, 128),
    "rseq": (334, 293),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sched_getaffinity": (204, 123),
    "sched_getparam": (143, 121),
    "sched_getscheduler": (145, 120),
    "sched_yield": (24, 124),
    "seccomp": (317, 277),
    "select": (23, -1),
    "sendto": (44, 206),
    "set_robust_list": (273, 99),
    "set_tid_address": (218, 96),
    "setrlimit": (160, 164),
    "sigaltstack": (131, 132),
    "socketpair": (53, 199),
    "stat": (4, -1),
    "statx": (332, 291),
    "sysinfo": (99, 179),
    "tgkill": (234, 131),
    "time": (201, -1),
    "times": (100, 153),
    "uname": (63, 160),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "write": (1, 64),
    "writev": (20, 66),
}

STARTING = frozenset(
    {
        "access",
        "arch_prctl",
        "execve",
        "getdents64",
        "ioctl",
        "landlock_add_rule",
        "landlock_create_ruleset",
        "landlock_restrict_self",
        "openat",
        "readlink",
        "readlinkat",
        "seccomp",
        "set_tid_address",
        "socketpair",
        "waitid",
    }
)
"""What loading libraries and starting another program needs beyond ``RUNNING``."""
RUNNING = frozenset(_NUMBERS) - STARTING
"""Memory, threads, clocks, and the descriptors that are open already: no names of any kind."""
READING = frozenset({"access", "getdents64", "ioctl", "openat", "readlink", "readlinkat"})
"""Opening files to read: only where Landlock says which."""
LOCKING = frozenset({"seccomp"})
"""For a parent whose forks give up more than it does."""
SCRIPT = (RUNNING | READING) - {"kill"}
"""For a script in CPython: no signals even to its own group, in which its parent lives."""

_LOAD_NUMBER, _LOAD_ARCH = 0, 4
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_LD, _JEQ, _JGE, _JSET, _RET = 0x20, 0x15, 0x35, 0x45, 0x06
_SET_MODE_FILTER, _TSYNC = 1, 1
_CLONE_THREAD = 0x00010000
_OPEN_TO_WRITE = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MAP_SHARED, _MAP_ANONYMOUS, _MAP_GROWSDOWN = 0x01, 0x20, 0x100
_SET_PDEATHSIG = 1
_PRCTLS = (15, 0x53564D41)  # PR_SET_NAME, PR_SET_VMA: names of threads and of memory

_Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def apply(allowed: frozenset[str], *, forks: bool = False, counted: bool = False) -> bool:
    """Allow these calls and no others, to all threads; ``forks`` lets it make processes.

    ``counted`` refuses memory that RLIMIT_DATA does not count: shared, or a stack that grows.

    False where the platform has no seccomp, or this file no numbers for it.
    """
    machine = platform.machine()
    if sys.platform != "linux" or machine not in _AUDIT_ARCH or sys.maxsize < 1 << 32:
        return False
    code = b"".join(
        struct.pack("<HBBI", *each)
        for each in _instructions(machine, allowed, forks=forks, counted=counted)
    )
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    call = ctypes.c_long(_SECCOMP_CALL[machine])
    done: int = libc.syscall(call, _SET_MODE_FILTER, _TSYNC, ctypes.byref(program))
    return done == 0


def _instructions(
    machine: str, allowed: frozenset[str], *, forks: bool, counted: bool
) -> list[_Instruction]:
    code: list[_Instruction] = [
        (_LD, 0, 0, _LOAD_ARCH),
        (_JEQ, 1, 0, _AUDIT_ARCH[machine]),
        _refuse(errno.EPERM),
        (_LD, 0, 0, _LOAD_NUMBER),
        (_JGE, 0, 1, _X32_BIT),
        _refuse(errno.EPERM),
    ]
    for name in sorted(allowed):
        number = _NUMBERS[name][machine == _AARCH64]
        if number < 0:
            continue
        verdict = _verdict(name, forks=forks, counted=counted)
        code += [(_JEQ, 0, len(verdict), number), *verdict]
    return [*code, _refuse(errno.EPERM)]


def _verdict(name: str, *, forks: bool, counted: bool) -> list[_Instruction]:
    """What happens to a call of this name; ends in a return on every path."""
    allow, refuse = (_RET, 0, 0, _ALLOW), _refuse(errno.EPERM)
    match name:
        case "clone3":  # its flags lie behind a pointer; the C library falls back to clone
            return [_refuse(errno.ENOSYS)]
        case "clone" if not forks:
            return [_argument(0), (_JSET, 0, 1, _CLONE_THREAD), allow, refuse]
        case "mmap" if counted:
            return [
                _argument(3),
                (_JSET, 2, 0, _MAP_GROWSDOWN),
                (_JSET, 0, 2, _MAP_SHARED),
                (_JSET, 0, 1, _MAP_ANONYMOUS),
                refuse,
                allow,
            ]
        case "openat":
            return [_argument(2), (_JSET, 0, 1, _OPEN_TO_WRITE), refuse, allow]
        case "prctl":
            options = (*_PRCTLS, _SET_PDEATHSIG) if forks else _PRCTLS
            tests = [(_JEQ, len(options) - i, 0, option) for i, option in enumerate(options)]
            return [_argument(0), *tests, refuse, allow]
        case "prlimit64" | "kill":  # of this process, of its group
            return [_argument(0), (_JEQ, 1, 0, 0), refuse, allow]
        case "tgkill":
            return [_argument(0), (_JEQ, 1, 0, os.getpid()), refuse, allow]
        case _:
            return [allow]


def _argument(position: int) -> _Instruction:
    """Load the low half of an argument."""
    return (_LD, 0, 0, 16 + 8 * position)


def _refuse(error: int) -> _Instruction:
    return (_RET, 0, 0, _ERRNO | error)
