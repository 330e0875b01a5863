"""The seed's tables, row by row: what two runs of one group share (5.3, 5.4; spec/runtime.md 1.3).

Shared means the same object, and an effect that can be measured from outside: one process id, one
connection at the server, one counter. Two groups share none of it. What is each run's own is in
``test_isolation.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.client.live import Probe, at_once, ended, group_with, runner, seen
from tests.runtime_group.conftest import Reply, Server
from tests.workflows.drawing import chain, code, end, http, node, start
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, Failed
from xworkflow.context import WorkflowContext
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.quota import DslLimits, ResourceQuota, SecurityPolicy
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.values import JsonValue
from xworkflow.errors import NodeError, ValidationFailed
from xworkflow.ports import SandboxLimits
from xworkflow.runtime_group import LlmProviderRegistry, ResourceGroup, RuntimeGroup
from xworkflow.runtime_group.llm_openai import OpenAiConfig, OpenAiProvider
from xworkflow.runtime_group.sandbox import DefaultSandboxPool

pytestmark = [pytest.mark.temporal, pytest.mark.usefixtures("live")]

ANSWER = {"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]}


@dataclass(eq=False)
class Shelf:
    """Memory, credentials, audit and governor in one: remembers who came by."""

    memory: dict[tuple[str, str], JsonValue] = field(default_factory=dict[tuple[str, str], Any])
    asked: list[str] = field(default_factory=list[str])
    events: list[Mapping[str, Any]] = field(default_factory=list[Mapping[str, Any]])
    started: list[str] = field(default_factory=list[str])
    refuse_after: int = 1_000

    async def get_credentials(self, group_id: str, provider_name: str) -> Mapping[str, str]:
        self.asked.append(f"{group_id}/{provider_name}")
        return {"api_key": f"key-{len(self.asked)}"}

    def log_event(self, event: Mapping[str, Any]) -> None:
        self.events.append(event)

    async def store(
        self,
        namespace: str,
        key: str,
        value: JsonValue,
        metadata: Mapping[str, JsonValue] | None = None,
    ) -> None:
        del metadata
        self.memory[namespace, key] = value

    async def recall(self, namespace: str, **_query: Any) -> list[dict[str, JsonValue]]:
        return [{"key": k, "value": v} for (n, k), v in self.memory.items() if n == namespace]

    async def delete(self, namespace: str, key: str) -> None:
        self.memory.pop((namespace, key), None)

    async def clear_namespace(self, namespace: str) -> None:
        for found in [entry for entry in self.memory if entry[0] == namespace]:
            del self.memory[found]

    async def check_workflow_start(self, group_id: str) -> None:
        if len(self.started) >= self.refuse_after:
            raise NodeError.of_kind("execution_error", f"too many runs in {group_id}")

    async def record_workflow_start(self, group_id: str, workflow_id: str) -> None:
        del group_id
        self.started.append(workflow_id)

    async def record_workflow_end(self, group_id: str, workflow_id: str) -> None:
        raise NotImplementedError


def full_group(probe: Probe, name: str = "full") -> RuntimeGroup:
    """A group with every optional part."""
    return group_with(
        probe,
        group_id=name,
        memory_provider=Shelf(),
        credential_provider=Shelf(),
        audit_logger=Shelf(),
        resource_governor=Shelf(),
        security_policy=SecurityPolicy.standard(),
        resource_group=ResourceGroup(name),
        template_functions={"shout": str.upper},
    )


PARTS: dict[str, Callable[[WorkflowContext], Any]] = {
    "runtime group": lambda context: context.runtime_group,
    "LLM registry, and so its connections": WorkflowContext.llm_provider_registry,
    "sandbox pool": WorkflowContext.sandbox_pool,
    "HTTP client": WorkflowContext.http_client,
    "node executor registry": WorkflowContext.node_executor_registry,
    "template functions": WorkflowContext.template_functions,
    "quota": WorkflowContext.quota,
    "security policy": WorkflowContext.security_policy,
    "credential provider": WorkflowContext.credential_provider,
    "resource governor": WorkflowContext.resource_governor,
    "audit logger": WorkflowContext.audit_logger,
    "memory provider": WorkflowContext.memory_provider,
    "resource group": WorkflowContext.resource_group,
}


async def test_two_runs_at_once_in_one_group_see_the_very_objects_of_the_group() -> None:
    probe = Probe(parties=2)
    group = full_group(probe)
    await at_once(runner(group), runner(group))
    one, other = probe.contexts.values()
    own = WorkflowContext.new(group)
    shared = {name: part(one) is part(other) is part(own) for name, part in PARTS.items()}
    assert shared == dict.fromkeys(PARTS, True)


async def test_two_runs_at_once_in_two_groups_share_none_of_them() -> None:
    probe = Probe(parties=2)
    await at_once(runner(full_group(probe, "one")), runner(full_group(probe, "two")))
    one, other = probe.contexts.values()
    shared = {name for name, part in PARTS.items() if part(one) is part(other)}
    assert shared == set()


# ---- the sandbox pool


async def see_process(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
    async with context.sandbox_pool().js_vm() as vm:
        await vm.execute("function main() { return {} }", {}, SandboxLimits())
        return vm.process_id


def one_vm() -> DefaultSandboxPool:
    return DefaultSandboxPool(max_js_vms=1)


async def test_two_runs_at_once_in_one_group_run_code_in_one_process() -> None:
    probe = Probe(see_process, parties=2)
    pool = one_vm()
    group = group_with(probe, sandbox_pool=pool)
    one, other = await at_once(runner(group), runner(group))
    assert seen(one) == seen(other)
    stats = pool.stats().javascript
    assert (stats.created, stats.reused) == (1, 1)


async def test_code_nodes_of_two_runs_share_the_processes_too() -> None:
    probe = Probe(see_process, parties=2)
    pool = one_vm()
    group = group_with(probe, sandbox_pool=pool)
    coded = chain(
        "coded", start("n"), code("c"), node("probe", "probe"), end(n="c.n", seen="probe.seen")
    )
    builders = [
        WorkflowRunner.builder(coded).runtime_group(group).user_inputs({"n": n}) for n in (1, 10)
    ]
    one, other = await at_once(*builders)
    assert seen(one) == seen(other)
    assert isinstance(one, Completed)
    assert isinstance(other, Completed)
    assert (one.outputs["n"], other.outputs["n"]) == (2, 11)
    assert pool.stats().javascript.created == 1


async def test_two_groups_run_code_in_two_processes() -> None:
    probe = Probe(see_process, parties=2)
    pools = (one_vm(), one_vm())
    one, other = await at_once(*(runner(group_with(probe, sandbox_pool=pool)) for pool in pools))
    assert seen(one) != seen(other)
    assert [pool.stats().javascript.created for pool in pools] == [1, 1]


# ---- connections


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.close()


def connections(server: Server) -> int:
    """How many TCP connections the server got its requests through."""
    return len({request.peer for request in server.seen})


async def in_turns(schema: WorkflowSchema, gate: Probe, *groups: RuntimeGroup) -> list[Any]:
    """How runs end of which each stands in the probe, its request made, before the next starts."""
    started: list[WorkflowHandle] = []
    for group in groups:
        builder = WorkflowRunner.builder(schema).runtime_group(group)
        started.append(await builder.user_inputs({"n": 1}).run())
        if len(started) < len(groups):
            await gate.arrival_of(started[-1])
    return await ended(*started)


def fetching(server: Server) -> WorkflowSchema:
    return chain("http", start("n"), http("h", server.url), node("probe", "probe"), end())


async def test_http_nodes_of_two_living_runs_use_one_connection(server: Server) -> None:
    gate = Probe(parties=2)
    group = group_with(gate)
    await in_turns(fetching(server), gate, group, group)
    assert len(server.seen) == 2
    assert connections(server) == 1


async def test_http_nodes_of_two_groups_use_a_connection_each(server: Server) -> None:
    gate = Probe(parties=2)
    await in_turns(fetching(server), gate, group_with(gate), group_with(gate))
    assert connections(server) == 2


def asking_a_model() -> WorkflowSchema:
    model = {"provider": "openai", "name": "m", "mode": "chat"}
    prompt = [{"role": "user", "text": "hello"}]
    llm = node("llm", "llm", model=model, prompt_template=prompt)
    return chain("llm", start("n"), llm, node("probe", "probe"), end(text="llm.text"))


def with_model(probe: Probe, server: Server) -> RuntimeGroup:
    server.answer = lambda _: Reply(
        body=json.dumps(ANSWER).encode(), headers={"content-type": "application/json"}
    )
    registry = LlmProviderRegistry()
    registry.register(OpenAiProvider(OpenAiConfig(api_key="k", base_url=server.url)))
    return group_with(probe, llm_provider_registry=registry)


async def test_models_are_asked_by_two_living_runs_through_one_connection(server: Server) -> None:
    gate = Probe(parties=2)
    group = with_model(gate, server)
    statuses = await in_turns(asking_a_model(), gate, group, group)
    assert [status.outputs for status in statuses] == [{"text": "hi"}] * 2
    assert len(server.seen) == 2
    assert connections(server) == 1
    one, other = gate.contexts.values()
    assert one.llm_provider_registry().get("openai") is other.llm_provider_registry().get("openai")


async def test_models_are_asked_by_two_groups_through_a_connection_each(server: Server) -> None:
    gate = Probe(parties=2)
    groups = (with_model(gate, server), with_model(gate, server))
    await in_turns(asking_a_model(), gate, *groups)
    assert connections(server) == 2


# ---- counters and stores: one over two runs


async def test_one_executor_serves_all_runs_of_its_group() -> None:
    probe = Probe(parties=2)
    group = group_with(probe)
    await at_once(runner(group), runner(group))
    assert len(probe.contexts) == 2
    assert group.node_executor_registry.get("probe") is probe


async def test_two_groups_have_executors_of_their_own_for_one_type() -> None:
    async def loud(_context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        return "loud"

    one, other = await at_once(runner(group_with(Probe(loud))), runner(group_with(Probe())))
    assert (seen(one), seen(other)) == ("loud", None)


async def test_an_executor_that_is_registered_later_is_there_for_the_next_run() -> None:
    group = RuntimeGroup.default()
    with pytest.raises(ValidationFailed):
        await runner(group).run()
    group.node_executor_registry.register("probe", Probe())
    assert isinstance((await at_once(runner(group)))[0], Completed)


async def ask_for_credentials(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
    provider = context.credential_provider()
    assert provider is not None
    return (await provider.get_credentials("g", "openai"))["api_key"]


async def test_one_credential_provider_is_asked_by_both_runs() -> None:
    shelf = Shelf()
    group = group_with(Probe(ask_for_credentials, parties=2), credential_provider=shelf)
    keys = {seen(status) for status in await at_once(runner(group), runner(group))}
    assert keys == {"key-1", "key-2"}
    assert shelf.asked == ["g/openai", "g/openai"]


async def test_two_groups_ask_their_own_credential_providers() -> None:
    probe = Probe(ask_for_credentials, parties=2)
    shelves = (Shelf(), Shelf())
    builders = (runner(group_with(probe, credential_provider=shelf)) for shelf in shelves)
    assert [seen(status) for status in await at_once(*builders)] == ["key-1", "key-1"]
    assert [shelf.asked for shelf in shelves] == [["g/openai"], ["g/openai"]]


async def test_one_audit_logger_hears_of_both_runs() -> None:
    async def tell(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        logger = context.audit_logger()
        assert logger is not None
        logger.log_event({"run": context.execution_id})
        return None

    shelf, probe = Shelf(), Probe(tell, parties=2)
    group = group_with(probe, audit_logger=shelf)
    await at_once(runner(group), runner(group))
    assert {event["run"] for event in shelf.events} == set(probe.contexts)
    assert len(shelf.events) == 2


async def remember(context: WorkflowContext, pool: VariablePool) -> JsonValue:
    """Store what the run was started with, and recall what all runs have stored."""
    provider = context.memory_provider()
    assert provider is not None
    await provider.store("global", context.execution_id, pool.get(("start", "n")))
    return [entry["value"] for entry in await provider.recall("global")]


class ReadingProbe(Probe):
    reads_all = True


def remembering() -> RuntimeGroup:
    return group_with(ReadingProbe(remember), memory_provider=Shelf())


async def test_what_one_run_remembers_the_next_one_recalls() -> None:
    group = remembering()
    await at_once(runner(group, "first"))
    assert seen((await at_once(runner(group, "second")))[0]) == ["first", "second"]


async def test_what_one_group_remembers_the_other_does_not_recall() -> None:
    await at_once(runner(remembering(), "first"))
    assert seen((await at_once(runner(remembering(), "second")))[0]) == ["second"]


async def test_one_governor_counts_the_starts_of_both_runs() -> None:
    shelf, probe = Shelf(), Probe(parties=2)
    group = group_with(probe, group_id="counted", resource_governor=shelf)
    await at_once(runner(group), runner(group))
    assert sorted(shelf.started) == sorted(probe.contexts)


async def test_a_governor_that_counted_enough_refuses_the_next_run_of_its_group_alone() -> None:
    full, free = Shelf(refuse_after=1), Shelf(refuse_after=1)
    group = group_with(Probe(), group_id="full", resource_governor=full)
    await at_once(runner(group))
    refused, other = await at_once(
        runner(group), runner(group_with(Probe(), group_id="free", resource_governor=free))
    )
    assert isinstance(refused, Failed)
    assert "too many runs in full" in refused.message
    assert isinstance(other, Completed)


# ---- limits


@pytest.mark.parametrize("group_id", [None, "limited"], ids=["unnamed", "named"])
async def test_the_quota_of_a_group_stops_both_of_its_runs_and_no_other(
    group_id: str | None,
) -> None:
    small = ResourceQuota(max_steps=2)
    group = group_with(Probe(), group_id=group_id, quota=small)
    free = group_with(Probe(), group_id=group_id)
    one, two, other = await at_once(runner(group), runner(group), runner(free))
    for stopped in (one, two):
        assert isinstance(stopped, Failed)
        assert "2" in stopped.message
        assert stopped.error_type == "MaxStepsExceeded"
    assert isinstance(other, Completed)


async def test_the_policy_of_a_group_refuses_both_of_its_runs_before_they_start() -> None:
    limits = DslLimits(max_nodes=2)
    policy = SecurityPolicy(dsl_validation=limits)
    group = group_with(Probe(), security_policy=policy)
    for _ in range(2):
        with pytest.raises(ValidationFailed) as refused:
            await runner(group).run()
        assert [found.code for found in refused.value.report.errors] == ["E020"]


async def test_template_functions_are_lent_to_every_run_of_the_group() -> None:
    async def shout(context: WorkflowContext, _pool: VariablePool) -> JsonValue:
        return context.template_functions()["shout"]("hi")

    calls: list[str] = []

    def counted(text: str) -> str:
        calls.append(text)
        return text.upper()

    group = group_with(Probe(shout, parties=2), template_functions={"shout": counted})
    assert [seen(s) for s in await at_once(runner(group), runner(group))] == ["HI", "HI"]
    assert calls == ["hi", "hi"]
