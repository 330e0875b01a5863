"""Getting a binary into the cache. Each installer puts it in place whole, by one rename.

Called under the cache's lock. Raises Unavailable with a phrase for people when it cannot.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from temporalio.testing import WorkflowEnvironment

# newer versions of the CLI cannot be installed by `go install`
GO_PACKAGE = "github.com/temporalio/cli/cmd/temporal@v1.5.1"
GO_COMMAND = f"`go install {GO_PACKAGE}`"
MAVEN_ARTIFACT = "io.temporal:temporal-test-server:1.32.0"

DOWNLOAD_LIMIT_SECS = 120.0
BUILD_LIMIT_SECS = 1800.0
PROGRESS_SECS = 30.0

_POM = """<project><modelVersion>4.0.0</modelVersion>
<groupId>xworkflow</groupId><artifactId>test-server</artifactId><version>1</version>
<dependencies><dependency><groupId>{group}</groupId><artifactId>{artifact}</artifactId>
<version>{version}</version></dependency></dependencies></project>
"""


class Unavailable(Exception):  # noqa: N818 - an answer of a source, which never leaves this room
    """A source cannot give the binary; the message says why, in one phrase."""


async def download_cli(target: Path) -> Path:
    """The CLI that the SDK knows how to download."""

    async def start(folder: str) -> WorkflowEnvironment:
        # one of its other parameters has an unknown type
        return await WorkflowEnvironment.start_local(  # pyright: ignore[reportUnknownMemberType]
            download_dest_dir=folder
        )

    return await _sdk_download(target, start)


async def download_test_server(target: Path) -> Path:
    """The time-skipping server that the SDK knows how to download."""

    async def start(folder: str) -> WorkflowEnvironment:
        return await WorkflowEnvironment.start_time_skipping(download_dest_dir=folder)

    return await _sdk_download(target, start)


async def _sdk_download(
    target: Path, start: Callable[[str], Awaitable[WorkflowEnvironment]]
) -> Path:
    # the SDK downloads only on the way to a start, so its server is started once and stopped
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        try:
            async with asyncio.timeout(DOWNLOAD_LIMIT_SECS):
                environment = await start(folder)
        except TimeoutError:
            raise Unavailable(f"took longer than {DOWNLOAD_LIMIT_SECS:.0f} s") from None
        except RuntimeError as error:
            raise Unavailable(f"failed: {str(error).rsplit(' (http', 1)[0]}") from None
        await environment.shutdown()
        downloaded = max(Path(folder).iterdir(), key=lambda file: file.stat().st_size)
        downloaded.replace(target)
    return target


async def go_install(target: Path, environ: Mapping[str, str]) -> Path:
    """Build the CLI with Go: 3 to 5 minutes on two cores, 250 MB."""
    go = shutil.which("go", path=environ.get("PATH"))
    if go is None:
        raise Unavailable("Go is not installed")
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        await _build(
            "building the Temporal CLI with Go (3 to 5 minutes, once)",
            (go, "install", GO_PACKAGE),
            {**environ, "GOBIN": folder},
        )
        (Path(folder) / "temporal").replace(target)
    return target


async def maven(target: Path, environ: Mapping[str, str]) -> Path:
    """Resolve the Java test server with Maven and write a script that runs it."""
    path = environ.get("PATH")
    program, java = shutil.which("mvn", path=path), shutil.which("java", path=path)
    if program is None or java is None:
        raise Unavailable("needs Maven and Java")
    group, artifact, version = MAVEN_ARTIFACT.split(":")
    jars = target.parent.parent / f"{artifact}-{version}"
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        pom = Path(folder, "pom.xml")
        pom.write_text(_POM.format(group=group, artifact=artifact, version=version))
        await _build(
            "getting the time-skipping test server with Maven (half a minute, once)",
            (
                program,
                "--quiet",
                "--batch-mode",
                f"--file={pom}",
                "dependency:copy-dependencies",
                f"-DoutputDirectory={folder}/lib",
            ),
            environ,
        )
        shutil.rmtree(jars, ignore_errors=True)
        Path(folder, "lib").replace(jars)
        script = Path(folder, "script")
        script.write_text(
            f"#!/bin/sh\nexec '{java}' -cp '{jars}/*' io.temporal.testserver.TestServer \"$@\"\n"
        )
        script.chmod(0o755)
        script.replace(target)
    return target


async def _build(what: str, command: tuple[str, ...], environ: Mapping[str, str]) -> None:
    """Run a build, and say on stderr what it is and how long it has taken."""
    _say(what)
    process = await asyncio.create_subprocess_exec(
        *command,
        env=dict(environ),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    progress = asyncio.create_task(_progress(what))
    try:
        async with asyncio.timeout(BUILD_LIMIT_SECS):
            output, _ = await process.communicate()
    except TimeoutError:
        raise Unavailable(f"took longer than {BUILD_LIMIT_SECS:.0f} s") from None
    finally:
        progress.cancel()
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        last = output.decode(errors="replace").strip().splitlines()[-1:] or ["no output"]
        raise Unavailable(f"failed: {last[0]}")


async def _progress(what: str) -> None:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while True:
        await asyncio.sleep(PROGRESS_SECS)
        _say(f"still {what}: {loop.time() - begun:.0f} s so far")


def _say(line: str) -> None:
    sys.stderr.write(f"xworkflow: {line}\n")
    sys.stderr.flush()
