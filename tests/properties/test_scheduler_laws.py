"""Laws of ``decide``, over random graphs and every order in which their nodes may end."""

from __future__ import annotations

from collections import Counter
from random import Random

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.properties.graphs import LAWS, graphs
from tests.properties.in_memory import InMemoryShell, Turn, events_of, fold, without_time
from tests.properties.naive import Graph, Outcome, interpret
from xworkflow.domain.commands import CancelNode, FinishRun, StartNode
from xworkflow.domain.facts import (
    AbortRequested,
    Fact,
    HandlerFinished,
    NodeFailed,
    NodeSucceeded,
    TimerFired,
)
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.scheduler import decide

ORDERS = st.randoms(use_true_random=False)


def started(turns: list[Turn]) -> list[str]:
    """Ids of the nodes that were started, in order."""
    return [e.data["node_id"] for e in events_of(turns) if e.type == "node_run_started"]


def starts(turns: list[Turn]) -> list[StartNode]:
    return [c for turn in turns for c in turn.commands if isinstance(c, StartNode)]


def resolved_before(graph: Graph, expected: Outcome, turns: list[Turn], target: str) -> bool:
    """Whether all sources of a node had ended, or were skipped, when it was started."""
    ended = set(expected.skipped)
    for event in events_of(turns):
        if event.type in ("node_run_succeeded", "node_run_exception"):
            ended.add(event.data["node_id"])
        if event.type == "node_run_started" and event.data["node_id"] == target:
            break
    known = {*expected.ran, *expected.skipped}
    return all(e.source in ended for e in graph.edges if e.target == target and e.source in known)


# ---- against the oracle


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS)
def test_every_order_of_completions_gives_what_the_oracle_gives(
    graph: Graph, order: Random
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    result = shell.run()
    turns = shell.turns()
    assert not expected.fatal
    assert result.status == "completed"
    assert result.outputs == expected.outputs
    assert result.exceptions == expected.exceptions
    assert result.steps == len(expected.ran)
    assert shell.driver.state.pool.to_json() == expected.pool
    assert Counter(started(turns)) == Counter(expected.ran)
    names = [node.id for node in shell.compiled.plan.nodes]
    tries = {names[s.node]: s.attempt for s in starts(turns)}
    assert tries == expected.attempts


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_a_run_fails_exactly_if_the_oracle_finds_a_failure_and_with_one_of_its_texts(
    graph: Graph, order: Random
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    result = shell.run()
    if not expected.fatal:
        assert result.status == "completed"
        assert result.outputs == expected.outputs
        return
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.text in expected.fatal
    assert set(started(shell.turns())) <= expected.ran
    assert result.outputs.items() <= expected.outputs.items()


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_a_skipped_branch_never_runs(graph: Graph, order: Random) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    assert not set(started(shell.turns())) & interpret(graph).skipped


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_a_node_is_started_once_and_only_after_all_that_leads_to_it(
    graph: Graph, order: Random
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    shell.run()
    turns = shell.turns()
    assert max(Counter(started(turns)).values()) == 1
    for name in started(turns):
        assert resolved_before(graph, expected, turns, name)


# ---- states and facts


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_a_dump_and_load_between_any_two_facts_changes_nothing(graph: Graph, order: Random) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    reloading = fold(shell.compiled.plan, shell.first, shell.driver.facts, reload=True)
    assert [t.commands for t in reloading] == [t.commands for t in shell.turns()]
    assert [t.state for t in reloading] == [t.state for t in shell.turns()]
    assert reloading[-1].state == shell.driver.state


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_an_older_state_still_reads_as_it_was(graph: Graph, order: Random) -> None:
    """States share their maps; the newest owns the dict and the older ones keep what to undo."""
    shell = InMemoryShell(graph, order)
    shell.run()
    turns = shell.turns()
    again = fold(shell.compiled.plan, shell.first, shell.driver.facts)
    for turn, same in zip(reversed(turns), reversed(again), strict=True):
        assert turn.before == same.before


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_late_and_repeated_facts_change_nothing_and_ask_for_nothing(
    graph: Graph, order: Random
) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    turns = shell.turns()
    seen: list[Fact] = []
    for turn in turns:
        seen.append(turn.fact)
        for fact in seen:
            assert decide(shell.compiled.plan, turn.state, fact) == (turn.state, [])


@LAWS
@given(
    graph=graphs(failing="any"),
    order=ORDERS,
    node=st.integers(-2, 12),
    attempt=st.integers(-1, 9),
)
def test_facts_about_what_does_not_run_change_nothing(
    graph: Graph, order: Random, node: int, attempt: int
) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    for turn in shell.turns():
        run = turn.state.running.get(str(node))
        assume(run is None or run.attempt != attempt)
        for fact in (TimerFired(node, attempt, 0), HandlerFinished(0, outputs={"x": 1})):
            assert decide(shell.compiled.plan, turn.state, fact) == (turn.state, [])


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_no_attempt_is_started_twice_and_attempts_follow_one_another(
    graph: Graph, order: Random
) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    tries: dict[int, int] = {}
    in_flight: set[int] = set()
    for turn in shell.turns():
        if isinstance(turn.fact, NodeSucceeded | NodeFailed):
            in_flight.discard(turn.fact.node)
        for command in turn.commands:
            if isinstance(command, StartNode):
                assert command.node not in in_flight
                assert command.attempt == tries.get(command.node, 0) + 1
                tries[command.node] = command.attempt
                in_flight.add(command.node)


# ---- events


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_events_begin_with_the_start_end_with_the_end_and_have_no_gaps(
    graph: Graph, order: Random
) -> None:
    shell = InMemoryShell(graph, order)
    result = shell.run()
    events = events_of(shell.turns())
    assert [event.seq for event in events] == list(range(len(events)))
    assert shell.driver.state.events == len(events)
    assert events[0].type == "graph_run_started"
    assert [event.at for event in events] == sorted(event.at for event in events)
    if result.status == "completed":
        wanted = "graph_run_partial_succeeded" if result.exceptions else "graph_run_succeeded"
        assert events[-1].type == wanted


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS)
def test_the_end_is_the_last_thing_that_is_asked_for_and_comes_once(
    graph: Graph, order: Random
) -> None:
    shell = InMemoryShell(graph, order)
    shell.run()
    commands = [c for turn in shell.turns() for c in turn.commands]
    assert isinstance(commands[-1], FinishRun)
    assert sum(isinstance(c, FinishRun) for c in commands) == 1


# ---- limits


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, limit=st.integers(1, 4))
def test_never_more_nodes_run_than_max_concurrency_allows(
    graph: Graph, order: Random, limit: int
) -> None:
    shell = InMemoryShell(graph, order, config=EngineConfig(max_concurrency=limit))
    result = shell.run()
    assert result.outputs == interpret(graph).outputs
    in_flight: set[int] = set()
    for turn in shell.turns():
        if isinstance(turn.fact, NodeSucceeded | NodeFailed):
            in_flight.discard(turn.fact.node)
        in_flight |= {c.node for c in turn.commands if isinstance(c, StartNode)}
        assert len(in_flight) <= limit
        assert len(turn.state.running) <= limit


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, spare=st.integers(-4, 2))
def test_the_limit_of_steps_is_exact(graph: Graph, order: Random, spare: int) -> None:
    expected = interpret(graph)
    limit = max(0, len(expected.ran) + spare)
    shell = InMemoryShell(graph, order, config=EngineConfig(max_steps=limit))
    result = shell.run()
    if limit >= len(expected.ran):
        assert result.status == "completed"
        return
    assert result.status == "failed"
    assert result.error is not None
    assert result.error.text == f"Max steps exceeded: {limit}"
    assert result.error.error_type == "MaxStepsExceeded"
    assert len(started(shell.turns())) == result.steps == limit


# ---- failing and stopping


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS, limit=st.integers(0, 3))
def test_a_run_that_fails_cancels_exactly_what_runs_and_drops_what_is_ready(
    graph: Graph, order: Random, limit: int
) -> None:
    assume(interpret(graph).fatal)
    shell = InMemoryShell(graph, order, config=EngineConfig(max_concurrency=limit))
    shell.run()
    last = next(t for t in shell.turns() if t.state.phase == "finished")
    ended = last.fact.node if isinstance(last.fact, NodeSucceeded | NodeFailed) else None
    running = {
        (int(key), run.attempt)
        for key, run in last.before.running.items()
        if not run.waiting and int(key) != ended
    }
    assert {(c.node, c.attempt) for c in last.commands if isinstance(c, CancelNode)} == running
    assert not last.state.running
    assert not last.state.ready


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS, steps=st.integers(0, 12))
def test_a_run_can_be_stopped_at_any_moment(graph: Graph, order: Random, steps: int) -> None:
    shell = InMemoryShell(graph, order)
    shell.begin()
    while steps and shell.result is None:
        shell.step()
        steps -= 1
    assume(shell.result is None)
    outputs = shell.driver.state.outputs
    shell.feed(AbortRequested(shell.now(), "enough"))
    assert shell.result is not None
    assert shell.result.status == "aborted"
    assert shell.result.outputs == outputs
    assert shell.result.error is not None
    assert shell.result.error.text == "Workflow aborted: enough"
    assert not shell.in_flight


@LAWS
@given(graph=graphs(failing="any"), order=ORDERS, handler_fails=st.booleans())
def test_the_handler_runs_exactly_if_the_run_failed_and_decides_its_end(
    graph: Graph, order: Random, handler_fails: bool
) -> None:
    error = "Sub-graph execution failed: no" if handler_fails else None
    answer = HandlerFinished(0, outputs={} if error else {"saved": True}, error=error)
    shell = InMemoryShell(graph, order, handler=answer)
    result = shell.run()
    kinds = [event.type for event in events_of(shell.turns())]
    if not interpret(graph).fatal:
        assert "error_handler_started" not in kinds
        assert result.status == "completed"
    elif handler_fails:
        assert kinds[-2:] == ["error_handler_started", "error_handler_failed"]
        assert result.status == "failed"
    else:
        assert kinds[-2:] == ["error_handler_started", "error_handler_succeeded"]
        assert result.status == "failed_with_recovery"
        assert result.outputs == {"saved": True}


# ---- continuing as new


@LAWS
@given(graph=graphs(failing="tolerated"), order=ORDERS, moments=st.sets(st.integers(0, 12)))
def test_a_run_that_continues_as_new_at_any_moments_ends_as_if_it_had_not(
    graph: Graph, order: Random, moments: set[int]
) -> None:
    expected = interpret(graph)
    shell = InMemoryShell(graph, order)
    shell.begin()
    steps = 0
    while shell.result is None:
        if steps in moments:
            shell.drain()
        else:
            shell.step()
        steps += 1
    assert shell.result.status == "completed"
    assert shell.result.outputs == expected.outputs
    assert shell.result.exceptions == expected.exceptions
    assert shell.driver.state.pool.to_json() == expected.pool
    events = events_of(shell.turns())
    assert [event.seq for event in events] == list(range(len(events)))
    assert Counter(started(shell.turns())) == Counter(expected.ran)
    assert not starts([turn for turn in shell.turns() if turn.state.draining])


@LAWS
@given(
    graph=graphs(failing="any"),
    order=ORDERS,
    moment=st.integers(0, 12),
)
def test_one_node_at_a_time_the_log_of_a_continued_run_is_the_undisturbed_one(
    graph: Graph, order: Random, moment: int
) -> None:
    """With more at a time, a drain may let a sibling end before a successor starts."""
    one_at_a_time = EngineConfig(parallel_enabled=False)
    undisturbed = InMemoryShell(graph, order, config=one_at_a_time)
    wanted = undisturbed.run()
    drained = InMemoryShell(graph, order, config=one_at_a_time)  # there is nothing to choose
    drained.begin()
    for _ in range(moment):
        if drained.result is None:
            drained.step()
    if drained.result is None:
        drained.drain()
    result = drained.finish()
    assert without_time(events_of(drained.turns())) == without_time(events_of(undisturbed.turns()))
    times = {"elapsed_ms": result.elapsed_ms, "waited_ms": result.waited_ms}
    assert result == wanted.model_copy(update=times)
