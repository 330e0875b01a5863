"""The bytes of files: fetched, read below one directory, kept by the hash of their content."""

from __future__ import annotations

import hashlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.runtime_group.conftest import Reply, Server
from xworkflow.errors import NodeError, NodeFailure
from xworkflow.providers import RealTimeProvider
from xworkflow.runtime_group.files import GroupFiles
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.http import PooledHttpClient

LIMIT = 1000


@pytest.fixture
async def http() -> AsyncIterator[PooledHttpClient]:
    made = PooledHttpClient()
    yield made
    await made.aclose()


def local(path: str, method: str = "local_file") -> dict[str, Any]:
    return {"transfer_method": method, "id": path, "name": "n"}


async def failure(files: GroupFiles, file: dict[str, Any]) -> NodeFailure:
    with pytest.raises(NodeError) as caught:
        await files.read(file, max_bytes=LIMIT)
    return caught.value.failure


async def test_a_remote_file_is_fetched(server: Server, http: PooledHttpClient) -> None:
    server.answer = lambda _: Reply(body=b"\x89PNG")
    file = {"transfer_method": "remote_url", "url": f"{server.url}/a.png"}
    assert await GroupFiles(http).read(file, max_bytes=LIMIT) == b"\x89PNG"
    assert [(seen.method, seen.path) for seen in server.seen] == [("GET", "/a.png")]


@pytest.mark.parametrize(("status", "retryable"), [(404, False), (429, True), (500, True)])
async def test_a_remote_file_that_is_not_there_fails(
    server: Server, http: PooledHttpClient, status: int, retryable: bool
) -> None:
    server.answer = lambda _: Reply(status)
    file = {"transfer_method": "remote_url", "url": server.url}
    failed = await failure(GroupFiles(http), file)
    assert (failed.code, failed.retryable) == ("http_error", retryable)
    assert str(status) in failed.text


async def test_a_remote_file_larger_than_allowed_is_refused(
    server: Server, http: PooledHttpClient
) -> None:
    server.answer = lambda _: Reply(body=b"x" * (LIMIT + 1))
    file = {"transfer_method": "remote_url", "url": server.url}
    assert "too large" in (await failure(GroupFiles(http), file)).text


async def test_a_remote_file_is_under_the_network_policy(http: PooledHttpClient) -> None:
    file = {"transfer_method": "remote_url", "url": "http://169.254.169.254/latest"}
    assert (await failure(GroupFiles(http), file)).code == "input_validation_error"


@pytest.mark.parametrize("method", ["local_file", "internal_storage", "tool_file"])
async def test_without_a_directory_there_are_no_local_files(
    http: PooledHttpClient, method: str
) -> None:
    failed = await failure(GroupFiles(http), local("/etc/hostname", method))
    assert failed.code == "input_validation_error"
    assert "no directory for files" in failed.text


@pytest.mark.parametrize("method", ["local_file", "internal_storage"])
async def test_a_local_file_is_read_below_the_directory(
    http: PooledHttpClient, tmp_path: Path, method: str
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_bytes(b"x" * LIMIT)
    files = GroupFiles(http, tmp_path)
    assert await files.read(local("in/a.txt", method), max_bytes=LIMIT) == b"x" * LIMIT
    absolute = local(str(tmp_path / "in" / "a.txt"), method)
    assert await files.read(absolute, max_bytes=LIMIT) == b"x" * LIMIT


@pytest.mark.parametrize(
    "path", ["../secret", "in/../../secret", "/etc/hostname", "link", "linked/secret", "", "a\0b"]
)
async def test_a_path_that_leaves_the_directory_is_refused(
    http: PooledHttpClient, tmp_path: Path, path: str
) -> None:
    root = tmp_path / "root"
    (root / "in").mkdir(parents=True)
    (tmp_path / "secret").write_text("secret")
    (root / "link").symlink_to(tmp_path / "secret")
    (root / "linked").symlink_to(tmp_path)
    failed = await failure(GroupFiles(http, root), local(path))
    assert failed.code == "input_validation_error"
    assert "refused" in failed.text


async def test_what_is_no_plain_file_or_not_there_or_too_large_is_refused(
    http: PooledHttpClient, tmp_path: Path
) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"x" * (LIMIT + 1))
    files = GroupFiles(http, tmp_path)
    for name, problem in [
        ("pipe", "not there"), (".", "not there"), ("none", "not there"), ("large", "too large"),
    ]:  # fmt: skip
        assert problem in (await failure(files, local(name))).text


async def test_what_is_kept_can_be_read_by_the_value_of_it(
    http: PooledHttpClient, tmp_path: Path
) -> None:
    files = GroupFiles(http, tmp_path / "made")
    content = b"\x00\x01"
    file = await files.save(content, name="a.png", mime_type="image/png")
    digest = hashlib.sha256(content).hexdigest()
    assert file == {
        "dify_model_identity": "__dify__file__",
        "name": "a.png",
        "size": 2,
        "mime_type": "image/png",
        "transfer_method": "tool_file",
        "extension": ".png",
        "id": digest,
        "hash": digest,
    }
    assert await files.read(file, max_bytes=LIMIT) == content


async def test_the_same_content_is_kept_once(http: PooledHttpClient, tmp_path: Path) -> None:
    files = GroupFiles(http, tmp_path)
    for name in ("a", "b"):
        await files.save(b"same", name=name, mime_type="x/y")
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


@pytest.mark.parametrize("digest", ["../../secret", "A" * 64, "0" * 63, "0" * 64])
async def test_a_kept_file_is_found_by_its_hash_only(
    http: PooledHttpClient, tmp_path: Path, digest: str
) -> None:
    failed = await failure(GroupFiles(http, tmp_path), local(digest, "tool_file"))
    assert failed.code == "input_validation_error"


async def test_without_a_directory_nothing_is_kept(http: PooledHttpClient) -> None:
    with pytest.raises(NodeError) as caught:
        await GroupFiles(http).save(b"12", name="a", mime_type="image/png")
    assert caught.value.failure.code == "config_error"
    assert "image/png, 2 bytes" in caught.value.failure.text


async def test_a_group_lends_its_directory(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"1")
    group = RuntimeGroup.builder().file_directory(tmp_path).build()
    lent = group.ports(RealTimeProvider())
    assert await lent.files.read(local("a"), max_bytes=LIMIT) == b"1"
