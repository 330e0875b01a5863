"""Where the debugger stops a run, and how it goes on (spec/graph.md 9.1)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.domain.drawn import FAIL_BRANCH, Run
from xworkflow.domain.debugging import DebugAction, DebugCommand, DebugConfig, DebugState
from xworkflow.domain.facts import Debugged, RunStarted
from xworkflow.domain.state import dump_state, load_state


class Debugging(Run):
    """A run in the debugger."""

    def __init__(self, edges: str, *, on_start: bool = False, at: str = "", **more: Any) -> None:
        super().__init__(edges, **more)
        config = DebugConfig(breakpoints=tuple(at.split()), break_on_start=on_start)
        self.state = replace(self.state, debug=DebugState.of(config))

    def say(
        self,
        action: DebugAction,
        node: str | None = None,
        variables: dict[str, Any] | None = None,
    ) -> Debugging:
        command = DebugCommand(action=action, node_id=node, variables=variables or {})
        self.feed(Debugged(command, 0))
        return self

    @property
    def stands(self) -> tuple[str, str, str] | None:
        """(phase, node, reason) of the pause."""
        pause = None if self.state.debug is None else self.state.debug.pause
        if pause is None:
            return None
        return pause.phase, self.plan.nodes[pause.node].id, pause.reason

    @property
    def told(self) -> list[tuple[str, str]]:
        """What happened to which node, in order, and where it stopped."""
        return [
            (event.type.removeprefix("node_run_").removeprefix("debug_"), event.data["node_id"])
            for event in self.log
            if "node_id" in event.data
        ]


def begun(edges: str, **more: Any) -> Debugging:
    run = Debugging(edges, **more)
    run.feed(RunStarted(0))
    return run


def test_a_run_without_breakpoints_never_stops() -> None:
    run = begun("start>a a>end")
    run.ok("start").ok("a").ok("end")
    assert run.result.status == "completed"
    assert run.state.debug is not None
    assert run.state.debug.pauses == 0


def test_break_on_start_stops_before_the_first_node_and_says_initial() -> None:
    run = begun("start>a", on_start=True)
    assert run.stands == ("before", "start", "initial")
    assert (run.started, run.kinds) == ([], ["graph_run_started", "debug_paused"])


def test_continue_leaves_the_initial_mode() -> None:
    run = begun("start>a a>end", on_start=True).say("continue")
    assert run.started == ["start"]
    assert run.kinds == ["debug_resumed", "node_run_started"]
    run.ok("start").ok("a").ok("end")
    assert run.result.status == "completed"


def test_steps_stop_before_and_after_each_node() -> None:
    run = begun("start>a a>end", on_start=True).say("step")
    run.ok("start")
    assert run.stands == ("after", "start", "step")
    assert run.kinds == ["node_run_succeeded", "debug_paused"]
    assert run.say("step").stands == ("before", "a", "step")
    assert run.say("step").started == ["a"]
    run.ok("a")
    assert run.stands == ("after", "a", "step")
    run.say("step").say("step").ok("end")
    assert run.stands == ("after", "end", "step")
    assert run.say("continue").result.status == "completed"


def test_step_over_is_a_step() -> None:
    run = begun("start>a", on_start=True).say("step_over")
    run.ok("start")
    assert run.stands == ("after", "start", "step")


def test_a_breakpoint_stops_before_its_node_each_time_and_once() -> None:
    run = begun("start>a a>b b>end", at="a")
    run.ok("start")
    assert run.stands == ("before", "a", "breakpoint")
    assert run.say("continue").started == ["a"]
    assert run.ok("a").started == ["b"]


def test_a_breakpoint_is_the_reason_before_a_step_is() -> None:
    run = begun("start>a", on_start=True, at="start a")
    assert run.stands == ("before", "start", "breakpoint")
    run.say("step").ok("start")
    run.say("step")
    assert run.stands == ("before", "a", "breakpoint")


def test_breakpoints_change_while_the_run_stands_and_while_it_runs() -> None:
    run = begun("start>a a>b b>c c>end", at="a")
    run.ok("start")
    run.say("add_breakpoint", "c").say("remove_breakpoint", "a").say("add_breakpoint", "b")
    assert run.stands == ("before", "a", "breakpoint")
    assert run.say("continue").started == ["a"]
    run.say("remove_breakpoint", "b")
    assert run.ok("a").started == ["b"]
    run.ok("b")
    assert run.stands == ("before", "c", "breakpoint")
    run.say("clear_breakpoints")
    assert run.stands == ("before", "c", "breakpoint")
    assert run.say("continue").started == ["c"]
    changes = [e.data for e in run.log if e.type == "debug_breakpoint_changed"]
    assert [(c["action"], c["node_id"]) for c in changes] == [
        ("added", "c"),
        ("removed", "a"),
        ("added", "b"),
        ("removed", "b"),
        ("cleared", None),
    ]


def test_a_run_without_a_debugger_gets_one_with_its_first_breakpoint() -> None:
    run = Debugging("start>a a>end")
    run.state = replace(run.state, debug=None)
    run.feed(RunStarted(0))
    run.say("step").say("continue").say("clear_breakpoints")
    assert run.state.debug is None
    run.say("add_breakpoint", "a").ok("start")
    assert run.stands == ("before", "a", "breakpoint")


def test_the_paused_node_sees_changed_variables_and_the_mode_stays() -> None:
    run = begun("start>a a>b b>end", at="a")
    run.ok("start", n=1)
    run.say("update_variables", variables={"start.n": 10, "env:k": "v"})
    assert run.started == ["a"]
    assert run.state.pool.get(("start", "n")) == 10
    assert run.state.pool.get(("env", "k")) == "v"
    assert run.ok("a").started == ["b"]


def test_changed_variables_in_the_initial_mode_stop_before_the_next_node_again() -> None:
    run = begun("start>a", on_start=True).say("update_variables", variables={"env.k": 1})
    run.ok("start")
    assert run.stands == ("before", "a", "initial")


def test_an_abort_fails_the_run_and_tells_no_graph_run_aborted() -> None:
    run = begun("start>a", on_start=True)
    run.feed(Debugged(DebugCommand(action="abort"), 0))
    assert run.error == "Workflow aborted: User aborted"
    assert "graph_run_aborted" not in run.kinds
    named = begun("start>a", on_start=True)
    named.feed(Debugged(DebugCommand(action="abort", reason="wrong file"), 0))
    assert named.error == "Workflow aborted: wrong file"


@pytest.mark.parametrize("action", ["step", "continue", "abort", "update_variables"])
def test_what_needs_a_pause_does_nothing_without_one(action: DebugAction) -> None:
    run = begun("start>a", at="a")
    before = run.state
    run.say(action)
    assert (run.state, run.commands) == (before, [])


def test_a_node_that_pauses_is_taken_before_all_others_and_runs_alone() -> None:
    run = begun("start>a start>b start>c a>join b>join c>join", at="b")
    run.ok("start")
    assert (run.started, run.stands) == ([], ("before", "b", "breakpoint"))
    assert run.say("continue").started == ["b"]
    assert run.ok("b").started == ["c", "a"]
    run.ok("a").ok("c")
    assert run.started == ["join"]


def test_a_node_that_pauses_waits_until_nothing_else_runs() -> None:
    run = begun("start>a start>b a>x b>y b>z", at="x")
    run.ok("start").ok("a")
    assert (run.started, run.stands) == ([], None)
    assert run.ok("b").stands == ("before", "x", "breakpoint")
    assert run.say("continue").started == ["x"]
    assert run.ok("x").started == ["z", "y"]


def test_what_does_not_pause_starts_while_others_run() -> None:
    run = begun("start>a start>b a>x b>y", at="x")
    run.ok("start").ok("a")
    assert run.stands is None
    run = begun("start>a start>b a>x b>y", at="x")
    run.ok("start").ok("b")
    assert run.started == ["y"]


def test_in_step_mode_branches_run_one_after_another_from_the_last_drawn() -> None:
    run = begun("start>a start>b a>join b>join", on_start=True).say("step")
    run.ok("start").say("step")
    assert run.stands == ("before", "b", "step")
    assert run.say("step").started == ["b"]
    run.ok("b").say("step")
    assert run.stands == ("before", "a", "step")


def test_continue_starts_the_other_branches_when_the_node_of_the_pause_has_ended() -> None:
    run = begun("start>a start>b", on_start=True).say("step")
    run.ok("start").say("step")
    assert run.stands == ("before", "b", "step")
    assert run.say("continue").started == ["b"]
    assert run.ok("b").started == ["a"]


def test_a_failed_node_has_no_stop_after_it() -> None:
    run = begun("start>a a:fail-branch>b", on_start=True, strategies={"a": FAIL_BRANCH})
    run.say("step").ok("start").say("step").say("step").fail("a")
    assert run.stands == ("before", "b", "step")


def test_skipped_nodes_are_not_stopped_at() -> None:
    run = begun("start>a a:yes>b a:no>c c>end b>end", at="b c")
    run.ok("start").ok("a", handle="no")
    assert run.stands == ("before", "c", "breakpoint")
    run.say("continue").ok("c").ok("end")
    assert run.result.status == "completed"


def test_a_pause_survives_a_dump_of_the_state() -> None:
    run = begun("start>a a>end", on_start=True, at="a")
    run.say("step").ok("start")
    run.state = load_state(dump_state(run.state))
    assert run.stands == ("after", "start", "step")
    run.say("continue")
    run.state = load_state(dump_state(run.state))
    assert run.stands == ("before", "a", "breakpoint")
    assert run.say("continue").started == ["a"]


def test_the_count_of_pauses_tells_one_from_the_next() -> None:
    run = begun("start>a a>end", on_start=True)
    counts: list[int] = []
    for done in ("start", None, "a"):
        assert run.state.debug is not None
        counts.append(run.state.debug.pauses)
        run.say("step")
        if done is not None:
            run.ok(done)
    assert counts == [1, 2, 3]


def test_a_pause_is_no_time_of_activity() -> None:
    run = begun("start>a a>end", at="a")
    run.ok("start", at=10)
    run.feed(Debugged(DebugCommand(action="continue"), 5000))
    run.ok("a", at=5100).ok("end", at=5100)
    assert run.result.elapsed_ms == 110
