"""``decide(plan, state, fact) → (state, commands)``: the state machine of a run.

Theory of operation. A run is a fold of ``decide`` over the facts that happen to it. The function is
pure: the same plan, state and fact give the same answer in a workflow, in its replay, in a local
region, in a reader of a history and in a test. This is the table of everything that moves a run:

==================  ====================================================================
fact                what it does
==================  ====================================================================
RunStarted          the root becomes ready
NodeSucceeded       outputs into the pool, edges taken or skipped, successors become ready
NodeFailed          another attempt (6.3), or the error strategy (6.2), or the run fails
TimerFired          the next attempt, a form's time limit, a gather's, or a container's
RepeatOpened        a container gives out its first chunks             (domain/chunks.py)
ChunkFinished       …its next ones, or closes, or fails
InputRequested      a node waits for a person                          (domain/people.py)
InputReceived       …and goes on with the answer
InputRefused        …and goes on waiting
InputTimedOut       …and goes on without an answer, or the run fails
PauseRequested      nothing new starts                                 (domain/control.py)
PauseLifted         what was held back starts
SafeStopRequested   nothing new starts; the run ends when nothing is in flight
VariablesUpdated    variables are written
Forked              a new run begins in the middle of another one's state
Debugged            a breakpoint, a step                           (domain/breakpoints.py)
HandlerFinished     the failed run ends, recovered or not (6.5)
AbortRequested      the run fails with ``Workflow aborted: …``; its error handler is stopped
DrainRequested      nothing new starts; once nothing but waits is left, ContinueAsNew
Resumed             a drained run goes on
==================  ====================================================================

After each fact every ready node is started, up to the concurrency limit (5.3). Facts about attempts
that are not running (late, repeated, of a failed run) change nothing, and do not move the run's
clock either: a reader of a history sees some that the workflow never did. Section numbers are those
of spec/graph.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from xworkflow.domain import breakpoints, chunks, control, events, gathering, people
from xworkflow.domain.commands import CancelHandler, Command
from xworkflow.domain.facts import (
    AbortRequested,
    ChunkFinished,
    Debugged,
    DrainRequested,
    Fact,
    Forked,
    HandlerFinished,
    InputReceived,
    InputRefused,
    InputRequested,
    InputTimedOut,
    NodeFailed,
    NodeSucceeded,
    PauseLifted,
    PauseRequested,
    RepeatOpened,
    Resumed,
    RunStarted,
    SafeStopRequested,
    TimerFired,
    VariablesUpdated,
)
from xworkflow.domain.plan import Plan
from xworkflow.domain.state import RunState
from xworkflow.domain.turn import Turn


def decide(plan: Plan, state: RunState, fact: Fact) -> tuple[RunState, list[Command]]:
    """Take one fact in. Pure; never raises for any fact (a wrong one changes nothing)."""
    turn = Turn(plan, state)
    _HANDLERS[type(fact)](turn, fact)
    turn.schedule()
    return turn.freeze(), turn.commands


def _start(turn: Turn, fact: RunStarted) -> None:
    if turn.phase == "new":
        turn.begin(fact.at)
        turn.enqueue_root()


def _succeeded(turn: Turn, fact: NodeSucceeded) -> None:
    run = turn.take_running(fact.node, fact.attempt, fact.at)
    if run is not None:
        turn.node_succeeded(turn.plan.nodes[fact.node], run, fact.result)


def _failed(turn: Turn, fact: NodeFailed) -> None:
    run = turn.take_running(fact.node, fact.attempt, fact.at)
    if run is not None:
        turn.node_failed(turn.plan.nodes[fact.node], run, fact.failure)


def _timer_fired(turn: Turn, fact: TimerFired) -> None:
    if turn.draining:
        return  # what follows would be lost with this history: restart_waits() has the wait
    match fact.kind:
        case "retry":
            _next_attempt(turn, fact)
        case "input":
            people.time_is_up(turn, fact)
        case "join":
            gathering.time_is_up(turn, fact)
        case "limit":
            chunks.time_is_up(turn, fact)


def _next_attempt(turn: Turn, fact: TimerFired) -> None:
    run = turn.running.get(str(fact.node))
    if run is None or not run.waiting or run.asks or run.attempt != fact.attempt:
        return
    turn.see(fact.at)
    if turn.paused or turn.stopping:
        turn.hold(fact.node)
    else:
        turn.start_again(fact.node)


def _drain(turn: Turn, fact: DrainRequested) -> None:
    turn.see(fact.at)
    turn.draining = turn.phase == "running"


def _resume(turn: Turn, fact: Resumed) -> None:
    """Go on in a new history: the waits of the old one are started again with what is left."""
    turn.see(fact.at)
    turn.draining = False
    turn.held = ()
    turn.restart_waits()


def _abort(turn: Turn, fact: AbortRequested) -> None:
    if turn.phase == "handling":
        turn.commands.append(CancelHandler())  # the run has failed already
    elif turn.phase == "new":
        turn.begin(fact.at)  # it waits for its admission, and never starts a node
    if turn.phase != "running":
        return
    turn.see(fact.at)
    reason = fact.reason or "aborted by command"
    turn.emit(events.graph_run_aborted(reason, turn.outputs))
    turn.fail(f"Workflow aborted: {reason}", "Aborted")


def _handler_finished(turn: Turn, fact: HandlerFinished) -> None:
    if turn.phase != "handling" or turn.failure is None or turn.plan.error_handler is None:
        return
    turn.see(fact.at)
    if fact.error is None:
        turn.emit(events.error_handler_succeeded(fact.outputs))
    else:
        turn.emit(events.error_handler_failed(fact.error))
    if fact.error is None and turn.plan.error_handler.mode == "recover":
        turn.finish("failed_with_recovery", fact.outputs)
    else:
        turn.finish("aborted" if turn.failure.error_type == "Aborted" else "failed", turn.outputs)


_HANDLERS: dict[type[Any], Callable[[Turn, Any], None]] = {
    RunStarted: _start,
    NodeSucceeded: _succeeded,
    NodeFailed: _failed,
    TimerFired: _timer_fired,
    RepeatOpened: chunks.opened,
    ChunkFinished: chunks.finished,
    InputRequested: people.requested,
    InputReceived: people.received,
    InputRefused: people.refused,
    InputTimedOut: people.timed_out,
    PauseRequested: control.pause,
    PauseLifted: control.lift,
    SafeStopRequested: control.safe_stop,
    VariablesUpdated: control.update_variables,
    Forked: control.fork,
    Debugged: breakpoints.debugged,
    HandlerFinished: _handler_finished,
    AbortRequested: _abort,
    DrainRequested: _drain,
    Resumed: _resume,
}
