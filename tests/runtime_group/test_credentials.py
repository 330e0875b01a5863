"""Providers of credentials: environment, file, a Vault-compatible server, cache and chain."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.runtime_group.conftest import Reply, Seen, Server
from xworkflow.errors import CredentialError, CredentialNotFoundError, InfrastructureError
from xworkflow.runtime_group.credentials import (
    CachedCredentials,
    ChainedCredentials,
    EnvironmentCredentials,
    FileCredentials,
)
from xworkflow.runtime_group.credentials_vault import VaultConfig, VaultCredentials
from xworkflow.runtime_group.secret_stores import FileSecretStore, MemorySecretStore

SCOPE = "ab" * 32
TOML = """
[tenant-1.openai]
api_key = "sk-one"

["*".openai]
api_key = "sk-all"
"""


def private(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


# --- environment


async def test_the_environment_has_them_for_one_group_and_for_all() -> None:
    provider = EnvironmentCredentials(
        {
            "XWORKFLOW_CREDENTIALS__OPENAI__API_KEY": "sk-all",
            "XWORKFLOW_CREDENTIALS__OPENAI__ORG_ID": "org",
            "XWORKFLOW_CREDENTIALS__TENANT_1__OPENAI__API_KEY": "sk-one",
            "XWORKFLOW_CREDENTIALS__TENANT_1__OTHER__API_KEY": "x",
            "OPENAI_API_KEY": "y",
        }
    )
    one = await provider.get_credentials("tenant-1", "openai")
    assert one == {"api_key": "sk-one", "org_id": "org"}
    assert (await provider.get_credentials("t2", "openai"))["api_key"] == "sk-all"
    with pytest.raises(CredentialNotFoundError) as caught:
        await provider.get_credentials("t2", "other")
    assert str(caught.value) == "Credential not found: group=t2, provider=other"


@pytest.mark.parametrize("group", ["tenant_1", "TENANT-1", "tenant--1", "tenant.1", "", "a__b"])
async def test_no_two_groups_mean_one_variable(group: str) -> None:
    provider = EnvironmentCredentials({"XWORKFLOW_CREDENTIALS__TENANT_1__OPENAI__API_KEY": "sk"})
    with pytest.raises(CredentialError):
        await provider.get_credentials(group, "openai")


async def test_a_group_does_not_read_anothers_by_the_name_of_a_provider() -> None:
    provider = EnvironmentCredentials({"XWORKFLOW_CREDENTIALS__TENANT_1__OPENAI__API_KEY": "sk"})
    with pytest.raises(CredentialError):
        await provider.get_credentials("t2", "tenant-1")


# --- file


async def test_a_file_has_them_by_group_and_provider(tmp_path: Path) -> None:
    provider = FileCredentials(private(tmp_path / "c.toml", TOML))
    assert await provider.get_credentials("tenant-1", "openai") == {"api_key": "sk-one"}
    assert await provider.get_credentials("t2", "openai") == {"api_key": "sk-all"}
    with pytest.raises(CredentialNotFoundError):
        await provider.get_credentials("tenant-1", "other")


async def test_a_file_may_be_json_and_is_read_again_when_it_changes(tmp_path: Path) -> None:
    path = private(tmp_path / "c.json", json.dumps({"g": {"p": {"k": "1"}}}))
    provider = FileCredentials(path)
    assert await provider.get_credentials("g", "p") == {"k": "1"}
    changed = private(tmp_path / "new.json", json.dumps({"g": {"p": {"k": "2"}}}))
    changed.replace(path)
    assert await provider.get_credentials("g", "p") == {"k": "2"}


async def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = private(tmp_path / "c.toml", TOML)
    path.chmod(0o640)
    with pytest.raises(CredentialError, match=r"can be read by others \(mode 0640\): chmod 600"):
        await FileCredentials(path).get_credentials("tenant-1", "openai")


@pytest.mark.parametrize("text", ["sk-secret = = 1", '{"a": '])
async def test_a_broken_file_is_not_quoted(tmp_path: Path, text: str) -> None:
    with pytest.raises(CredentialError) as caught:
        await FileCredentials(private(tmp_path / "c.toml", text)).get_credentials("g", "p")
    assert "sk-secret" not in str(caught.value)
    assert "is no TOML or JSON" in str(caught.value)


async def test_a_file_that_is_not_there_is_a_provider_error(tmp_path: Path) -> None:
    with pytest.raises(CredentialError, match="Credential provider error: "):
        await FileCredentials(tmp_path / "none.toml").get_credentials("g", "p")


# --- a Vault-compatible server


def vault(server: Server, **more: Any) -> VaultCredentials:
    return VaultCredentials(VaultConfig(address=server.url, token="t0ken", **more))


async def test_a_vault_is_asked_by_group_and_provider(server: Server) -> None:
    body = json.dumps({"data": {"data": {"api_key": "sk"}, "metadata": {"version": 3}}}).encode()
    server.answer = lambda _: Reply(body=body)
    found = await vault(server, namespace="team").get_credentials("tenant 1/../x", "openai")
    assert found == {"api_key": "sk"}
    (seen,) = server.seen
    assert seen.path == "/v1/secret/data/xworkflow/tenant%201%2F..%2Fx/openai"
    assert seen.headers["x-vault-token"] == "t0ken"
    assert seen.headers["x-vault-namespace"] == "team"


@pytest.mark.parametrize(
    ("status", "body", "problem"),
    [
        (404, b"{}", "Credential not found: group=g, provider=p"),
        (403, b"{}", "Credential access denied: group=g, provider=p"),
        (500, b"sk-secret", "Credential provider error: the server answers 500"),
        (200, b'{"data": "sk-secret"}', "none of a KV store"),
        (200, b"sk-secret", "none of a KV store"),
    ],
)
async def test_what_a_vault_answers_otherwise_is_an_error_without_its_body(
    server: Server, status: int, body: bytes, problem: str
) -> None:
    server.answer = lambda _: Reply(status, body)
    with pytest.raises(CredentialError) as caught:
        await vault(server).get_credentials("g", "p")
    assert problem in str(caught.value)
    assert "sk-secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["", ".", ".."])
async def test_no_name_leads_out_of_a_vaults_folder(server: Server, name: str) -> None:
    with pytest.raises(CredentialError, match="is no name"):
        await vault(server).get_credentials(name, "p")
    assert server.seen == []


async def test_the_token_does_not_follow_a_redirect_to_another_server(
    server: Server, other_server: Server
) -> None:
    def away(_: Seen) -> Reply:
        return Reply(307, headers={"Location": f"{other_server.url}/"})

    server.answer = away
    with pytest.raises(CredentialError):
        await vault(server).get_credentials("g", "p")
    assert "x-vault-token" not in other_server.seen[0].headers


async def test_a_token_file_is_read_each_time_and_must_be_private(
    server: Server, tmp_path: Path
) -> None:
    path = private(tmp_path / "token", "first\n")
    provider = VaultCredentials(VaultConfig(server.url, token_file=path))
    server.answer = lambda _: Reply(404)
    for token in ("first", "second"):
        path.write_text(token)
        with pytest.raises(CredentialNotFoundError):
            await provider.get_credentials("g", "p")
    assert [seen.headers["x-vault-token"] for seen in server.seen] == ["first", "second"]
    path.chmod(0o644)
    with pytest.raises(InfrastructureError, match="can be read by others"):
        await provider.get_credentials("g", "p")


def test_a_token_is_not_shown() -> None:
    assert "t0ken" not in repr(VaultConfig("http://x", token="t0ken"))


# --- cache and chain


class Counting:
    def __init__(self, values: Mapping[str, str] | None) -> None:
        self.values = values
        self.asked = 0

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        self.asked += 1
        if self.values is None:
            raise CredentialError.not_found(group_id, provider_name)
        return self.values


async def test_a_cache_asks_once_until_its_time_is_over() -> None:
    times = iter((0.0, 9.9, 10.0, 10.0, 10.0))
    inner = Counting({"k": "v"})
    cache = CachedCredentials(inner, 10, clock=lambda: next(times))
    for _ in range(3):
        assert await cache.get_credentials("g", "p") == {"k": "v"}
    assert inner.asked == 2
    cache.forget()
    await cache.get_credentials("g", "p")
    await cache.get_credentials("h", "p")
    assert inner.asked == 4


async def test_a_cache_asks_again_for_what_was_not_found() -> None:
    inner = Counting(None)
    cache = CachedCredentials(inner)
    for _ in range(2):
        with pytest.raises(CredentialNotFoundError):
            await cache.get_credentials("g", "p")
    assert inner.asked == 2


async def test_a_chain_asks_the_next_only_where_one_has_nothing() -> None:
    empty, full, last = Counting(None), Counting({"k": "v"}), Counting({"k": "w"})
    assert await ChainedCredentials(empty, full, last).get_credentials("g", "p") == {"k": "v"}
    assert (empty.asked, full.asked, last.asked) == (1, 1, 0)
    with pytest.raises(CredentialNotFoundError):
        await ChainedCredentials(empty).get_credentials("g", "p")


# --- secrets that came with files


def test_a_memory_store_keeps_workflows_apart() -> None:
    store = MemorySecretStore()
    store.keep(SCOPE, {"A": "1"})
    store.keep(SCOPE, {"B": "2"})
    assert (store.find(SCOPE, "A"), store.find(SCOPE, "B")) == ("1", "2")
    assert store.find("cd" * 32, "A") is None


def test_a_file_store_is_its_owners_alone(tmp_path: Path) -> None:
    store = FileSecretStore(tmp_path / "secrets")
    store.keep(SCOPE, {"A": "1"})
    store.keep(SCOPE, {"A": "2", "B": "3"})
    assert FileSecretStore(tmp_path / "secrets").find(SCOPE, "A") == "2"
    (written,) = (tmp_path / "secrets").iterdir()
    assert written.stat().st_mode & 0o777 == 0o600
    assert written.parent.stat().st_mode & 0o777 == 0o700
    assert store.find("../../etc/passwd", "A") is None
    assert store.find("cd" * 32, "A") is None
    written.chmod(0o644)
    with pytest.raises(InfrastructureError, match="can be read by others"):
        store.find(SCOPE, "A")
