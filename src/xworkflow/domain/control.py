"""How commands from outside move a run: pause, safe stop, new values of variables, forks (5.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xworkflow.domain import events

if TYPE_CHECKING:
    from xworkflow.domain.facts import (
        Forked,
        PauseLifted,
        PauseRequested,
        SafeStopRequested,
        VariablesUpdated,
    )
    from xworkflow.domain.turn import Turn


def pause(turn: Turn, fact: PauseRequested) -> None:
    """Start nothing new. What runs goes on, and so do the time limits of forms."""
    if turn.paused or turn.phase not in ("new", "running"):
        return
    turn.see(fact.at)
    turn.paused = True
    if turn.phase == "running":
        turn.emit(events.workflow_paused(None, None))


def lift(turn: Turn, fact: PauseLifted) -> None:
    """Go on, first with the attempts that were held back."""
    if not turn.paused:
        return
    turn.see(fact.at)
    turn.paused = False
    if turn.phase == "running":
        turn.emit(events.workflow_resumed(None))
    held, turn.held = turn.held, ()
    for index in held:
        turn.start_again(index)


def safe_stop(turn: Turn, fact: SafeStopRequested) -> None:
    """Let what is in flight end, and then the run (9.3)."""
    if turn.phase == "new":
        turn.begin(fact.at)
        turn.enqueue_root()
    if turn.phase != "running":
        return
    turn.see(fact.at)
    turn.stopping = True


def update_variables(turn: Turn, fact: VariablesUpdated) -> None:
    """Write at once; only nodes that start later see it (5.7)."""
    if turn.phase not in ("new", "running"):
        return
    turn.see(fact.at)
    for selector, value in fact.values:
        turn.pool = turn.pool.set(selector, value)
    turn.emit(events.variables_updated([".".join(selector) for selector, _ in fact.values]))


def fork(turn: Turn, fact: Forked) -> None:
    """Begin a run whose state is that of another one, cut back to a node (engine/forking.py)."""
    if turn.phase != "new":
        return
    turn.begin(fact.at)
    turn.emit(events.checkpoint_resumed(fact.node_id or None, fact.origin))
    for warning in fact.warnings:
        turn.emit(events.resume_warning(None, warning))
    turn.restart_waits()
