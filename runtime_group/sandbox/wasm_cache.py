"""Compiled WebAssembly modules on disk.

A compiled module is machine code, so two things must hold. Who makes one never runs a guest: each
module is compiled by a process of its own, which takes nothing else and ends. And who runs one gets
it from the worker alone, which checks a MAC first: the key lies beside the modules, in a directory
that nobody but its owner can enter. What a file says is never believed; one that does not fit is
compiled anew.
"""

from __future__ import annotations

import hmac
import os
import platform
import stat
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from secrets import token_bytes
from tempfile import NamedTemporaryFile
from typing import Final

from xworkflow.errors import MisuseError

WORTH_BYTES: Final = 64 * 1024
"""Code shorter than this compiles in less time than a process takes to start."""
_MAX_MODULES: Final = 256
_KEY_BYTES: Final = 32
_MAC_BYTES: Final = 32
_SUFFIX: Final = ".module"
_ENGINE_SOURCES: Final = ("wasm.py", "wasm_compiler.py")


class WasmCache:
    """The compiled modules in one directory, which all pools and workers of a user may share."""

    def __init__(self, directory: Path) -> None:
        """Makes the directory and its key at need. Raises MisuseError when others can enter it."""
        self._directory = directory
        self._key = _own_key(_own_directory(directory))

    def load(self, code: str) -> bytes | None:
        """The compiled module of this code, if it was compiled before, by this version, here."""
        path = self._path(code)
        try:
            found = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        mac, compiled = found[:_MAC_BYTES], found[_MAC_BYTES:]
        return compiled if hmac.compare_digest(mac, self._mac(path, compiled)) else None

    def store(self, code: str, compiled: bytes) -> None:
        """Keep a module, and drop those that were not used for longest; a full disk is no error."""
        path = self._path(code)
        with suppress(OSError), NamedTemporaryFile(dir=self._directory, delete=False) as made:
            try:
                made.write(self._mac(path, compiled) + compiled)
                made.flush()
                Path(made.name).replace(path)
            except BaseException:
                Path(made.name).unlink(missing_ok=True)
                raise
            self._drop(self._directory.glob(f"*{_SUFFIX}"))

    def _path(self, code: str) -> Path:
        name = sha256(f"{_engine_version()}\0{code.strip()}".encode("utf-8", "replace"))
        return self._directory / f"{name.hexdigest()}{_SUFFIX}"

    def _mac(self, path: Path, compiled: bytes) -> bytes:
        return hmac.digest(self._key, path.name.encode() + compiled, "sha256")

    def _drop(self, paths: Iterable[Path]) -> None:
        by_use = sorted(paths, key=lambda path: path.stat().st_mtime_ns, reverse=True)
        for path in by_use[_MAX_MODULES:]:
            path.unlink(missing_ok=True)


@cache
def _engine_version() -> str:
    """What a compiled module depends on besides its code; wasmtime itself checks it once more."""
    folder = Path(__file__).parent / "child_process"
    sources = b"".join((folder / name).read_bytes() for name in _ENGINE_SOURCES)
    return f"{version('wasmtime')} {platform.machine()} {sha256(sources).hexdigest()}"


def _own_directory(path: Path) -> Path:
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if os.name == "posix" and (found.st_uid != os.geteuid() or found.st_mode & 0o077):
        mode = stat.S_IMODE(found.st_mode)
        raise MisuseError(f"{path} must be this user's alone (mode {mode:04o}): chmod 700 it")
    return path


def _own_key(directory: Path) -> bytes:
    """The key of the MACs; made by whoever comes first, complete before it has its name."""
    path = directory / "key"
    if not path.exists():
        with NamedTemporaryFile(dir=directory) as made:  # its mode is 0600
            made.write(token_bytes(_KEY_BYTES))
            made.flush()
            with suppress(FileExistsError):
                os.link(made.name, path)
    key = path.read_bytes()
    if len(key) != _KEY_BYTES:
        raise MisuseError(f"{path} is no key of {_KEY_BYTES} bytes: remove it")
    return key
