"""A live group has what its table says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from xworkflow.configuration import Assembled, ProcessParts, assembled, parse_settings
from xworkflow.domain.quota import SecurityLevel, SecurityPolicy
from xworkflow.errors import ConfigurationError, CredentialNotFoundError, NodeError
from xworkflow.ports import CredentialProvider
from xworkflow.runtime_group.audit_loggers import JsonLinesAuditLogger, SilentAuditLogger
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.runtime_group.sandbox import DefaultSandboxPool
from xworkflow.runtime_group.secret_stores import process_secret_store


def made(
    text: str, group_id: str = "g", before: Assembled | None = None, **parts: Any
) -> Assembled:
    settings = parse_settings(text, directory=Path("/base"))
    return assembled(
        settings, group_id, ProcessParts(secret_store=process_secret_store(), **parts), before
    )


def group(text: str, group_id: str = "g", **parts: Any) -> RuntimeGroup:
    return made(text, group_id, **parts).group


def test_the_default_group_has_no_name_of_its_own() -> None:
    assert group("", "default").group_id is None
    assert group('groups.g.name = "G"').group_id == "g"


def test_a_worker_with_a_file_starts_from_the_standard_policy() -> None:
    of_worker, of_this_machine = group("", "default"), group("", "default", default_level=None)
    assert of_worker.security_policy == SecurityPolicy.standard()
    assert of_this_machine.security_policy is None
    assert group('groups.g.level = "strict"').security_level is SecurityLevel.STRICT


def test_pools_slots_and_placement_are_the_tables() -> None:
    given = group("""
        [groups.g]
        placement = "activity"
        file_directory = "files"
        pools = { max_js_vms = 3, python_tier2 = true, python_packages = "packages" }
        slots.pollers = 1
    """)
    pool = given.sandbox_pool
    assert isinstance(pool, DefaultSandboxPool)
    assert (pool.max_js_vms, pool.max_python_vms) == (3, 8)
    assert pool.python_tier2 is not None
    assert pool.python_tier2.packages == Path("/base/packages")
    assert (given.node_placement, given.worker_slots.pollers) == ("activity", 1)
    assert given.file_directory == Path("/base/files")


def test_many_groups_poll_less_each_unless_they_say_how_much() -> None:
    many = "\n".join(f"groups.g{n} = {{}}" for n in range(20))
    assert group(f"{many}", "g1").worker_slots.pollers == 5
    more = f"{many}\ngroups.g = {{}}\ngroups.h.slots.pollers = 4"
    assert group(more).worker_slots.pollers == 1
    assert group(more, "h").worker_slots.pollers == 4


# ---- models


PROVIDERS = """
[providers.openai]
api_key = { env = "TEST_KEY" }
[providers.own]
base_url = "http://10.0.0.5/v1"
[groups.g]
[groups.h]
providers = ["own"]
"""


def test_groups_have_the_providers_they_name_and_else_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    assert group(PROVIDERS).llm_provider_registry.list() == ("openai", "own")
    some = group(PROVIDERS, "h").llm_provider_registry
    assert some.list() == ("own",)
    with pytest.raises(NodeError, match="Provider not found: openai"):
        some.get("openai")


def test_a_provider_is_found_by_the_name_in_a_dify_export(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "k")
    registry = group(PROVIDERS).llm_provider_registry
    assert registry.get("langgenius/own/own").id() == "own"


def test_a_key_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_KEY", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        group(PROVIDERS)
    assert caught.value.problems == (
        "providers.openai.api_key: the environment variable TEST_KEY is not set",
    )
    assert group(PROVIDERS, "h").llm_provider_registry.list() == ("own",)


def test_without_providers_there_are_those_of_the_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    assert group("", "default").llm_provider_registry.list() == ("openai",)
    assert group("providers = {}", "default").llm_provider_registry.list() == ()


# ---- credentials and audit


def credentials(of: RuntimeGroup) -> CredentialProvider:
    assert of.credential_provider is not None
    return of.credential_provider


async def test_the_first_source_that_has_credentials_gives_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "credentials.toml"
    file.write_text('[g.openai]\napi_key = "of the file"\n[g.own]\napi_key = "own"')
    file.chmod(0o600)
    monkeypatch.setenv("XWORKFLOW_CREDENTIALS__G__OPENAI__API_KEY", "of the environment")
    provider = credentials(
        group(f"""
            [groups.g.credentials]
            sources = [{{ kind = "environment" }}, {{ kind = "file", path = "{file}" }}]
            cache_secs = 60
        """)
    )
    assert await provider.get_credentials("g", "openai") == {"api_key": "of the environment"}
    assert await provider.get_credentials("g", "own") == {"api_key": "own"}
    with pytest.raises(CredentialNotFoundError):
        await provider.get_credentials("g", "other")


async def test_credentials_that_are_not_required_may_be_missing() -> None:
    text = 'groups.g.credentials = { sources = [{ kind = "environment" }], required = false }'
    assert await credentials(group(text)).get_credentials("g", "nobody-has-it") == {}


def test_a_token_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TEST_TOKEN", raising=False)
    source = '{ kind = "vault", address = "http://v", token = { env = "TEST_TOKEN" } }'
    with pytest.raises(ConfigurationError, match=r"groups\.g\.credentials: .*TEST_TOKEN"):
        group(f"groups.g.credentials.sources = [{source}]")


def test_audit_records_go_where_the_table_says() -> None:
    to_file = group('groups.g.audit = { to = "file", path = "audit.jsonl" }')
    assert isinstance(to_file.audit, JsonLinesAuditLogger)
    assert isinstance(group('groups.g.audit.to = "nowhere"').audit, SilentAuditLogger)
    assert group("groups.g = {}", default_level=None).audit is None


# ---- changes


def test_what_has_not_changed_is_the_same_object() -> None:
    before = made('groups.g.level = "standard"')
    after = made('groups.g.level = "strict"', before=before)
    assert not after.is_of(before)
    assert after.group.sandbox_pool is before.group.sandbox_pool
    assert after.group.http_client_provider is before.group.http_client_provider


def test_changed_pools_are_new_ones() -> None:
    before = made("groups.g.pools.max_js_vms = 1")
    after = made("groups.g.pools.max_js_vms = 2", before=before)
    assert after.group.sandbox_pool is not before.group.sandbox_pool
    assert after.group.http_client_provider is before.group.http_client_provider


def test_a_key_that_was_rotated_is_a_change(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEST_KEY", "old")
    before = made(PROVIDERS)
    assert made(PROVIDERS).is_of(before)
    monkeypatch.setenv("TEST_KEY", "new")
    assert not made(PROVIDERS).is_of(before)
