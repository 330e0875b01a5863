"""What a run has done so far, as a fork needs it: who started when, gave what, and wrote where.

A ``RunState`` says where a run stands. It does not say which node wrote a conversation variable, or
in what order nodes ended. A ``Retracing`` driver notes that while a reader feeds it the run's facts
once more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from xworkflow.domain.commands import CloseRepeat, Command, Emit, StartNode
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    ChunkFinished,
    Debugged,
    Fact,
    InputReceived,
    InputTimedOut,
    NodeFailed,
    NodeSucceeded,
    VariablesUpdated,
)
from xworkflow.domain.plan import FAIL_BRANCH
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.selectors import Selector, SelectorError, parse_selector
from xworkflow.domain.state import RunState
from xworkflow.domain.values import JsonValue
from xworkflow.engine.compile import Compiled
from xworkflow.engine.driver import Driver, Effect


@dataclass(frozen=True, slots=True)
class Started:
    """The first attempt of a node began."""

    node_id: str


@dataclass(frozen=True, slots=True)
class Ended:
    """A node gave its result, or an exception stands for it. ``answer`` is what the answers inside
    of a container said."""

    node_id: str
    result: NodeRunResult
    exceptions: int = 0
    answer: JsonValue = None


@dataclass(frozen=True, slots=True)
class Wrote:
    """Values were written on the way: by a container's bodies, or (``node_id`` None) by somebody
    outside. ``exceptions`` are failures that the bodies tolerated."""

    node_id: str | None
    values: tuple[tuple[Selector, JsonValue], ...]
    exceptions: int = 0


Note: TypeAlias = Started | Ended | Wrote


@dataclass(frozen=True, slots=True)
class Past:
    """A run up to some moment: its first state and the present one, and the notes in between.

    What ``first`` has as done already (of a run that is a fork itself) is in no note.
    """

    compiled: Compiled
    first: RunState
    state: RunState
    notes: tuple[Note, ...] = ()


class Retracing(Driver):
    """Carries a reader's run, and adds to ``notes`` what a fork of it needs."""

    def __init__(self, compiled: Compiled, state: RunState, notes: list[Note]) -> None:
        super().__init__(compiled, state)
        self._notes = notes
        self._results: dict[int, NodeRunResult] = {}
        self._answers: dict[int, str | None] = {}

    def feed(self, fact: Fact) -> list[Effect]:
        self._see(fact)
        match fact:
            case ChunkFinished():
                self._see_chunk(fact)
            case VariablesUpdated(values) if self.state.phase in ("new", "running"):
                self._notes.append(Wrote(None, values))
            case Debugged() if fact.command.action == "update_variables":
                self._see_debugger(fact)
            case _:
                pass
        return super().feed(fact)

    def _done_here(self, command: Command) -> Fact | None:
        match command:
            case StartNode(node, 1):
                self._notes.append(Started(self.plan.nodes[node].id))
            case CloseRepeat(node):
                progress = self.state.repeats.get(str(node))
                self._answers[node] = None if progress is None else progress.answer
            case Emit(event):
                self._see_event(event)
            case _:
                pass
        fact = super()._done_here(command)
        if fact is not None:
            self._see(fact)
        return fact

    def _see(self, fact: Fact) -> None:
        """Keep what a node gives until an event tells that it counts."""
        match fact:
            case NodeSucceeded(node) | InputReceived(node):
                self._results[node] = fact.result
            case InputTimedOut(node) if fact.result is not None:
                self._results[node] = fact.result
            case NodeFailed(node) | InputTimedOut(node):
                self._results.pop(node, None)
            case _:
                pass

    def _see_event(self, event: GraphEngineEvent) -> None:
        if event.type not in ("node_run_succeeded", "node_run_exception"):
            return
        index = self.plan.index_of[event.data["node_id"]]
        excepted = event.type == "node_run_exception"
        result = self._results.pop(index, None)
        if result is None:
            result = self._tolerated(index)
        answer = self._answers.pop(index, None)
        self._notes.append(Ended(self.plan.nodes[index].id, result, int(excepted), answer))

    def _tolerated(self, index: int) -> NodeRunResult:
        """What an error strategy made of a failure (6.2)."""
        node = self.plan.nodes[index]
        branch = FAIL_BRANCH if node.error_strategy.type == FAIL_BRANCH else None
        outputs = dict(self.state.pool.namespace(node.id))
        return NodeRunResult(outputs=outputs, edge_source_handle=branch)

    def _see_chunk(self, fact: ChunkFinished) -> None:
        run = self.state.running.get(str(fact.node))
        progress = self.state.repeats.get(str(fact.node))
        if run is None or progress is None or run.attempt != fact.attempt:
            return
        if progress.take(fact.start, fact.end) is None:
            return
        values = tuple((write.selector, write.value) for write in fact.end.writes)
        self._notes.append(Wrote(self.plan.nodes[fact.node].id, values, fact.end.exceptions))

    def _see_debugger(self, fact: Debugged) -> None:
        if self.state.debug is None or self.state.debug.pause is None:
            return
        values: list[tuple[Selector, JsonValue]] = []
        for name, value in fact.command.variables.items():
            try:
                values.append((parse_selector(name.replace(":", ".", 1)), value))
            except SelectorError:
                continue
        self._notes.append(Wrote(None, tuple(values)))
