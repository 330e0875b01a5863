"""How people move a run: questions, answers, and answers that never come (9.4)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from xworkflow.domain import events
from xworkflow.domain.commands import StartTimer, TimeOutInput
from xworkflow.domain.state import Asked

if TYPE_CHECKING:
    from xworkflow.domain.facts import (
        InputReceived,
        InputRefused,
        InputRequested,
        InputTimedOut,
        TimerFired,
    )
    from xworkflow.domain.state import Running
    from xworkflow.domain.turn import Turn


def requested(turn: Turn, fact: InputRequested) -> None:
    """A node asks. Other branches go on meanwhile."""
    key = str(fact.node)
    run = turn.running.get(key)
    if run is None or run.waiting or run.attempt != fact.attempt:
        return
    turn.see(fact.at)
    node, form, token = turn.plan.nodes[fact.node], fact.form, turn.next_id()
    wait = None if form.timeout_secs is None else max(1, round(form.timeout_secs * 1000))
    due = None if wait is None else turn.now + wait
    turn.running = turn.running.set(key, replace(run, due_at=due, asks=True))
    turn.asked = turn.asked.set(key, Asked(token, form))
    turn.emit(events.human_input_requested(node, token, form, due))
    turn.emit(events.workflow_paused(node.id, form.prompt_text))
    if wait is not None:
        turn.commands.append(StartTimer(fact.node, run.attempt, wait, "input"))


def received(turn: Turn, fact: InputReceived) -> None:
    """The first answer that fits wins; later ones change nothing."""
    answered = _answered(turn, fact.node, fact.at)
    if answered is None:
        return
    run, asked = answered
    node = turn.plan.nodes[fact.node]
    turn.emit(events.human_input_received(node, asked.token, fact.answer))
    turn.emit(events.workflow_resumed(node.id))
    turn.node_succeeded(node, run, fact.result)


def refused(turn: Turn, fact: InputRefused) -> None:
    """An answer that does not fit is told of, and the node keeps waiting."""
    if str(fact.node) not in turn.asked:
        return
    turn.see(fact.at)
    for problem in fact.problems:
        turn.emit(events.resume_warning(turn.plan.nodes[fact.node].id, problem))


def time_is_up(turn: Turn, fact: TimerFired) -> None:
    """Nobody answered: the node says what that means."""
    key = str(fact.node)
    asked, run = turn.asked.get(key), turn.running.get(key)
    if asked is None or run is None or run.attempt != fact.attempt:
        return
    turn.see(fact.at)
    node = turn.plan.nodes[fact.node]
    turn.emit(events.human_input_timeout(node, asked.token, asked.form.timeout_action))
    turn.commands.append(TimeOutInput(fact.node, asked.form))


def timed_out(turn: Turn, fact: InputTimedOut) -> None:
    """Go on with what the form says for that case, or fail: the node in Dify's dialect, and the
    whole run in the native one, whose error strategies do not apply (9.4)."""
    answered = _answered(turn, fact.node, fact.at)
    if answered is None:
        return
    run, asked = answered
    node = turn.plan.nodes[fact.node]
    if fact.failure is not None and turn.plan.dialect == "dify":
        turn.node_failed(node, run, fact.failure.model_copy(update={"retryable": False}))
        return
    if fact.failure is not None:
        turn.fail(f"Node error: {fact.failure.text}", "InternalError")
        return
    assert fact.result is not None  # noqa: S101 - exactly one of both is set
    turn.emit(events.human_input_received(node, asked.token, None))
    turn.emit(events.workflow_resumed(node.id))
    turn.node_succeeded(node, run, fact.result)


def _answered(turn: Turn, index: int, at: int) -> tuple[Running, Asked] | None:
    key = str(index)
    asked, run = turn.asked.get(key), turn.running.get(key)
    if asked is None or run is None:
        return None
    turn.see(at)
    turn.running = turn.running.without(key)
    turn.asked = turn.asked.without(key)
    return replace(run, due_at=None, asks=False), asked
