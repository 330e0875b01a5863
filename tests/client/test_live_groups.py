"""A live group is served by a worker of the process that it lives in, and by no other."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Mapping
from typing import Any

import pytest
from temporalio.client import Client

import xworkflow
from tests.client.live import PROBED, Probe, at_once, ended, group_with, runner, seen
from tests.workflows.drawing import chain, end, node, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, ExecutionStatus, Failed
from xworkflow.context import WorkflowContext
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import task_queue
from xworkflow.embedded import session
from xworkflow.errors import MisuseError, ValidationFailed
from xworkflow.providers import FakeTimeProvider
from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup
from xworkflow.runtime_group.group import default_group
from xworkflow.worker import build_worker

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("live")]


class Shout:
    """Reads what its configuration names."""

    def __init__(self, asks_for: tuple[str, ...] = ("start", "n")) -> None:
        self.asks_for = asks_for

    async def execute(
        self, node_id: str, config: Mapping[str, Any], variable_pool: VariablePool, context: Any
    ) -> NodeRunResult:
        del node_id, config, context
        return NodeRunResult(outputs={"text": f"{variable_pool.get(self.asks_for)}!"})


def shouting(**config: Any) -> WorkflowSchema:
    return chain("shout", start("n", "m"), node("s", "shout", **config), end(text="s.text"))


def shouters(executor: Any, **parts: Any) -> RuntimeGroup:
    group = RuntimeGroup(**parts)
    group.node_executor_registry.register("shout", executor)
    return group


async def outcome(group: RuntimeGroup, schema: WorkflowSchema, **inputs: Any) -> ExecutionStatus:
    given = {"n": "hi", "m": "other"} | inputs
    builder = WorkflowRunner.builder(schema).runtime_group(group).user_inputs(given)
    return (await at_once(builder))[0]


async def queue_of(client: Client, handle: WorkflowHandle) -> str:
    return (await client.get_workflow_handle(handle.execution_id).describe()).task_queue


# ---- custom executors


async def test_a_type_that_the_group_has_an_executor_for_is_valid_and_runs() -> None:
    status = await outcome(shouters(Shout()), shouting(of_selector=["start", "n"]))
    assert isinstance(status, Completed)
    assert status.outputs == {"text": "hi!"}


async def test_a_text_of_the_configuration_names_values_too() -> None:
    status = await outcome(shouters(Shout()), shouting(template="say {{#start.n#}}"))
    assert isinstance(status, Completed)


async def test_a_type_that_the_group_does_not_have_is_refused_before_the_start() -> None:
    builder = WorkflowRunner.builder(shouting()).user_inputs({"n": "hi"})
    for group in (RuntimeGroup.default(), group_with(Probe())):
        with pytest.raises(ValidationFailed) as refused:
            await builder.runtime_group(group).run()
        assert [found.code for found in refused.value.report.errors] == ["E009"]


async def test_a_value_that_did_not_cross_is_a_failure_that_names_it_and_the_remedy() -> None:
    group = shouters(Shout(asks_for=("start", "m")))
    status = await outcome(group, shouting(of_selector=["start", "n"]))
    assert isinstance(status, Failed)
    assert "selector ['start', 'm'] did not cross to this activity" in status.message
    assert "reads_all = True" in status.message


async def test_an_executor_that_reads_all_gets_every_value() -> None:
    executor = Shout(asks_for=("start", "m"))
    executor.reads_all = True  # type: ignore[attr-defined]
    status = await outcome(shouters(executor), shouting())
    assert isinstance(status, Completed)
    assert status.outputs == {"text": "other!"}


async def test_a_lazy_executor_is_made_once_for_all_runs() -> None:
    made: list[Shout] = []

    def make() -> Shout:
        made.append(Shout())
        return made[-1]

    group = RuntimeGroup.default()
    group.node_executor_registry.register_lazy("shout", make)
    schema = shouting(of_selector=["start", "n"])
    await asyncio.gather(outcome(group, schema), outcome(group, schema))
    assert len(made) == 1


async def test_a_fault_of_an_executor_fails_its_node_alone() -> None:
    class Broken:
        async def execute(self, *_arguments: Any) -> NodeRunResult:
            raise ZeroDivisionError("oops")

    status = await outcome(shouters(Broken()), shouting())
    assert isinstance(status, Failed)
    assert "oops" in status.message
    assert status.node_id == "s"


async def test_executors_run_in_the_event_loop_that_started_the_run() -> None:
    """So that they can use what belongs to it: its connections, its queues, its locks."""
    loops: list[object] = []

    async def look(_context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        loops.append(asyncio.get_running_loop())
        return threading.current_thread().name

    (status,) = await at_once(runner(group_with(Probe(look))))
    assert loops == [asyncio.get_running_loop()]
    assert seen(status) == threading.current_thread().name


async def test_an_executor_has_the_key_that_marks_repetitions_of_its_call() -> None:
    async def look(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        return [context.idempotency_key, context.ports().idempotency_key]

    context = WorkflowContext.new(group_with(Probe(look)))
    keys = seen((await at_once(runner(context)))[0])
    assert keys[0] == keys[1]
    assert keys[0].startswith(context.execution_id)


# ---- whose worker


async def named(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
    return context.runtime_group.group_name


@pytest.mark.parametrize("group_id", [None, "same"], ids=["unnamed", "of one name"])
async def test_two_live_groups_never_serve_each_others_runs(group_id: str | None) -> None:
    groups = [group_with(Probe(named), group_id=group_id, group_name=n) for n in ("a", "b")]
    statuses = await at_once(*(runner(groups[n % 2]) for n in range(8)))
    assert [seen(status) for status in statuses] == ["a", "b"] * 4


async def test_a_named_group_is_served_again_and_again_on_its_queue(
    temporal_client: Client,
) -> None:
    group = group_with(Probe(), group_id="tenant-9")
    first, second = [await runner(group).run() for _ in range(2)]
    await ended(first, second)
    assert (
        await queue_of(temporal_client, first)
        == await queue_of(temporal_client, second)
        == task_queue("tenant-9")
    )


async def test_another_group_of_a_name_gets_a_queue_of_its_own(temporal_client: Client) -> None:
    one, other = (group_with(Probe(), group_id="tenant-8") for _ in range(2))
    handles = [await runner(group).run() for group in (one, other)]
    await ended(*handles)
    assert await queue_of(temporal_client, handles[0]) == task_queue("tenant-8")
    assert (await queue_of(temporal_client, handles[1])).startswith(f"{task_queue('tenant-8')}-")


@pytest.mark.parametrize("is_default", [False, True], ids=["a group", "the default group"])
async def test_executors_keep_an_unnamed_group_off_the_queue_of_all_default_workers(
    temporal_client: Client, monkeypatch: pytest.MonkeyPatch, *, is_default: bool
) -> None:
    """Workers of other processes poll that one too, and know none of its executors."""
    group = group_with(Probe())
    if is_default:
        monkeypatch.setattr(session, "default_group", lambda: group)
    handle = await runner(group).run()
    await ended(handle)
    assert (await queue_of(temporal_client, handle)).startswith(f"{task_queue(None)}-")


async def test_an_unnamed_group_of_ones_own_is_served_in_this_process_alone(
    temporal_client: Client,
) -> None:
    group = RuntimeGroup(credential_provider=Answers("mine"))
    handle = await WorkflowRunner.builder(chain("p", start(), end())).runtime_group(group).run()
    await ended(handle)
    assert (await queue_of(temporal_client, handle)).startswith(f"{task_queue(None)}-")


async def test_the_default_group_uses_the_queue_of_all_default_workers(
    temporal_client: Client,
) -> None:
    plain = chain("plain", start(), end())
    for builder in (
        WorkflowRunner.builder(plain),
        WorkflowRunner.builder(plain).runtime_group(default_group()),
    ):
        handle = await builder.run()
        await ended(handle)
        assert await queue_of(temporal_client, handle) == task_queue(None)


async def test_groups_of_the_same_parts_share_a_worker(temporal_client: Client) -> None:
    group = group_with(Probe())
    handles = [await runner(each).run() for each in (group, group.replaced())]
    await ended(*handles)
    assert await queue_of(temporal_client, handles[0]) == await queue_of(
        temporal_client, handles[1]
    )


async def test_many_runs_that_start_at_once_open_one_session() -> None:
    group = group_with(Probe(parties=5))
    statuses = await at_once(*(runner(group) for _ in range(5)))
    assert all(isinstance(status, Completed) for status in statuses)
    names = [thread.name for thread in threading.enumerate()]
    assert names.count("xworkflow-workers") == 1
    await xworkflow.close()
    assert "xworkflow-workers" not in [thread.name for thread in threading.enumerate()]


async def test_after_close_a_group_can_be_used_again() -> None:
    async def see_process(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        async with context.sandbox_pool().js_vm() as vm:
            return vm.process_id

    group = group_with(Probe(see_process))
    first = seen((await at_once(runner(group)))[0])
    await xworkflow.close()
    await xworkflow.close()
    assert seen((await at_once(runner(group)))[0]) != first


# ---- setters of the builder: copy-on-write


class Answers:
    """Credentials that say whose they are."""

    def __init__(self, name: str) -> None:
        self.name = name

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        del group_id, provider_name
        return {"key": self.name}


async def whose(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
    provider = context.credential_provider()
    return None if provider is None else (await provider.get_credentials("g", "p"))["key"]


async def test_what_a_builder_sets_is_seen_by_its_run_alone() -> None:
    group = group_with(Probe(whose, parties=2), credential_provider=Answers("group"))
    changed = runner(group).credential_provider(Answers("run"))
    assert [seen(s) for s in await at_once(changed, runner(group))] == ["run", "group"]
    assert isinstance(group.credential_provider, Answers)
    assert group.credential_provider.name == "group"


async def test_a_changed_run_shares_everything_else_with_its_group() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    await at_once(runner(group).credential_provider(Answers("run")), runner(group))
    one, other = probe.contexts.values()
    assert one.runtime_group is not other.runtime_group
    assert one.sandbox_pool() is other.sandbox_pool()
    assert one.http_client() is other.http_client()
    assert one.node_executor_registry() is other.node_executor_registry()


async def test_a_run_as_a_tenant_is_held_to_the_tenants_quota() -> None:
    tenant = ResourceGroup("tenant-7", quota=ResourceQuota(max_steps=1))
    group = group_with(Probe())
    held, free = await at_once(runner(group).resource_group(tenant), runner(group))
    assert isinstance(held, Failed)
    assert held.error_type == "MaxStepsExceeded"
    assert isinstance(free, Completed)


async def test_setting_the_group_drops_what_was_set_before() -> None:
    group = group_with(Probe(whose))
    builder = WorkflowRunner.builder(PROBED).user_inputs({"n": 1})
    builder.credential_provider(Answers("dropped")).runtime_group(group)
    assert seen((await at_once(builder))[0]) is None


# ---- a worker of somebody else


class Runner:
    async def run_sub_graph(self, *_arguments: Any) -> dict[str, JsonValue]:
        return {}


LIVE_PARTS: dict[str, Any] = {
    "credential_provider": Answers("run"),
    "audit_logger": object(),
    "resource_governor": object(),
    "memory_provider": object(),
    "llm_providers": LlmProviderRegistry(),
    "sub_graph_runner": Runner(),
}


@pytest.mark.parametrize("part", LIVE_PARTS)
async def test_what_lives_in_this_process_does_not_start_on_a_worker_of_somebody_else(
    part: str, temporal_client: Client
) -> None:
    builder = WorkflowRunner.builder(chain("p", start(), end())).client(temporal_client)
    getattr(builder, part)(LIVE_PARTS[part])
    with pytest.raises(MisuseError, match=r"do not travel .* leave out client"):
        await builder.run()


async def test_fakes_travel_to_any_worker(temporal_client: Client, task_queue: str) -> None:
    group = group_with(Probe())
    context = WorkflowContext.new(group).with_time_provider(FakeTimeProvider(1_000))
    builder = runner(context).client(temporal_client, task_queue=task_queue)
    async with build_worker(temporal_client, group, queue=task_queue):
        handle = await builder.run()
        await ended(handle)
    assert {event.at async for event in handle.events()} == {1_000_000}


async def test_a_worker_without_the_executor_fails_the_node_and_says_so(
    temporal_client: Client, task_queue: str
) -> None:
    builder = runner(group_with(Probe())).client(temporal_client, task_queue=task_queue)
    async with build_worker(temporal_client, RuntimeGroup.default(), queue=task_queue):
        (status,) = await at_once(builder)
    assert isinstance(status, Failed)
    assert "No executor for node type: probe" in status.message
