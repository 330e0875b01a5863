"""How containers move a run: chunks of items go out to child workflows and come back (7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from xworkflow.domain import events, repeats, responses
from xworkflow.domain.commands import CancelChunk, CloseRepeat, StartChunk, StartTimer
from xworkflow.errors import NodeFailure

if TYPE_CHECKING:
    from xworkflow.domain.facts import ChunkFinished, RepeatOpened, TimerFired
    from xworkflow.domain.plan import PlanNode
    from xworkflow.domain.repeats import Progress
    from xworkflow.domain.results import NodeRunResult
    from xworkflow.domain.state import Running
    from xworkflow.domain.turn import Turn


def opened(turn: Turn, fact: RepeatOpened) -> None:
    """Note what there is to do; ``give_out`` does the rest."""
    key = str(fact.node)
    run = turn.running.get(key)
    if run is None or run.waiting or run.attempt != fact.attempt or key in turn.repeats:
        return
    turn.see(fact.at)
    node = turn.plan.nodes[fact.node]
    quiet = responses.container_opens(turn, node, fact.repeat)
    progress = repeats.opened(fact.repeat, quick=node.quick, quiet=quiet)
    inputs = {} if fact.repeat.items is None else {"items": list(fact.repeat.items)}
    turn.emit(events.repeat_started(node, inputs))
    if node.timeout_secs is not None:
        limit = max(1, round(node.timeout_secs * 1000))
        turn.commands.append(StartTimer(node.index, run.attempt, limit, "limit"))
        progress = progress.model_copy(update={"due_at": turn.now + limit})
    turn.repeats = turn.repeats.set(key, progress)


def give_out(turn: Turn) -> None:
    """Fill every free place with the next chunk; close what has nothing left."""
    for key, progress in list(turn.repeats.items()):
        run = turn.running.get(key)
        if run is not None and not run.waiting and not progress.closing:
            turn.repeats = turn.repeats.set(key, _given_out(turn, int(key), run, progress))


def _given_out(turn: Turn, index: int, run: Running, progress: Progress) -> Progress:
    while True:
        progress, chunk = progress.give_out()
        if chunk is None:
            break
        turn.commands.append(
            StartChunk(
                index,
                run.attempt,
                run.execution_id,
                chunk.start,
                chunk.count,
                progress.window,
                progress.quiet,
            )
        )
    if not progress.is_over:
        return progress
    turn.commands.append(CloseRepeat(index, run.attempt, progress.repeat, progress.end))
    return progress.model_copy(update={"closing": True})


def finished(turn: Turn, fact: ChunkFinished) -> None:
    """Take a chunk's results in, or fail the container with it."""
    key = str(fact.node)
    run, progress = turn.running.get(key), turn.repeats.get(key)
    if run is None or progress is None or run.attempt != fact.attempt:
        return
    advanced = progress.take(fact.start, fact.end)
    if advanced is None:
        return
    turn.see(fact.at)
    end = fact.end
    turn.repeats = turn.repeats.set(key, advanced)
    turn.add_usage(end.usage)
    turn.exceptions += end.exceptions
    # also where other branches worked meanwhile: a run must not fail for the time of its people
    turn.waited_ms += min(end.waited_ms, max(0, turn.now - turn.started_at - turn.waited_ms))
    for write in end.writes:
        turn.pool = turn.pool.set(write.selector, write.value)
    error = end.error
    if end.stopped and not turn.stopping:  # by somebody who did not tell the run
        error = "Sub-graph execution failed: it was stopped by itself"
    if error is not None:
        _fail(turn, key, NodeFailure.of_kind("execution_error", error))


def closed(turn: Turn, node: PlanNode, result: NodeRunResult) -> None:
    """The container has its result."""
    key = str(node.index)
    progress = turn.repeats.get(key)
    if progress is None:
        return
    turn.repeats = turn.repeats.without(key)
    end = progress.end
    turn.emit(events.repeat_succeeded(node, result.outputs, end.rounds or len(end.outcomes)))
    if progress.answer is not None:
        turn.add_outputs(node, {"answer": progress.answer})


def given_up(turn: Turn, node: PlanNode, run: Running, failure: NodeFailure) -> None:
    """The container failed: what is still open is stopped."""
    key = str(node.index)
    progress = turn.repeats.get(key)
    if progress is None:
        return
    turn.repeats = turn.repeats.without(key)
    turn.commands += [CancelChunk(node.index, run.attempt, c.start) for c in progress.open]
    end = progress.end
    turn.emit(events.repeat_failed(node, failure.text, end.rounds or len(end.outcomes)))


def time_is_up(turn: Turn, fact: TimerFired) -> None:
    """A container has used the time of one attempt."""
    key = str(fact.node)
    run = turn.running.get(key)
    if run is None or run.attempt != fact.attempt or key not in turn.repeats:
        return
    turn.see(fact.at)
    secs = turn.plan.nodes[fact.node].timeout_secs or 0
    shown = int(secs) if secs == int(secs) else secs
    _fail(turn, key, NodeFailure.timeout(f"Node execution timed out after {shown}s"))


def _fail(turn: Turn, key: str, failure: NodeFailure) -> None:
    run = turn.running[key]
    turn.running = turn.running.without(key)
    turn.node_failed(turn.plan.nodes[int(key)], run, failure)
