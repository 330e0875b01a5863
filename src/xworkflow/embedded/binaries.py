"""Finding the Temporal CLI and the time-skipping test server, or getting them once.

Each binary has an ordered list of sources. A source answers with a path or says in one phrase why
it cannot; when all of them fail the error names each with its reason.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from xworkflow.embedded import installers
from xworkflow.embedded.cache import binary_dir
from xworkflow.embedded.installers import Unavailable
from xworkflow.embedded.locks import exclusive
from xworkflow.errors import InfrastructureError

CLI = "temporal"
TEST_SERVER = "temporal-test-server"


@dataclass(frozen=True, slots=True)
class Source:
    """One place to look at: ``get`` answers with a path, or raises Unavailable with the reason."""

    name: str
    get: Callable[[], Awaitable[Path]]


async def temporal_cli(environ: Mapping[str, str] = os.environ, *, install: bool = True) -> Path:
    """The Temporal CLI, whose ``server start-dev`` is the embedded server.

    May download or build for minutes, once, unless told not to. Raises InfrastructureError.
    """
    cached = binary_dir(environ) / CLI

    async def on_path() -> Path:
        found = shutil.which(CLI, path=environ.get("PATH"))
        if found is None:
            raise Unavailable("not there")
        return Path(found)

    return await _first(
        "the Temporal CLI",
        cached,
        here=(
            _named_by("TEMPORAL_CLI", environ),
            Source("`temporal` on PATH", on_path),
            _cache(cached),
        ),
        installs=()
        if not install
        else (
            Source("the SDK's own download", lambda: installers.download_cli(cached)),
            Source(installers.GO_COMMAND, lambda: installers.go_install(cached, environ)),
        ),
    )


async def time_skipping_server(
    environ: Mapping[str, str] = os.environ, *, install: bool = True
) -> Path:
    """The time-skipping test server, as the SDK's ``test_server_existing_path``.

    May download for half a minute, once, unless told not to. Raises InfrastructureError.
    """
    cached = binary_dir(environ) / TEST_SERVER
    return await _first(
        "the time-skipping test server",
        cached,
        here=(_named_by("TEMPORAL_TEST_SERVER", environ), _cache(cached)),
        installs=()
        if not install
        else (
            Source(installers.MAVEN_ARTIFACT, lambda: installers.maven(cached, environ)),
            Source("the SDK's own download", lambda: installers.download_test_server(cached)),
        ),
    )


def _named_by(variable: str, environ: Mapping[str, str]) -> Source:
    async def get() -> Path:
        value = environ.get(variable)
        if not value:
            raise Unavailable("not set")
        if not _is_executable(Path(value)):
            # somebody asked for exactly this one: another in its place would be a surprise
            raise InfrastructureError(f"{variable} names {value}, which is no executable file")
        return Path(value)

    return Source(variable, get)


def _cache(cached: Path) -> Source:
    async def get() -> Path:
        if not _is_executable(cached):
            raise Unavailable("not there")
        return cached

    return Source(str(cached), get)


async def _first(
    what: str, cached: Path, *, here: tuple[Source, ...], installs: tuple[Source, ...]
) -> Path:
    """The first answer; installing is done by one process at a time, the others find its result."""
    refusals: list[str] = []
    if found := await _ask(here, refusals):
        return found
    try:
        async with exclusive(cached.with_suffix(".lock")):
            if _is_executable(cached):  # another process was here while this one waited
                return cached
            if found := await _ask(installs, refusals):
                return found
    except OSError as error:
        refusals.append(f"the cache directory cannot be written ({error})")
    raise InfrastructureError(f"{what} was not found: {'; '.join(refusals)}")


async def _ask(sources: tuple[Source, ...], refusals: list[str]) -> Path | None:
    for source in sources:
        try:
            return await source.get()
        except Unavailable as reason:
            refusals.append(f"{source.name} ({reason})")
    return None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
