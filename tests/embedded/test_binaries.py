"""Where the binaries come from, in which order, with executables that are fakes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from xworkflow.embedded import installers
from xworkflow.embedded.binaries import temporal_cli, time_skipping_server
from xworkflow.embedded.cache import binary_dir, cache_dir
from xworkflow.errors import InfrastructureError

FAKE_GO = """#!/bin/sh
echo "$2" >> "$COUNTER"
printf '#!/bin/sh\\n' > "$GOBIN/temporal"
chmod +x "$GOBIN/temporal"
"""
FAKE_MAVEN = """#!/bin/sh
for argument in "$@"; do
  case $argument in -DoutputDirectory=*) lib=${argument#*=} ;; esac
done
mkdir "$lib"
touch "$lib/server.jar"
"""


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment with an empty cache and nothing but the system's shell on PATH."""
    tools = tmp_path / "tools"
    for name in ("sh", "chmod", "mkdir", "touch"):
        tools.mkdir(exist_ok=True)
        (tools / name).symlink_to(Path("/bin", name))
    return {"XWORKFLOW_CACHE": str(tmp_path / "cache"), "PATH": str(tools)}


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(**_: object) -> None:
        raise RuntimeError("no network")

    monkeypatch.setattr(installers.WorkflowEnvironment, "start_local", refuse)
    monkeypatch.setattr(installers.WorkflowEnvironment, "start_time_skipping", refuse)


@pytest.mark.parametrize(
    ("environ", "folder"),
    [
        ({"XWORKFLOW_CACHE": "/own", "XDG_CACHE_HOME": "/xdg"}, Path("/own")),
        ({"XDG_CACHE_HOME": "/xdg"}, Path("/xdg/xworkflow")),
        ({}, Path.home() / ".cache" / "xworkflow"),
    ],
)
def test_the_cache_is_where_the_environment_says(environ: Mapping[str, str], folder: Path) -> None:
    assert cache_dir(environ) == folder


async def test_the_named_binary_wins_over_path_and_path_over_the_cache(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    cached = executable(binary_dir(environ) / "temporal")
    assert await temporal_cli(environ) == cached
    on_path = executable(tmp_path / "tools" / "temporal")
    assert await temporal_cli(environ) == on_path
    named = executable(tmp_path / "mine")
    assert await temporal_cli({**environ, "TEMPORAL_CLI": str(named)}) == named


async def test_a_named_binary_that_is_not_there_is_an_error_and_not_skipped(
    environ: dict[str, str],
) -> None:
    executable(binary_dir(environ) / "temporal")
    with pytest.raises(InfrastructureError, match="TEMPORAL_CLI names /nowhere"):
        await temporal_cli({**environ, "TEMPORAL_CLI": "/nowhere"})


async def test_go_builds_the_cli_into_the_cache_once_for_two_at_a_time(
    tmp_path: Path, environ: dict[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    counter = tmp_path / "builds"
    executable(tmp_path / "tools" / "go", FAKE_GO)
    environ = {**environ, "COUNTER": str(counter)}
    found = await asyncio.gather(temporal_cli(environ), temporal_cli(environ))
    assert found == [binary_dir(environ) / "temporal"] * 2
    assert counter.read_text().splitlines() == [installers.GO_PACKAGE]
    assert capsys.readouterr().err.count("building the Temporal CLI") == 1
    assert sorted(file.name for file in binary_dir(environ).iterdir()) == [
        "temporal",
        "temporal.lock",
    ]


async def test_an_error_names_every_place_with_its_reason(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    executable(tmp_path / "tools" / "go", "#!/bin/sh\necho 'go: no such module'\nexit 1\n")
    with pytest.raises(InfrastructureError) as error:
        await temporal_cli(environ)
    assert str(error.value) == (
        "the Temporal CLI was not found: TEMPORAL_CLI (not set); `temporal` on PATH (not there); "
        f"{binary_dir(environ) / 'temporal'} (not there); "
        "the SDK's own download (failed: no network); "
        f"`go install {installers.GO_PACKAGE}` (failed: go: no such module)"
    )


async def test_nothing_is_installed_when_told_not_to(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    executable(tmp_path / "tools" / "go", FAKE_GO)
    with pytest.raises(InfrastructureError, match="the Temporal CLI was not found"):
        await temporal_cli({**environ, "COUNTER": str(tmp_path / "builds")}, install=False)
    assert not (tmp_path / "builds").exists()


async def test_a_cache_that_cannot_be_written_is_named(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(InfrastructureError, match="cache directory cannot be written"):
        await temporal_cli(environ)


async def test_maven_gives_the_test_server_as_a_script_over_its_jars(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    executable(tmp_path / "tools" / "mvn", FAKE_MAVEN)
    executable(tmp_path / "tools" / "java", '#!/bin/sh\necho "$@"\n')
    script = await time_skipping_server(environ)
    process = await asyncio.create_subprocess_exec(
        script, "7233", stdout=asyncio.subprocess.PIPE, env=environ
    )
    output, _ = await process.communicate()
    jars = tmp_path / "cache" / "temporal-test-server-1.32.0"
    assert output.decode() == f"-cp {jars}/* io.temporal.testserver.TestServer 7233\n"
    assert [jar.name for jar in jars.iterdir()] == ["server.jar"]
    assert await time_skipping_server(environ) == script


async def test_what_the_sdk_downloads_lands_in_the_cache(
    environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Started:
        async def shutdown(self) -> None: ...

    async def start(*, download_dest_dir: str) -> Started:
        executable(Path(download_dest_dir, "temporal-sdk-python-1.35.0"))
        return Started()

    monkeypatch.setattr(installers.WorkflowEnvironment, "start_local", start)
    assert await temporal_cli(environ) == binary_dir(environ) / "temporal"
