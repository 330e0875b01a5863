"""Laws of runs with sub-graphs, over random nested graphs and every order of completions."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import Any
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS
from tests.properties.nested_graphs import INPUTS, Container, Drawer, Nest
from tests.properties.nested_naive import interpret
from tests.properties.nested_shell import NestedShell, Workflow
from xworkflow.domain import repeats
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import AbortRequested, PauseLifted, PauseRequested, SafeStopRequested
from xworkflow.domain.policy import EngineConfig
from xworkflow.engine import sub_graphs

SEEDS = st.integers(0, 10**6)
"""A seed of a graph, and one of an order: hypothesis' own chance is too slow for so many draws."""


def chance(seed: int) -> Random:
    return Random(seed)  # noqa: S311 - orders, not secrets


def drawn(seed: int, *, depth: int = 3) -> Nest:
    """Every second one has questions to people, and gathers."""
    return Drawer(chance(seed), depth=depth, people=seed % 2 == 1).draw()


def containers_of(nest: Nest) -> list[Container]:
    own = [inner for inner in nest.nodes if isinstance(inner, Container)]
    return [*own, *(found for inner in own for found in containers_of(inner.body))]


def check_against_oracle(shell: NestedShell, nest: Nest) -> None:
    expected = interpret(nest, INPUTS)
    result = shell.root.result
    assert result is not None
    if expected.fatal:
        assert result.status == "failed"
        assert result.error is not None
        assert result.error.node_id in expected.fatal
        return
    assert result.status == "completed"
    assert result.outputs == expected.outputs
    if expected.exact:
        assert result.exceptions == expected.exceptions
        steps = [e for e in shell.root.events if e.type == "node_run_started"]
        assert result.steps == len(steps) == len(expected.ran) + 1


@LAWS
@given(seed=SEEDS, order=SEEDS)
def test_every_order_of_completions_gives_what_the_oracle_gives(seed: int, order: int) -> None:
    nest = drawn(seed)
    shell = NestedShell(nest, chance(order))
    shell.finish()
    check_against_oracle(shell, nest)


@LAWS
@given(seed=SEEDS, order=SEEDS)
def test_runs_that_continue_as_new_at_any_moments_give_what_the_oracle_gives(
    seed: int, order: int
) -> None:
    nest = drawn(seed)
    shell = NestedShell(nest, chance(order), drains=0.3)
    shell.finish()
    check_against_oracle(shell, nest)


@LAWS
@given(seed=SEEDS, order=SEEDS, drains=st.sampled_from([0.0, 0.3]))
def test_chunks_that_take_a_breath_after_each_item_give_what_the_oracle_gives(
    seed: int, order: int, drains: float
) -> None:
    nest = drawn(seed)
    with patch.object(sub_graphs, "NODES_AT_ONCE", 1):
        shell = NestedShell(nest, chance(order), drains=drains)
        shell.finish()
    check_against_oracle(shell, nest)
    for workflow in shell.workflows.values():
        check_numbers(workflow)


@LAWS
@given(seed=SEEDS, order=SEEDS, drains=st.sampled_from([0.0, 0.3]))
def test_chunks_that_end_early_as_their_results_are_large_give_what_the_oracle_gives(
    seed: int, order: int, drains: float
) -> None:
    nest = drawn(seed)
    with patch.object(sub_graphs, "BYTES_AT_ONCE", 12), patch.object(repeats, "QUICK_CHUNK", 4):
        shell = NestedShell(nest, chance(order), drains=drains)
        shell.finish()
    check_against_oracle(shell, nest)


@LAWS
@given(seed=SEEDS, order=SEEDS)
def test_one_node_at_a_time_gives_what_the_oracle_gives(seed: int, order: int) -> None:
    nest = drawn(seed, depth=2)
    shell = NestedShell(nest, chance(order), config=EngineConfig(parallel_enabled=False))
    shell.finish()
    check_against_oracle(shell, nest)


@LAWS
@given(seed=SEEDS, order=SEEDS, drains=st.sampled_from([0.0, 0.3]))
def test_events_are_well_formed(seed: int, order: int, drains: float) -> None:
    shell = NestedShell(drawn(seed), chance(order), drains=drains)
    shell.finish()
    for workflow in shell.workflows.values():
        check_numbers(workflow)
        check_every_start_has_one_end(workflow)
    check_inner_events_lie_within(shell)


def check_numbers(workflow: Workflow) -> None:
    events = workflow.events
    assert [event.seq for event in events] == list(range(len(events)))
    assert workflow.carrier.events == len(events) or workflow.is_over
    assert [event.at for event in events] == sorted(event.at for event in events)


ENDS = ("node_run_succeeded", "node_run_exception", "node_run_failed")


def check_every_start_has_one_end(workflow: Workflow) -> None:
    """What was cancelled with its siblings has none."""
    starts = Counter(e.data["id"] for e in workflow.events if e.type == "node_run_started")
    ends = Counter(e.data["id"] for e in workflow.events if e.type in ENDS)
    assert max(starts.values(), default=1) == 1
    assert max(ends.values(), default=1) == 1
    assert set(ends) <= set(starts)
    failed = {lane_of(e) for e in workflow.events if e.type == "node_run_failed"}
    over = workflow.end is not None and workflow.end.error is not None
    if not over:
        open_ = [
            e for e in workflow.events if e.type == "node_run_started" and e.data["id"] not in ends
        ]
        assert {lane_of(e) for e in open_} <= failed


def lane_of(event: GraphEngineEvent) -> tuple[Any, ...]:
    return tuple(map(tuple, event.data.get("path", [])))


def check_inner_events_lie_within(shell: NestedShell) -> None:
    """A sub-graph's events come after its container has started, and before it ends."""
    begun: dict[tuple[Any, ...], int] = {}
    for position, (workflow_id, event) in enumerate(shell.log):
        if event.type in ("iteration_started", "loop_started"):
            begun[workflow_id, *place_of(event)] = position
        elif event.type.startswith(("iteration_", "loop_")) and not event.type.endswith("_next"):
            begun.pop((workflow_id, *place_of(event)))
        workflow = shell.workflows[workflow_id]
        if workflow.parent is not None:
            parent_id, _, start = workflow.parent
            node = shell.workflows[parent_id].carrier.compiled.plan.nodes[start.node].id
            assert workflow.run.chunk is not None
            outer = lane_of(event)[: len(workflow.run.chunk.path)]
            assert (parent_id, outer, node) in begun, event


def place_of(event: GraphEngineEvent) -> tuple[Any, ...]:
    return lane_of(event), event.data["node_id"]


@LAWS
@given(seed=SEEDS, order=SEEDS, drains=st.sampled_from([0.0, 0.2]))
def test_never_more_items_run_than_parallelism_allows(seed: int, order: int, drains: float) -> None:
    nest = drawn(seed, depth=2)
    allowed = {c.id: side_by_side(c) for c in containers_of(nest)}
    shell = NestedShell(nest, chance(order), drains=drains)
    while shell.root.result is None:
        shell.step()
        for workflow in shell.alive:
            check_items_in_flight(shell, workflow, allowed)
    check_against_oracle(shell, nest)


def side_by_side(container: Container) -> int:
    parallel = container.parallelism > 1
    return {
        "iteration": container.parallelism,
        "filter": 10 if parallel else 1,  # 7.4
    }.get(container.kind, 1)


def check_items_in_flight(shell: NestedShell, workflow: Workflow, allowed: dict[str, int]) -> None:
    in_flight: Counter[tuple[int, str]] = Counter()
    for (lane, node, _), child_id in workflow.children.items():
        child = shell.workflows[child_id]
        name = workflow.carrier.compiled.plan.nodes[node].id
        in_flight[lane, name] += len(child.carrier.lanes)
    for (_, name), items in in_flight.items():
        assert items <= allowed[name]


@LAWS
@given(seed=SEEDS, order=SEEDS)
def test_late_facts_of_what_was_stopped_change_nothing(seed: int, order: int) -> None:
    """Of nodes that run no more, of sub-graphs that nobody waits for, and of lanes that ended."""
    shell = NestedShell(drawn(seed), chance(order), late=True)
    shell.finish()
    check_against_oracle(shell, drawn(seed))


@LAWS
@given(seed=SEEDS, order=SEEDS, steps=st.integers(0, 40))
def test_a_run_can_be_stopped_at_any_moment_and_leaves_nothing_open(
    seed: int, order: int, steps: int
) -> None:
    shell = NestedShell(drawn(seed), chance(order))
    for _ in range(steps):
        if shell.root.result is None:
            shell.step()
    if shell.root.result is None:
        shell.take(shell.root, lambda carrier: carrier.tell(AbortRequested(2_000_000, "enough")))
    assert shell.root.result is not None
    assert shell.root.result.status in ("aborted", "completed", "failed")
    assert not shell.root.in_flight
    assert not shell.root.children


@LAWS
@given(seed=SEEDS, order=SEEDS, steps=st.integers(0, 40))
def test_a_safe_stop_lets_end_what_runs_and_starts_nothing(
    seed: int, order: int, steps: int
) -> None:
    shell = NestedShell(drawn(seed), chance(order))
    for _ in range(steps):
        if shell.root.result is None:
            shell.step()
    if shell.root.result is None:
        shell.tell_all(SafeStopRequested(shell.now()))
    started = started_in(shell)
    if shell.root.result is None:
        # a node may fail meanwhile where nobody tolerates it: then a fork begins with it
        assert shell.finish().status == "safe_stopped"
        assert shell.root.events[-1].type == "workflow_safe_stopped"
    assert started_in(shell) == started


def started_in(shell: NestedShell) -> int:
    return sum(event.type == "node_run_started" for _, event in shell.log)


@LAWS
@given(seed=SEEDS, order=SEEDS, moments=st.sets(st.integers(0, 40)))
def test_pauses_at_any_moments_change_nothing_but_when_nodes_start(
    seed: int, order: int, moments: set[int]
) -> None:
    nest = drawn(seed)
    shell = NestedShell(nest, chance(order), drains=0.1)
    step = 0
    while shell.root.result is None:
        if step in moments:
            pause(shell)
        if shell.root.result is None:
            shell.step()
        step += 1
    check_against_oracle(shell, nest)
    for workflow in shell.workflows.values():
        check_numbers(workflow)
        check_every_start_has_one_end(workflow)


def pause(shell: NestedShell) -> None:
    """Until nothing moves any more."""
    shell.tell_all(PauseRequested(shell.now()))
    started = started_in(shell)
    while shell.root.result is None and shell.moves:
        shell.step()
    assert started_in(shell) == started
    if shell.root.result is None:
        shell.tell_all(PauseLifted(shell.now()))
