"""WorkflowContext: the seed's 2.2 and spec/runtime.md 1.2. One run's own, and what it refers to."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest

import xworkflow
from xworkflow.context import WorkflowContext, kept_live, live_context
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.quota import ResourceQuota, SecurityLevel, SecurityPolicy
from xworkflow.errors import MisuseError
from xworkflow.nodes.executors import NodeExecutorRegistry
from xworkflow.providers import (
    FakeIdGenerator,
    FakeTimeProvider,
    RealIdGenerator,
    RealTimeProvider,
)
from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup
from xworkflow.runtime_group.group import default_group


class Named:
    """An object of its own, for parts that nobody calls here."""


class Clock(RealTimeProvider):
    """A provider that is no fake; not even a subclass may be taken for the real one."""

    def now_timestamp(self) -> int:
        return 77


class OwnClock:
    def now_timestamp(self) -> int:
        return 77

    def now_millis(self) -> int:
        return 77_000

    def elapsed_secs(self, since: int) -> int:
        return max(0, 77 - since)


class OwnIds:
    def next_id(self) -> str:
        return "own"


def full_group() -> RuntimeGroup:
    """A group in which every optional part is set."""
    parts: dict[str, Any] = {
        "memory_provider": Named(),
        "credential_provider": Named(),
        "resource_governor": Named(),
        "audit_logger": Named(),
    }
    return RuntimeGroup(
        resource_group=ResourceGroup("t"), security_policy=SecurityPolicy.strict(), **parts
    )


# ---- what is the run's own


def test_a_new_context_has_an_id_and_a_start_time_of_its_own() -> None:
    before = RealTimeProvider().now_timestamp()
    context = WorkflowContext.new(RuntimeGroup.default())
    assert len(context.execution_id) == 36
    assert before <= context.start_time <= RealTimeProvider().now_timestamp()
    assert isinstance(context.time_provider, RealTimeProvider)
    assert isinstance(context.id_generator, RealIdGenerator)


def test_a_new_context_has_nothing_else() -> None:
    context = WorkflowContext.new(RuntimeGroup.default())
    assert (context.workflow_id, context.event_tx, context.sub_graph_runner) == (None, None, None)
    assert context.strict_template is False


def test_no_two_contexts_of_a_group_have_one_id() -> None:
    group = RuntimeGroup.default()
    ids = {WorkflowContext.new(group).execution_id for _ in range(100)}
    assert len(ids) == 100


def test_default_contexts_share_the_group_of_the_process() -> None:
    one, other = WorkflowContext.default(), WorkflowContext.default()
    assert one.runtime_group is other.runtime_group is default_group()
    assert one.execution_id != other.execution_id


def test_fakes_that_are_put_in_later_do_not_change_the_execution_id() -> None:
    context = WorkflowContext.new(RuntimeGroup.default())
    faked = context.with_id_generator(FakeIdGenerator("f")).with_time_provider(FakeTimeProvider(5))
    assert faked.execution_id == context.execution_id
    assert faked.id_generator.next_id() == "f-0"
    assert faked.time_provider.now_timestamp() == 5


def test_a_fluent_setter_gives_another_context_and_leaves_the_first_one_alone() -> None:
    context = WorkflowContext.new(RuntimeGroup.default())
    runner = cast("Any", Named())
    queue: asyncio.Queue[GraphEngineEvent] = asyncio.Queue()
    changed = context.with_sub_graph_runner(runner).with_event_tx(queue)
    assert (changed.sub_graph_runner, changed.event_tx) == (runner, queue)
    assert (context.sub_graph_runner, context.event_tx) == (None, None)


def test_a_fresh_context_has_new_ids_no_queue_and_the_same_group_and_providers() -> None:
    queue: asyncio.Queue[GraphEngineEvent] = asyncio.Queue()
    context = (
        WorkflowContext.new(RuntimeGroup.default())
        .with_time_provider(FakeTimeProvider(9))
        .with_id_generator(FakeIdGenerator("f"))
        .with_event_tx(queue)
    )
    fresh = context.fresh()
    assert fresh.execution_id != context.execution_id
    assert (fresh.start_time, fresh.event_tx) == (9, None)
    assert fresh.runtime_group is context.runtime_group
    assert fresh.id_generator is context.id_generator


# ---- what it refers to


ACCESSORS: dict[str, Callable[[RuntimeGroup], Any]] = {
    "quota": lambda group: group.quota,
    "credential_provider": lambda group: group.credential_provider,
    "node_executor_registry": lambda group: group.node_executor_registry,
    "llm_provider_registry": lambda group: group.llm_provider_registry,
    "sandbox_pool": lambda group: group.sandbox_pool,
    "http_client": lambda group: group.http_client,
    "memory_provider": lambda group: group.memory_provider,
    "template_functions": lambda group: group.template_functions,
    "resource_group": lambda group: group.resource_group,
    "security_policy": lambda group: group.security_policy,
    "resource_governor": lambda group: group.resource_governor,
    "audit_logger": lambda group: group.audit_logger,
}


@pytest.mark.parametrize("accessor", ACCESSORS)
def test_an_accessor_reads_through_to_the_very_object_of_the_group(accessor: str) -> None:
    group = full_group()
    one, other = WorkflowContext.new(group), WorkflowContext.new(group)
    found = getattr(one, accessor)()
    assert found is not None
    assert found is ACCESSORS[accessor](group)
    assert found is getattr(other, accessor)()


def test_what_a_node_is_lent_by_hand_comes_from_the_group_and_the_run() -> None:
    context = WorkflowContext.new(RuntimeGroup.default())
    context.strict_template = True
    context.idempotency_key = "k"
    ports = context.ports()
    assert ports.sandbox is context.sandbox_pool()
    assert ports.time is context.time_provider
    assert (ports.strict_template, ports.idempotency_key) == (True, "k")


# ---- copy-on-write


SETTERS = {
    "set_security_policy": ("security_policy", SecurityPolicy.strict()),
    "set_resource_governor": ("resource_governor", Named()),
    "set_credential_provider": ("credential_provider", Named()),
    "set_audit_logger": ("audit_logger", Named()),
    "set_memory_provider": ("memory_provider", Named()),
}


@pytest.mark.parametrize("setter", SETTERS)
def test_a_change_of_the_group_is_seen_by_the_context_that_made_it_alone(setter: str) -> None:
    part, value = SETTERS[setter]
    group = RuntimeGroup.default()
    changing, other = WorkflowContext.new(group), WorkflowContext.new(group)
    getattr(changing, setter)(value)
    assert getattr(changing, part)() is value
    assert getattr(other, part)() is None
    assert getattr(group, part) is None
    assert other.runtime_group is group


FLUENT = {
    "with_node_executor_registry": ("node_executor_registry", NodeExecutorRegistry()),
    "with_llm_provider_registry": ("llm_provider_registry", LlmProviderRegistry()),
    "with_template_functions": ("template_functions", {"f": str}),
}


@pytest.mark.parametrize("setter", FLUENT)
def test_a_fluent_change_of_the_group_leaves_the_group_and_the_first_context_alone(
    setter: str,
) -> None:
    part, value = FLUENT[setter]
    context = WorkflowContext.new(RuntimeGroup.default())
    changed = getattr(context, setter)(value)
    assert getattr(changed, part)() is value
    assert getattr(context, part)() is not value
    assert changed.execution_id == context.execution_id


def test_after_a_change_all_other_parts_are_shared_still() -> None:
    group = RuntimeGroup.default()
    context = WorkflowContext.new(group)
    context.update_runtime_group(lambda old: old.replaced(quota=ResourceQuota(max_steps=1)))
    assert context.runtime_group is not group
    assert context.quota().max_steps == 1
    assert context.sandbox_pool() is group.sandbox_pool
    assert context.http_client() is group.http_client
    assert context.node_executor_registry() is group.node_executor_registry


def test_setting_a_resource_group_takes_its_id_name_level_and_quota() -> None:
    group = RuntimeGroup.default()
    context = WorkflowContext.new(group)
    tenant = ResourceGroup("t", "T", SecurityLevel.STRICT, ResourceQuota(max_steps=3))
    context.set_resource_group(tenant)
    changed = context.runtime_group
    assert (changed.group_id, changed.group_name, changed.security_level) == (
        "t", "T", SecurityLevel.STRICT,
    )  # fmt: skip
    assert context.quota() is tenant.quota
    assert context.resource_group() is tenant
    assert group.resource_group is None


# ---- live objects


PROVIDERS: dict[str, tuple[dict[str, Any], bool]] = {
    "real ones": ({}, False),
    "a fake time": ({"time_provider": FakeTimeProvider(1)}, False),
    "fake ids": ({"id_generator": FakeIdGenerator("f")}, False),
    "a clock of one's own": ({"time_provider": OwnClock()}, True),
    "ids of one's own": ({"id_generator": OwnIds()}, True),
    "a changed real clock": ({"time_provider": Clock()}, True),
    "a sub-graph runner": ({"sub_graph_runner": Named()}, True),
}


@pytest.mark.parametrize("name", PROVIDERS)
def test_fakes_travel_as_data_and_all_other_providers_are_live(name: str) -> None:
    parts, live = PROVIDERS[name]
    assert replace(WorkflowContext.new(RuntimeGroup.default()), **parts).has_live_parts is live


def test_a_context_is_found_by_its_run_for_as_long_as_it_is_kept() -> None:
    context = WorkflowContext.new(RuntimeGroup.default())
    with kept_live(context):
        assert live_context(context.execution_id) is context
    assert live_context(context.execution_id) is None


def test_live_providers_replace_the_real_ones_and_never_the_fakes() -> None:
    own = WorkflowContext.new(RuntimeGroup.default()).with_time_provider(OwnClock())
    own = own.with_id_generator(FakeIdGenerator("theirs"))
    inside = WorkflowContext.new(RuntimeGroup.default())
    inside = inside.with_id_generator(FakeIdGenerator("mine"))
    lent = inside.with_live_parts_of(own)
    assert lent.time_provider.now_timestamp() == 77
    assert lent.id_generator.next_id() == "mine-0"


# ---- inside of a workflow


def in_workflow() -> WorkflowContext:
    return WorkflowContext.in_workflow("id", 5, FakeTimeProvider(5), FakeIdGenerator("f"))


@pytest.mark.parametrize("accessor", [*ACCESSORS, "ports"])
def test_inside_of_a_workflow_a_live_object_is_refused_with_the_place_where_it_is(
    accessor: str,
) -> None:
    with pytest.raises(MisuseError, match=r"RuntimeGroup .* execute"):
        getattr(in_workflow(), accessor)()


def test_inside_of_a_workflow_time_and_ids_are_there() -> None:
    context = in_workflow()
    assert (context.execution_id, context.start_time) == ("id", 5)
    assert context.time_provider.now_millis() == 5_000
    assert context.id_generator.next_id() == "f-0"


# ---- the old name


def test_the_old_name_is_the_same_class_and_warns() -> None:
    with pytest.warns(DeprecationWarning, match="Use WorkflowContext instead"):
        old = xworkflow.RuntimeContext
    assert old is WorkflowContext
    assert isinstance(old.new(RuntimeGroup.default()), WorkflowContext)


def test_whoever_imports_the_old_name_is_the_one_who_is_warned() -> None:
    """A script sees the warning without any option, as it is about the script's own line."""
    script = "from xworkflow import RuntimeContext\nprint(RuntimeContext.__name__)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "WorkflowContext"
    assert "<string>:1: DeprecationWarning" in done.stderr
