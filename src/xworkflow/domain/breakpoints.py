"""How the debugger moves a run: it stops before and after nodes, and goes on when told (9.1).

A node that would stop the run always runs alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from xworkflow.domain import events
from xworkflow.domain.debugging import (
    DebugCommand,
    DebugPause,
    DebugPhase,
    DebugReason,
    DebugState,
)
from xworkflow.domain.selectors import SelectorError, parse_selector

if TYPE_CHECKING:
    from xworkflow.domain.facts import Debugged
    from xworkflow.domain.plan import PlanNode
    from xworkflow.domain.turn import Turn


def holds(turn: Turn) -> bool:
    """Whether the run stands at a pause."""
    return turn.debug is not None and turn.debug.pause is not None


def next_ready(turn: Turn) -> int | None:
    """The place of the next node to start in the stack of ready ones; None when it has to wait.

    Stops the run before the last ready node that has a pause, once nothing else runs.
    """
    debug = turn.debug
    assert debug is not None  # noqa: S101 - the caller looked
    alone = debug.passed is not None and str(debug.passed) in turn.running
    if debug.pause is not None or alone:
        return None
    last = len(turn.ready) - 1
    pausing = [i for i in range(last, -1, -1) if _reason(turn, debug, turn.ready[i][0])]
    if turn.running:
        free = (i for i in range(last, -1, -1) if i not in pausing)
        return next(free, None)
    if not pausing:
        return last
    place = pausing[0]
    index = turn.ready[place][0]
    if debug.passed == index:
        return place
    _stop(turn, index, "before", _reason(turn, debug, index) or "step")
    return None


def after(turn: Turn, node: PlanNode) -> None:
    """Stop after a node that succeeded, in step mode."""
    if turn.debug is not None and turn.debug.mode == "step" and turn.phase == "running":
        _stop(turn, node.index, "after", "step")


def debugged(turn: Turn, fact: Debugged) -> None:
    """What the debugger's user said. What needs a pause does nothing without one. A run that was
    started without a debugger gets one with its first breakpoint."""
    debug, command = turn.debug, fact.command
    if debug is None and command.action == "add_breakpoint":
        debug = DebugState()
    if debug is None or turn.phase not in ("new", "running"):
        return
    turn.see(fact.at)
    if command.action.endswith(("_breakpoint", "_breakpoints")):
        _change_breakpoints(turn, debug, command)
    elif debug.pause is not None:
        _move(turn, debug, fact)


def _change_breakpoints(turn: Turn, debug: DebugState, command: DebugCommand) -> None:
    others = tuple(b for b in debug.breakpoints if b != command.node_id)
    match command.action:
        case "add_breakpoint" if command.node_id is not None:
            turn.debug = debug.model_copy(update={"breakpoints": (*others, command.node_id)})
            turn.emit(events.debug_breakpoint_changed("added", command.node_id))
        case "remove_breakpoint" if command.node_id is not None:
            turn.debug = debug.model_copy(update={"breakpoints": others})
            turn.emit(events.debug_breakpoint_changed("removed", command.node_id))
        case "clear_breakpoints":
            turn.debug = debug.model_copy(update={"breakpoints": ()})
            turn.emit(events.debug_breakpoint_changed("cleared", None))
        case _:
            pass


def _move(turn: Turn, debug: DebugState, fact: Debugged) -> None:
    match fact.command.action:
        case "step" | "step_over":
            _go_on(turn, debug.model_copy(update={"mode": "step"}))
        case "continue":
            _go_on(turn, debug.model_copy(update={"mode": "run"}))
        case "update_variables":
            _write(turn, fact)
            _go_on(turn, debug)
        case "abort":
            turn.debug = debug.model_copy(update={"pause": None})
            turn.fail(f"Workflow aborted: {fact.command.reason or 'User aborted'}", "Aborted")
        case _:
            pass


def _write(turn: Turn, fact: Debugged) -> None:
    for name, value in fact.command.variables.items():
        try:
            selector = parse_selector(name.replace(":", ".", 1))
        except SelectorError:
            continue  # the update that carried it was refused with the reason
        turn.pool = turn.pool.set(selector, value)


def _go_on(turn: Turn, debug: DebugState) -> None:
    pause = debug.pause
    assert pause is not None  # noqa: S101 - the caller looked
    passed = pause.node if pause.phase == "before" else None
    turn.debug = debug.model_copy(update={"pause": None, "passed": passed})
    turn.emit(events.debug_resumed())


def _stop(turn: Turn, index: int, phase: DebugPhase, reason: DebugReason) -> None:
    assert turn.debug is not None  # noqa: S101 - the callers looked
    pause = DebugPause(node=index, phase=phase, reason=reason)
    turn.debug = turn.debug.model_copy(update={"pause": pause, "pauses": turn.debug.pauses + 1})
    turn.emit(events.debug_paused(reason, turn.plan.nodes[index], phase))


def _reason(turn: Turn, debug: DebugState, index: int) -> DebugReason | None:
    """Why the run would stop before a node."""
    node = turn.plan.nodes[index]
    if node.silent:
        return None
    if node.id in debug.breakpoints:
        return "breakpoint"
    if debug.mode == "step":
        return "step"
    return "initial" if debug.mode == "initial" else None
