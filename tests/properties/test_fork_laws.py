"""Laws of forks, over random graphs: a fork ends as its run would have, and repeats nothing."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties.forks import behind, forked, past_of, shell_of, started_of
from tests.properties.graphs import LAWS, graphs
from tests.properties.in_memory import InMemoryShell, events_of, reloaded
from tests.properties.naive import Graph, interpret
from xworkflow.domain.state import NodePhase
from xworkflow.engine.past import Ended
from xworkflow.errors import ValidationFailed

ORDERS = st.randoms(use_true_random=False)


def ended_of(shell: InMemoryShell) -> set[str]:
    return {note.node_id for note in past_of(shell).notes if isinstance(note, Ended)}


def part_of(graph: Graph, order: Random, steps: int) -> InMemoryShell:
    """A run after some of its steps, or at its end."""
    shell = InMemoryShell(graph, order)
    shell.begin()
    while steps and shell.result is None:
        shell.step()
        steps -= 1
    return shell


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, choice=st.randoms(use_true_random=False))
def test_a_fork_from_any_node_of_a_finished_run_ends_alike_and_runs_only_what_is_behind_it(
    graph: Graph, order: Random, choice: Random
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    shell.run()
    node = choice.choice(sorted(expected.ran))
    cut = forked(past_of(shell), node)
    again = shell_of(graph, order, cut, node)
    result = again.finish()
    assert result.status == "completed"
    assert result.outputs == expected.outputs
    assert result.exceptions == expected.exceptions
    assert result.steps == len(expected.ran)
    assert again.driver.state.pool.to_json() == expected.pool
    wanted = behind(graph, node) & expected.ran
    assert Counter(started_of(again)) == Counter(wanted)
    assert set(cut.reused) == expected.ran - wanted
    assert cut.starts == (node,)


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, steps=st.integers(0, 12))
def test_a_fork_from_where_a_run_stood_ends_alike_and_repeats_nothing_that_had_ended(
    graph: Graph, order: Random, steps: int
) -> None:
    expected = interpret(graph)
    shell = part_of(graph, order, steps)
    assume(shell.result is None)
    ended = ended_of(shell)
    again = shell_of(graph, order, forked(past_of(shell), None), None)
    result = again.finish()
    assert result.status == "completed"
    assert result.outputs == expected.outputs
    assert result.exceptions == expected.exceptions
    assert result.steps == len(expected.ran)
    assert again.driver.state.pool.to_json() == expected.pool
    assert Counter(started_of(again)) == Counter(expected.ran - ended)


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_a_fork_of_a_failed_run_repeats_nothing_that_had_ended_and_fails_as_a_run_of_it_may(
    graph: Graph, order: Random
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    result = shell.run()
    assume(result.status == "failed")
    assert result.error is not None
    past = past_of(shell)
    if result.error.error_type == "InternalError":
        # a branch led nowhere: no other try can help
        with pytest.raises(ValidationFailed) as refused:
            forked(past, None)
        assert [found.code for found in refused.value.report.errors] == ["F016"]
        return
    again = shell_of(graph, order, forked(past, None), None)
    ended = again.finish()
    assert ended.error is not None
    assert ended.error.text in expected.fatal
    assert not set(started_of(again)) & ended_of(shell)


@LAWS
@given(
    graph=graphs(failing="tolerated"),
    order=ORDERS,
    steps=st.lists(st.integers(0, 6), min_size=1, max_size=3),
    choice=st.randoms(use_true_random=False),
)
def test_forks_of_forks_at_any_moments_and_nodes_end_alike(
    graph: Graph, order: Random, steps: list[int], choice: Random
) -> None:
    expected = interpret(graph)
    shell = part_of(graph, order, steps[0])
    for more in steps[1:]:
        began = [n for n in started_of(shell) if n in shell.compiled.plan.index_of]
        node = choice.choice([*began, None]) if shell.result is None else choice.choice(began)
        shell = shell_of(graph, order, forked(past_of(shell), node), node)
        for _ in range(more):
            if shell.result is None:
                shell.step()
        assume(started_of(shell))
    result = shell.finish()
    assert result.outputs == expected.outputs
    assert result.exceptions == expected.exceptions
    assert result.steps == len(expected.ran)
    assert shell.driver.state.pool.to_json() == expected.pool


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS, steps=st.integers(0, 12))
def test_a_fork_from_any_node_at_any_moment_is_possible_exactly_if_it_could_start(
    graph: Graph, order: Random, steps: int
) -> None:
    shell = part_of(graph, order, steps)
    past = past_of(shell)
    began = set(started_of(shell))
    broken = shell.result is not None and shell.result.error is not None
    assume(not broken or shell.result is None or "Graph validation" not in str(shell.result.error))
    for node in shell.compiled.plan.nodes:
        ready = past.state.nodes[node.index] == NodePhase.QUEUED
        stopped = past.state.nodes[node.index] == NodePhase.CANCELLED
        if node.id in began or ready or stopped:
            cut = forked(past, node.id)
            assert node.id in cut.starts
            assert not set(cut.reused) & behind(graph, node.id)
            assert reloaded(cut.state) == cut.state
        else:
            with pytest.raises(ValidationFailed) as refused:
                forked(past, node.id)
            skipped = past.state.nodes[node.index] == NodePhase.SKIPPED
            codes = [found.code for found in refused.value.report.errors]
            assert codes == ["F004" if skipped else "F003"]


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, choice=st.randoms(use_true_random=False))
def test_the_log_of_a_fork_begins_with_its_origin_and_has_no_gaps(
    graph: Graph, order: Random, choice: Random
) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    node = choice.choice(sorted(interpret(graph).ran))
    again = shell_of(graph, order, forked(past_of(shell), node), node)
    again.finish()
    events = events_of(again.turns())
    assert [event.seq for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["graph_run_started", "checkpoint_resumed"]
    assert events[1].data == {"node_id": node, "forked_from": "run"}
