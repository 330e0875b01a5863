"""Which files a sandbox process may still open (Landlock): those below a few paths, to read.

Holds for the calling thread and all that it starts; rules can only be added, never taken back.
Signals and abstract sockets are kept inside too, and TCP is refused, where the kernel knows how.
"""

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable

_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446  # the same on every machine
_ASK_VERSION = 1
_RULE_PATH_BENEATH = 1
_EXECUTE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 2, 1 << 3
_RIGHTS_OF_VERSION = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights to files there are
_TCP_SINCE, _SCOPES_SINCE = 4, 6
_ALL_TCP = 0b11
_ALL_SCOPES = 0b11


def version() -> int:
    """The kernel's Landlock version; 0 where there is none."""
    if sys.platform != "linux":
        return 0
    return max(0, _call(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION))


def restrict(
    readable: Iterable[str] = (), executable: Iterable[str] = (), *, scoped: bool = True
) -> bool:
    """From now on only these files, and what lies below these directories, can be opened.

    ``scoped``: signals reach only what is restricted by this very call or later ones. False where
    the kernel has no Landlock. Paths that do not exist are skipped.
    """
    known = version()
    if known == 0:
        return False
    rights = (1 << _RIGHTS_OF_VERSION.get(known, _RIGHTS_OF_VERSION[5])) - 1
    attributes = struct.pack(
        "<QQQ",
        rights,
        _ALL_TCP if known >= _TCP_SINCE else 0,
        _ALL_SCOPES if scoped and known >= _SCOPES_SINCE else 0,
    )
    size = 24 if known >= _SCOPES_SINCE else 16 if known >= _TCP_SINCE else 8
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(size), 0)
    if ruleset < 0:
        return False
    try:
        for path in executable:
            _allow(ruleset, path, _READ_FILE | _EXECUTE, _READ_DIR)
        for path in readable:
            _allow(ruleset, path, _READ_FILE, _READ_DIR)
        return _call(_RESTRICT_SELF, ruleset, 0, 0) == 0
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: str, rights: int, rights_of_directories: int) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if stat.S_ISDIR(os.fstat(place).st_mode):
            rights |= rights_of_directories
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("<Qi", rights, place), 0)
    finally:
        os.close(place)


def _call(number: int, *arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result: int = libc.syscall(ctypes.c_long(number), *arguments)
    return result
