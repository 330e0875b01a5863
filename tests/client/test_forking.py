"""Forks of real runs: what is paid is not paid again, and what would be unsafe is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import pytest_asyncio

from tests.client.live import Probe, group_with
from tests.workflows.awaited import node_started
from tests.workflows.bench import Bench, read
from tests.workflows.drawing import (
    chain,
    choice,
    code,
    end,
    first_of,
    graph,
    handler,
    http,
    node,
    retries,
    start,
    text,
)
from tests.workflows.replaying import replay
from xworkflow.client.handle import WorkflowHandle
from xworkflow.client.runner import WorkflowRunner
from xworkflow.client.status import Completed, Failed, FailedWithRecovery, SafeStopped
from xworkflow.context import WorkflowContext
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.quota import ResourceQuota
from xworkflow.domain.schema import ConversationVariable, EnvironmentVariable, WorkflowSchema
from xworkflow.domain.values import JsonValue
from xworkflow.domain.wire import MockNode
from xworkflow.errors import InputError, MisuseError, ValidationFailed
from xworkflow.runtime_group.group import RuntimeGroup
from xworkflow.testing.mock_server import MockResponse, MockServer

pytestmark = pytest.mark.temporal


@pytest.fixture
def web() -> Iterator[MockServer]:
    """Answers everything; ``/broken`` fails, ``/slow`` answers when the server is closed."""
    paths = ("/a", "/b", "/c", "/d", "/item")
    fine = tuple(MockResponse("GET", path, response_body=f"from {path}") for path in paths)
    broken = MockResponse("GET", "/broken", response_status=500)
    slow = MockResponse("GET", "/slow", response_body="late", delay_secs=600)
    with MockServer((*fine, broken, slow)) as server:
        yield server


def calls(web: MockServer) -> Counter[str]:
    return Counter(request.path for request in web.requests)


def three_calls(web: MockServer, last: str = "/c", **parts: Any) -> WorkflowSchema:
    return chain(
        "three calls",
        start("n"),
        http("a", f"{web.url}/a"),
        http("b", f"{web.url}/b"),
        http("c", f"{web.url}{last}", fail_on_error_status=True),
        end(out="c.body", first="a.body"),
        **parts,
    )


def codes(refused: pytest.ExceptionInfo[ValidationFailed]) -> list[str]:
    return [found.code for found in refused.value.report.errors]


async def replayed(bench: Bench, *handles: WorkflowHandle) -> None:
    """Raises where a history does not replay."""
    for handle in handles:
        await replay(await bench.client.get_workflow_handle(handle.execution_id).fetch_history())


async def test_a_fork_calls_only_its_node_and_what_stands_behind_it(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web), {"n": 1})
    assert isinstance(await run.wait(), Completed)
    fork = await run.fork(from_node="b")
    status = await fork.wait()
    assert status == Completed({"out": "from /c", "first": "from /a"})
    assert calls(web) == {"/a": 1, "/b": 2, "/c": 2}
    events = await read(fork)
    assert [event.type for event in events[:2]] == ["graph_run_started", "checkpoint_resumed"]
    assert events[1].data == {"node_id": "b", "forked_from": run.execution_id}
    began = [e.data["node_id"] for e in events if e.type == "node_run_started"]
    assert began == ["b", "c", "end"]
    await replayed(bench, run, fork)


async def test_a_fork_goes_on_with_the_values_that_are_set(bench: Bench, web: MockServer) -> None:
    run = await bench.start(three_calls(web), {"n": 1})
    await run.wait()
    fork = await run.fork(from_node="b", set={"a.body": "mine"})
    assert await fork.wait() == Completed({"out": "from /c", "first": "mine"})


async def test_a_failed_run_goes_on_where_it_failed_with_the_mended_file(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web, "/broken"), {"n": 1})
    assert isinstance(await run.wait(), Failed)
    fork = await run.fork(schema=three_calls(web))
    assert await fork.wait() == Completed({"out": "from /c", "first": "from /a"})
    assert calls(web) == {"/a": 1, "/b": 1, "/broken": 1, "/c": 1}
    await replayed(bench, fork)


async def test_a_fork_of_a_recovered_run_knows_nothing_of_its_error(
    bench: Bench, web: MockServer
) -> None:
    recovery = handler("recover", start(), text("why", "w"), end(out="why.output"))
    run = await bench.start(three_calls(web, "/broken", handler=recovery), {"n": 1})
    assert isinstance(await run.wait(), FailedWithRecovery)
    plan = (await run.origin()).past
    assert "error_message" in plan.state.pool.namespace("sys")
    fork = await run.fork(schema=three_calls(web, handler=recovery))
    assert isinstance(await fork.wait(), Completed)
    assert "error_message" not in (await fork.origin()).past.state.pool.namespace("sys")


async def test_a_fork_of_a_running_run_starts_what_runs_there_again_and_leaves_it_alone(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web, "/slow"), {"n": 1})
    await node_started(run, "c")
    fork = await run.fork(schema=three_calls(web))
    assert isinstance(await fork.wait(), Completed)
    assert calls(web) == {"/a": 1, "/b": 1, "/slow": 1, "/c": 1}
    web.__exit__()
    assert await run.wait() == Completed({"out": "late", "first": "from /a"})


async def test_a_safe_stopped_run_goes_on_from_where_it_stood(
    bench: Bench, web: MockServer
) -> None:
    schema = chain(
        "stopped",
        start("n"),
        http("a", f"{web.url}/a"),
        http("wait", f"{web.url}/broken", fail_on_error_status=True, retry=retries(9, 600_000)),
        end(out="wait.body", first="a.body"),
    )
    run = await bench.start(schema, {"n": 1})
    async for event in run.events():
        if event.type == "node_run_retry":
            await run.safe_stop()
    stopped = await run.wait()
    assert stopped == SafeStopped({}, ("wait",))
    mended = schema.model_copy(
        update={
            "nodes": tuple(_at(n, f"{web.url}/b") if n.id == "wait" else n for n in schema.nodes)
        }
    )
    fork = await run.fork(schema=mended)
    assert await fork.wait() == Completed({"out": "from /b", "first": "from /a"})
    assert calls(web)["/a"] == 1
    await replayed(bench, fork)


def _at(spec: Any, url: str) -> Any:
    return spec.model_copy(update={"data": {**spec.data, "url": url}})


async def test_a_fork_of_an_unknown_node_is_refused_with_the_nearest_one(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web), {"n": 1}, mocks=_mocks("a", "b", "c"))
    await run.wait()
    with pytest.raises(ValidationFailed) as refused:
        await run.fork(from_node="stat", set={"nobody.x": 1})
    assert codes(refused) == ["F001", "F006"]
    messages = [found.message for found in refused.value.report.errors]
    assert messages[0] == "there is no node 'stat'; did you mean 'start'?"


def _mocks(*ids: str) -> dict[str, MockNode]:
    return {name: MockNode(outputs={"body": name}) for name in ids}


async def test_a_node_can_be_named_by_its_title(bench: Bench, web: MockServer) -> None:
    run = await bench.start(three_calls(web), {"n": 1}, mocks=_mocks("a", "b", "c"))
    await run.wait()
    fork = await run.fork(from_node="B")
    events = await read(fork, follow=True)
    assert events[1].data["node_id"] == "b"


async def test_a_fork_of_a_node_that_was_not_reached_says_what_is_missing(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web, "/broken"), {"n": 1})
    await run.wait()
    with pytest.raises(ValidationFailed) as refused:
        await run.fork(from_node="end")
    assert codes(refused) == ["F003"]
    assert "'c' has not finished" in refused.value.report.errors[0].message


async def test_a_changed_finished_node_is_refused_and_force_keeps_its_old_result(
    bench: Bench, web: MockServer
) -> None:
    schema = three_calls(web)
    run = await bench.start(schema, {"n": 1})
    await run.wait()
    nodes = tuple(_at(n, f"{web.url}/d") if n.id == "a" else n for n in schema.nodes)
    changed = schema.model_copy(update={"nodes": nodes})
    with pytest.raises(ValidationFailed) as refused:
        await run.fork(from_node="c", schema=changed)
    assert codes(refused) == ["F013"]
    assert refused.value.report.errors[0].node_id == "a"
    assert "(url)" in refused.value.report.errors[0].message
    fork = await run.fork(from_node="c", schema=changed, force=True)
    assert await fork.wait() == Completed({"out": "from /c", "first": "from /a"})
    warnings = [e.data for e in await read(fork) if e.type == "resume_warning"]
    assert len(warnings) == 1
    assert "'a' has finished" in warnings[0]["diagnostic"]
    again = await run.fork(from_node="a", schema=changed)
    assert await again.wait() == Completed({"out": "from /c", "first": "from /d"})


async def test_a_file_that_is_no_workflow_is_refused_by_validation(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web), {"n": 1}, mocks=_mocks("a", "b", "c"))
    await run.wait()
    broken = chain("no end", start("n"), http("a", f"{web.url}/a"))
    with pytest.raises(ValidationFailed) as refused:
        await run.fork(schema=broken)
    assert "E006" in codes(refused)


def _assigning(name: str, value: str) -> Any:
    operation: dict[str, Any] = {
        "assigned_variable_selector": ["conversation", "log"],
        "value": value,
        "write_mode": "append",
    }
    return node(name, "assigner", **operation)


async def test_conversation_variables_are_as_they_were_when_the_node_began(
    bench: Bench,
) -> None:
    nodes = (
        start("n"),
        _assigning("one", "1"),
        _assigning("two", "2"),
        code("c"),
        _assigning("three", "3"),
        end(log="conversation.log"),
    )
    schema = chain("log", *nodes).model_copy(
        update={
            "conversation_variables": (
                ConversationVariable(name="log", type="array[string]", default=[]),
            )
        }
    )
    run = await bench.start(schema, {"n": 1})
    assert await run.wait() == Completed({"log": ["1", "2", "3"]})
    for name in ("one", "two", "c", "three", "end"):
        fork = await run.fork(from_node=name)
        assert await fork.wait() == Completed({"log": ["1", "2", "3"]}), name
        if name == "two":  # a fork of the fork, from a node that it has reused
            again = await fork.fork(from_node="three")
            assert await again.wait() == Completed({"log": ["1", "2", "3"]})


async def test_a_skipped_node_is_no_place_to_start_from(bench: Bench) -> None:
    schema = graph(
        "branches",
        [
            start("n"),
            choice("pick", "start.n", "1"),
            text("yes", "y"),
            text("no", "n"),
            first_of("join", "yes.output", "no.output"),
            end(out="join.output"),
        ],
        "start > pick",
        "pick:yes > yes",
        "pick:false > no",
        "yes > join",
        "no > join",
        "join > end",
    )
    run = await bench.start(schema, {"n": "1"})
    assert await run.wait() == Completed({"out": "y"})
    with pytest.raises(ValidationFailed) as refused:
        await run.fork(from_node="no")
    assert codes(refused) == ["F004"]
    other = await run.fork(from_node="pick", set={"start.n": "2"})
    assert await other.wait() == Completed({"out": "n"})


async def test_a_finished_run_has_nothing_left_without_a_node(bench: Bench) -> None:
    run = await bench.start(chain("short", start("n"), end(n="start.n")), {"n": 1})
    await run.wait()
    with pytest.raises(ValidationFailed) as refused:
        await run.fork()
    assert codes(refused) == ["F005"]


def _iterating(web: MockServer, last: str) -> WorkflowSchema:
    body = {
        "nodes": [
            {"id": "s", "data": {"type": "start", "title": "S"}},
            {
                "id": "ask",
                "data": {
                    "type": "http-request",
                    "title": "Ask",
                    "method": "GET",
                    "url": f"{web.url}/item",
                },
            },
            {
                "id": "e",
                "data": {
                    "type": "end",
                    "title": "E",
                    "outputs": [{"variable": "x", "value_selector": ["ask", "body"]}],
                },
            },
        ],
        "edges": [{"source": "s", "target": "ask"}, {"source": "ask", "target": "e"}],
    }
    each = node(
        "each",
        "iteration",
        input_selector=["start", "items"],
        output_variable="results",
        sub_graph=body,
    )
    return chain(
        "each",
        start("items"),
        each,
        http("c", f"{web.url}{last}", fail_on_error_status=True),
        end(out="each.results", last="c.body"),
    )


async def test_a_finished_iteration_is_reused_and_one_that_is_started_from_runs_whole(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(_iterating(web, "/broken"), {"items": [1, 2]})
    assert isinstance(await run.wait(), Failed)
    assert calls(web)["/item"] == 2
    fork = await run.fork(schema=_iterating(web, "/c"))
    status = await fork.wait()
    assert isinstance(status, Completed)
    assert status.outputs["last"] == "from /c"
    assert [item["x"] for item in status.outputs["out"]] == ["from /item"] * 2
    assert calls(web)["/item"] == 2
    again = await fork.fork(from_node="each")
    assert isinstance(await again.wait(), Completed)
    assert calls(web)["/item"] == 4
    with pytest.raises(ValidationFailed) as refused:
        await fork.fork(from_node="ask")
    assert codes(refused) == ["F002"]
    assert "--from each" in refused.value.report.errors[0].message
    await replayed(bench, fork, again)


async def test_a_fork_asks_the_person_again_where_its_run_still_waits(
    bench: Bench, web: MockServer
) -> None:
    field = {"variable": "name", "field_type": "text", "required": True}
    schema = chain(
        "asking",
        start("n"),
        http("a", f"{web.url}/a"),
        node("form", "human-input", form_fields=[field]),
        end(name="form.name", first="a.body"),
    )
    run = await bench.start(schema, {"n": 1})
    async for event in run.events():
        if event.type == "human_input_requested":
            break
    fork = await run.fork()
    async for event in fork.events():
        if event.type == "human_input_requested":
            break
    await fork.answer("form", form_data={"name": "Ada"})
    assert await fork.wait() == Completed({"name": "Ada", "first": "from /a"})
    assert calls(web) == {"/a": 1}
    await run.answer("form", form_data={"name": "Bob"})
    assert await run.wait() == Completed({"name": "Bob", "first": "from /a"})
    # the answer is a result as any other: behind it nobody is asked
    behind = await run.fork(from_node="end")
    assert await behind.wait() == Completed({"name": "Bob", "first": "from /a"})
    await replayed(bench, run, fork, behind)


async def test_a_run_over_several_histories_is_forked_as_one(bench: Bench, web: MockServer) -> None:
    schema = chain(
        "long",
        start("n"),
        *(http(f"call{i}", f"{web.url}/a") for i in range(8)),
        http("last", f"{web.url}/b"),
        end(out="last.body"),
    )
    run = await bench.start(schema, {"n": 1}, continue_as_new_after_events=30)
    await run.wait()
    fork = await run.fork(from_node="call7")
    assert await fork.wait() == Completed({"out": "from /b"})
    assert calls(web) == {"/a": 9, "/b": 2}


async def test_steps_are_those_of_the_reused_nodes_and_limits_can_be_raised(
    bench: Bench, web: MockServer
) -> None:
    run = await bench.start(three_calls(web), {"n": 1}, config=EngineConfig(max_steps=3))
    status = await run.wait()
    assert isinstance(status, Failed)
    assert status.error_type == "MaxStepsExceeded"
    same = await run.fork()
    assert isinstance(await same.wait(), Failed)
    assert calls(web) == {"/a": 1, "/b": 1}
    more = await run.fork(config=EngineConfig(max_steps=5))
    assert isinstance(await more.wait(), Completed)
    assert calls(web) == {"/a": 1, "/b": 1, "/c": 1}


async def test_the_environment_of_a_mended_file_counts(bench: Bench, web: MockServer) -> None:
    def drawn(path: str) -> WorkflowSchema:
        schema = chain(
            "env",
            start("n"),
            http("a", f"{web.url}/a"),
            http("b", f"{web.url}{{{{#env.path#}}}}", fail_on_error_status=True),
            end(out="b.body"),
        )
        variables = (EnvironmentVariable(name="path", value=path),)
        return schema.model_copy(update={"environment_variables": variables})

    run = await bench.start(drawn("/broken"), {"n": 1})
    assert isinstance(await run.wait(), Failed)
    fork = await run.fork(schema=drawn("/b"))
    assert await fork.wait() == Completed({"out": "from /b"})
    assert calls(web)["/a"] == 1


@pytest_asyncio.fixture
async def tenant(idle_bench: Bench) -> AsyncIterator[Bench]:
    quota = ResourceQuota(max_steps=4)
    group = RuntimeGroup.builder().group_id("tenant").quota(quota).build()
    bench = Bench(idle_bench.client, idle_bench.queue, group)
    async with bench.worker(sandboxed=True):
        yield bench
    await group.aclose()


async def test_a_fork_of_a_fork_says_where_it_takes_conversation_variables_from(
    bench: Bench,
) -> None:
    variables = (ConversationVariable(name="log", type="array[string]", default=[]),)
    schema = chain(
        "log", start("n"), _assigning("one", "1"), code("c"), end(log="conversation.log")
    )
    schema = schema.model_copy(update={"conversation_variables": variables})
    run = await bench.start(schema, {"n": 1})
    await run.wait()
    first = await run.fork(from_node="end")
    await first.wait()
    second = await first.fork(from_node="c")
    assert await second.wait() == Completed({"log": ["1"]})
    warnings = [e.data["diagnostic"] for e in await read(second) if e.type == "resume_warning"]
    assert len(warnings) == 1
    assert "has reused 'c'" in warnings[0]


async def test_a_fork_of_a_groups_run_is_admitted_by_the_group(tenant: Bench) -> None:
    schema = chain("governed", start("n"), code("a"), code("b", "a.n"), end(n="b.n"))
    run = await tenant.start(schema, {"n": 1})
    assert await run.wait() == Completed({"n": 3})
    fork = await run.fork(from_node="b", set={"a.n": 10}, config=EngineConfig(max_steps=900))
    assert await fork.wait() == Completed({"n": 11})
    state = (await fork.origin()).past.state
    assert state.config.max_steps == 4
    assert state.steps == 4
    await replayed(tenant, fork)


async def test_a_fork_needs_no_worker_to_be_made(idle_bench: Bench, web: MockServer) -> None:
    async with idle_bench.worker():
        run = await idle_bench.start(three_calls(web, "/broken"), {"n": 1})
        await run.wait()
    fork = await run.fork(schema=three_calls(web))
    waiting = await idle_bench.start(three_calls(web), {"n": 1})
    unbegun = await waiting.fork()  # of a run that nobody has begun
    async with idle_bench.worker():
        assert isinstance(await fork.wait(), Completed)
        assert isinstance(await unbegun.wait(), Completed)


async def test_a_fork_cannot_have_the_id_of_its_run(bench: Bench) -> None:
    run = await bench.start(chain("short", start("n"), end(n="start.n")), {"n": 1})
    await run.wait()
    with pytest.raises(InputError, match="an id of its own"):
        await run.fork(from_node="end", execution_id=run.execution_id)
    fork = await run.fork(from_node="end", execution_id=f"{run.execution_id}-again")
    assert fork.execution_id == f"{run.execution_id}-again"
    assert await fork.wait() == Completed({"n": 1})


async def test_an_unknown_run_cannot_be_forked(bench: Bench) -> None:
    with pytest.raises(InputError, match="there is no run 'nobody'"):
        await WorkflowHandle(bench.client, "nobody").fork()


async def test_a_fork_can_go_on_in_a_live_group_of_this_process(live: None) -> None:
    del live
    seen: list[Any] = []

    async def look(_context: WorkflowContext, pool: VariablePool) -> JsonValue:
        seen.append(pool.get(("start", "n")))
        return len(seen)

    group = group_with(Probe(look), group_id=None)
    schema = chain(
        "probed twice",
        start("n"),
        node("p", "probe", selector=["start", "n"]),
        node("q", "probe", selector=["start", "n"]),
        end(p="p.seen", q="q.seen"),
    )
    builder = WorkflowRunner.builder(schema).runtime_group(group)
    run = await builder.user_inputs({"n": 5}).run()
    assert await run.wait() == Completed({"p": 1, "q": 2})
    again = WorkflowRunner.builder(schema).runtime_group(group)
    fork = await again.fork(run, from_node="q")
    assert await fork.wait() == Completed({"p": 1, "q": 3})
    assert seen == [5, 5, 5]
    with pytest.raises(MisuseError, match="user_inputs was given"):
        await again.user_inputs({"n": 6}).fork(run)
    with pytest.raises(ValidationFailed) as refused:
        await WorkflowRunner.builder(schema).mock_nodes(_mocks("q")).fork(run, from_node="q")
    assert "E009" in codes(refused)
