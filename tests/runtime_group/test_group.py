"""RuntimeGroup and its builder: the seed's 2.2, and the rules of spec/runtime.md 1.1."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import FrozenInstanceError, fields
from pathlib import Path
from typing import Any

import pytest

from xworkflow.domain.quota import ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.errors import MisuseError
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.ports import SandboxLimits
from xworkflow.providers import FakeTimeProvider, RealTimeProvider
from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup
from xworkflow.runtime_group.group import default_group
from xworkflow.runtime_group.http import HttpClientProvider, HttpPoolConfig
from xworkflow.runtime_group.sandbox import DefaultSandboxPool, PythonTier2
from xworkflow.store import SqlStreamStore

TENANT = ResourceGroup(
    "tenant-1", "Tenant 1", SecurityLevel.STRICT, ResourceQuota(max_steps=7), {"llm": "key-1"}
)
ECHO = "function main({ n }) { return { n } }"


def named(name: str) -> Any:
    """An object of its own, for parts that the group only hands on."""
    return type(name, (), {})()


SIMPLE_PARTS: dict[str, Any] = {
    "group_id": "g-1",
    "group_name": "G 1",
    "node_executor_registry": NodeExecutorRegistry(),
    "llm_provider_registry": LlmProviderRegistry(),
    "sandbox_pool": DefaultSandboxPool(),
    "memory_provider": named("Memory"),
    "quota": ResourceQuota(max_steps=100),
    "security_level": SecurityLevel.PERMISSIVE,
    "security_policy": SecurityPolicy.strict(),
    "credential_provider": named("Credentials"),
    "resource_governor": named("Governor"),
    "audit_logger": named("Audit"),
    "node_placement": "activity",
}


def test_the_default_group_has_the_defaults_of_the_seed() -> None:
    group = RuntimeGroup.default()
    nothing = (
        "group_id", "group_name", "security_policy", "credential_provider", "resource_governor",
        "audit_logger", "memory_provider", "resource_group", "stream_store",
    )  # fmt: skip
    assert {name: getattr(group, name) for name in nothing} == dict.fromkeys(nothing)
    assert group.quota == ResourceQuota()
    assert group.security_level is SecurityLevel.STANDARD
    assert group.template_functions == {}
    assert group.llm_provider_registry.list() == ()
    assert "code" in group.node_executor_registry.list_registered_types()
    assert isinstance(group.sandbox_pool, DefaultSandboxPool)
    assert isinstance(group.http_client_provider, HttpClientProvider)


def test_a_quota_has_the_defaults_of_the_reference() -> None:
    assert ResourceQuota().model_dump() == {
        "max_concurrent_workflows": 10,
        "max_variable_pool_entries": 10_000,
        "max_variable_pool_bytes": 52_428_800,
        "max_steps": 500,
        "max_execution_time_secs": 600,
        "http_rate_limit_per_minute": 100,
        "llm_rate_limit_per_minute": 60,
        "llm_daily_token_budget": 1_000_000,
        "llm_max_tokens_per_request": 4096,
        "http_max_response_bytes": 10_485_760,
    }


def test_two_default_groups_share_no_pool_and_no_registry() -> None:
    one, other = RuntimeGroup.default(), RuntimeGroup.default()
    parts = (
        "sandbox_pool", "http_client_provider", "node_executor_registry", "llm_provider_registry",
    )  # fmt: skip
    assert not [name for name in parts if getattr(one, name) is getattr(other, name)]


def test_runs_that_were_given_no_group_share_one_per_process() -> None:
    assert default_group() is default_group()


@pytest.mark.parametrize("part", SIMPLE_PARTS)
def test_a_setter_of_the_builder_sets_its_part_and_returns_the_builder(part: str) -> None:
    builder = RuntimeGroup.builder()
    assert getattr(builder, part)(SIMPLE_PARTS[part]) is builder
    assert getattr(builder.build(), part) is SIMPLE_PARTS[part]


def test_the_second_tier_of_python_is_a_choice_of_the_group(tmp_path: Path) -> None:
    chosen = RuntimeGroup.builder().python_tier2(tmp_path).build().sandbox_pool
    assert isinstance(chosen, DefaultSandboxPool)
    assert chosen.python_tier2 == PythonTier2(packages=tmp_path)
    default = RuntimeGroup.default().sandbox_pool
    assert isinstance(default, DefaultSandboxPool)
    assert default.python_tier2 is None


def test_the_builder_starts_from_the_default_group() -> None:
    built, default = RuntimeGroup.builder().build(), RuntimeGroup.default()
    plain = ("group_id", "quota", "security_level", "security_policy", "node_placement")
    assert {n: getattr(built, n) for n in plain} == {n: getattr(default, n) for n in plain}


def test_template_functions_are_copied_so_that_a_group_never_changes() -> None:
    functions: dict[str, Callable[..., Any]] = {"shout": str.upper}
    group = RuntimeGroup.builder().template_functions(functions).build()
    functions.clear()
    assert group.template_functions["shout"]("a") == "A"
    with pytest.raises(TypeError):
        group.template_functions["more"] = str  # type: ignore[index]


def test_http_pool_config_replaces_the_provider_with_a_fresh_one() -> None:
    builder = RuntimeGroup.builder().http_pool_config(HttpPoolConfig(max_group_clients=3))
    first = builder.build().http_client_provider
    second = builder.http_pool_config(HttpPoolConfig(max_group_clients=4)).build()
    assert first.config.max_group_clients == 3
    assert second.http_client_provider.config.max_group_clients == 4
    assert second.http_client_provider is not first


def test_a_resource_group_gives_the_group_its_id_name_level_and_quota() -> None:
    group = RuntimeGroup.builder().group_id("other").resource_group(TENANT).build()
    assert (group.group_id, group.group_name) == ("tenant-1", "Tenant 1")
    assert group.security_level is SecurityLevel.STRICT
    assert group.quota is TENANT.quota
    assert group.resource_group is TENANT


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("group_id", "t-2"),
        ("group_name", "T 2"),
        ("quota", ResourceQuota(max_steps=9)),
        ("security_level", SecurityLevel.PERMISSIVE),
    ],
)
def test_what_is_set_after_the_resource_group_is_written_into_it_too(part: str, value: Any) -> None:
    builder = RuntimeGroup.builder().resource_group(TENANT)
    group = getattr(builder, part)(value).build()
    assert getattr(group, part) == getattr(group.resource_group, part) == value
    assert getattr(TENANT, part) != value  # the tenant that was given is never changed


def test_a_level_is_a_label_and_makes_no_policy() -> None:
    group = RuntimeGroup.builder().security_level(SecurityLevel.STRICT).build()
    assert group.security_policy is None


def test_a_group_is_a_record_that_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        RuntimeGroup.default().group_id = "x"  # type: ignore[misc]


def test_a_replaced_group_shares_every_part_that_was_not_replaced() -> None:
    group = RuntimeGroup.default()
    quota = ResourceQuota(max_steps=1)
    other = group.replaced(quota=quota)
    others = [f.name for f in fields(RuntimeGroup) if f.name != "quota"]
    assert [name for name in others if getattr(other, name) is not getattr(group, name)] == []
    assert other.quota is quota
    assert group.quota is not quota


def test_groups_of_the_same_parts_are_known_as_such() -> None:
    group = RuntimeGroup.builder().group_id("g").build()
    assert group.has_the_parts_of(group.replaced())
    assert not group.has_the_parts_of(group.replaced(audit_logger=named("Audit")))
    assert not group.has_the_parts_of(RuntimeGroup.builder().group_id("g").build())


def test_equal_parts_are_not_the_same_parts() -> None:
    """Two counters that stand at 0 are two counters."""
    one = RuntimeGroup.default().replaced(resource_group=ResourceGroup("t"))
    assert not one.has_the_parts_of(one.replaced(resource_group=ResourceGroup("t")))


@pytest.mark.parametrize(
    ("group", "limited"),
    [
        (RuntimeGroup.default(), False),
        (RuntimeGroup(group_id="g"), True),
        (RuntimeGroup(quota=ResourceQuota(max_steps=3)), True),
    ],
)
def test_a_named_group_and_one_with_a_quota_of_its_own_limit_their_runs(
    group: RuntimeGroup, limited: bool
) -> None:
    assert group.has_own_limits is limited
    ports = group.ports(RealTimeProvider())
    expected = group.quota.http_max_response_bytes if limited else None
    assert ports.max_response_bytes == expected


def test_a_node_is_lent_the_parts_of_its_group() -> None:
    group = RuntimeGroup.builder().credential_provider(named("Credentials")).build()
    ports = group.ports(RealTimeProvider())
    assert ports.sandbox is group.sandbox_pool
    assert ports.http is group.http_client
    assert ports.credential_provider is group.credential_provider


async def process_id(group: RuntimeGroup) -> int:
    async with group.sandbox_pool.js_vm() as vm:
        await vm.execute(ECHO, {"n": 1}, SandboxLimits())
        return vm.process_id


async def test_a_group_that_rested_works_on_with_new_processes() -> None:
    group = RuntimeGroup.default()
    try:
        before = await process_id(group)
        assert await process_id(group) == before
        await group.rest()
        assert await process_id(group) != before
    finally:
        await group.aclose()


async def test_a_vm_that_is_lent_while_its_group_rests_is_dead_and_takes_nobodys_place() -> None:
    pool = DefaultSandboxPool(max_js_vms=1)
    group = RuntimeGroup.builder().sandbox_pool(pool).build()
    try:
        lent = await pool.acquire_js_vm()
        await group.rest()
        await pool.release_js_vm(lent)
        async with asyncio.timeout(20), pool.js_vm() as first:
            waiting = asyncio.create_task(pool.acquire_js_vm())
            await asyncio.sleep(0)
            assert not waiting.done()  # still one place, not two
        assert (await waiting).process_id == first.process_id
    finally:
        await group.aclose()


def test_a_group_can_rest_after_its_event_loop_has_ended() -> None:
    group = RuntimeGroup.default()
    before = asyncio.run(process_id(group))
    asyncio.run(group.rest())
    assert asyncio.run(process_id(group)) != before
    asyncio.run(group.aclose())


async def test_a_closed_group_is_closed_for_good() -> None:
    group = RuntimeGroup.default()
    await process_id(group)
    await group.aclose()
    await group.aclose()
    with pytest.raises(MisuseError, match="closed"):
        await process_id(group)


async def test_a_store_of_streams_is_closed_with_its_group(tmp_path: Path) -> None:
    store = ClosedStore(f"sqlite:///{tmp_path / 'streams.db'}")
    group = RuntimeGroup.builder().stream_store(store).build()
    assert group.stream_store is store
    await group.aclose()
    assert store.is_closed


class ClosedStore(SqlStreamStore):
    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True
        await super().aclose()


def test_a_node_is_lent_a_sink_where_somebody_reads_along() -> None:
    class Sink:
        def put(self, variable: str, text: str) -> None:
            raise NotImplementedError

    sink, group = Sink(), RuntimeGroup.default()
    lent = group.ports(FakeTimeProvider(0), stream=True, deltas=sink)
    assert (lent.stream, lent.deltas) == (True, sink)
    silent = group.ports(FakeTimeProvider(0))
    assert (silent.stream, silent.deltas) == (False, None)
