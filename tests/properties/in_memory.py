"""A shell in memory: it carries out what the driver asks for, in an order that chance decides."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from random import Random
from typing import Any

from tests.properties.graphs import compile_graph, result_of
from tests.properties.naive import Graph, attempt
from xworkflow.domain.commands import (
    CancelHandler,
    CancelNode,
    Command,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartHandler,
    StartNode,
    StartTimer,
)
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    DrainRequested,
    Fact,
    HandlerFinished,
    NodeFailed,
    NodeSucceeded,
    Resumed,
    RunStarted,
    TimerFired,
)
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.plan import Plan
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.scheduler import decide
from xworkflow.domain.schema import ErrorHandler, SubGraph
from xworkflow.domain.state import RunState, dump_state, initial_state, load_state
from xworkflow.engine.compile import Compiled
from xworkflow.engine.driver import Driver, Effect


class RecordingDriver(Driver):
    """Keeps the facts in the order in which ``decide`` saw them."""

    def __init__(self, compiled: Compiled, state: RunState) -> None:
        super().__init__(compiled, state)
        self.facts: list[Fact] = []

    def feed(self, fact: Fact) -> list[Effect]:
        self.facts.append(fact)
        return super().feed(fact)

    def _run_inline(self, start: StartNode) -> Fact:
        fact = super()._run_inline(start)
        self.facts.append(fact)
        return fact


@dataclass(frozen=True)
class Turn:
    """One call of ``decide``."""

    fact: Fact
    before: RunState
    state: RunState
    commands: list[Command]


class InMemoryShell:
    """One run. Which of the running nodes and timers is next is drawn from ``order``; the state is
    dumped and loaded after each of them. ``handler`` is the answer of a recovering error handler.
    """

    def __init__(
        self,
        graph: Graph,
        order: Random,
        *,
        config: EngineConfig | None = None,
        handler: HandlerFinished | None = None,
    ) -> None:
        self.graph = graph
        self.compiled = compile_graph(graph)
        if handler is not None:
            recovering = ErrorHandler(sub_graph=SubGraph(nodes=(), edges=()), mode="recover")
            plan = replace(self.compiled.plan, error_handler=recovering)
            self.compiled = replace(self.compiled, plan=plan)
        self.first = fresh_state(self.compiled.plan, config)
        self.driver = RecordingDriver(self.compiled, self.first)
        self.in_flight: list[StartNode] = []
        self.timers: list[StartTimer] = []
        self.result: RunResult | None = None
        self.drained = False
        self._handler = handler
        self._order = order
        self._clock = 1_000

    def begin(self) -> None:
        self.feed(RunStarted(self.now()))

    def run(self) -> RunResult:
        """Carry the run to its end."""
        self.begin()
        return self.finish()

    def finish(self) -> RunResult:
        while self.result is None:
            self.step()
        return self.result

    @property
    def waits(self) -> int:
        """How many things of the world may happen next."""
        return len(self.in_flight) + len(self.timers)

    def step(self) -> None:
        """Let one thing happen."""
        assert self.waits, "the run stands still and has not ended"
        chosen = self._order.randrange(self.waits)
        if chosen < len(self.in_flight):
            self.feed(self.answer(self.in_flight.pop(chosen)))
        else:
            timer = self.timers.pop(chosen - len(self.in_flight))
            self.feed(TimerFired(timer.node, timer.attempt, self.now()))

    def drain(self) -> None:
        """Ask the run to continue as new, and let it."""
        self.feed(DrainRequested(self.now()))
        while self.result is None and not self.drained:
            self.step()
        if self.result is None:
            assert not self.in_flight, "an attempt would be lost with its history"
            self.timers.clear()
            self.drained = False
            self.feed(Resumed(self.now()))

    def answer(self, start: StartNode) -> Fact:
        name = self.compiled.plan.nodes[start.node].id
        node = next(node for node in self.graph.nodes if node.id == name)
        scripted = attempt(node, start.attempt)
        if scripted.failure is not None:
            return NodeFailed(start.node, start.attempt, scripted.failure, self.now())
        return NodeSucceeded(start.node, start.attempt, result_of(scripted), self.now())

    def feed(self, fact: Fact) -> None:
        assert self.result is None, "the run has ended"
        effects = self.driver.feed(fact)
        loaded = reloaded(self.driver.state)
        assert loaded == self.driver.state
        self.driver.state = loaded
        for effect in effects:
            self.perform(effect)

    def perform(self, effect: Effect) -> None:
        match effect:
            case StartNode():
                self.in_flight.append(effect)
            case StartTimer():
                self.timers.append(effect)
            case CancelNode():
                self.in_flight = [s for s in self.in_flight if s.node != effect.node]
            case StartHandler():
                assert self._handler is not None
                self.feed(replace(self._handler, at=self.now()))
            case FinishRun():
                self.result = effect.result
            case ContinueAsNew():
                self.drained = True
            case Emit() | CancelHandler():
                pass  # the handler answers at once
            case _:
                raise AssertionError(effect)  # a scripted graph has no sub-graphs

    def now(self) -> int:
        """Time moves on by chance, and at times it stands."""
        self._clock += self._order.choice([0, 1, 17])
        return self._clock

    def turns(self) -> list[Turn]:
        """What ``decide`` saw and said, one entry for each fact."""
        return fold(self.compiled.plan, self.first, self.driver.facts)


def fresh_state(plan: Plan, config: EngineConfig | None = None) -> RunState:
    """The state of a run that has not started, with an empty pool."""
    return initial_state(plan, pool=VariablePool(), config=config or EngineConfig(), id_base="run")


def reloaded(state: RunState) -> RunState:
    """The state as it comes out of the next history's input."""
    return load_state(json.loads(json.dumps(dump_state(state))))


def fold(plan: Plan, state: RunState, facts: list[Fact], *, reload: bool = False) -> list[Turn]:
    """``decide`` over all facts; with ``reload`` the state is dumped and loaded before each."""
    turns: list[Turn] = []
    for fact in facts:
        before = reloaded(state) if reload else state
        state, commands = decide(plan, before, fact)
        turns.append(Turn(fact, before, state, commands))
    return turns


def events_of(turns: list[Turn]) -> list[GraphEngineEvent]:
    return [c.event for turn in turns for c in turn.commands if isinstance(c, Emit)]


def without_time(events: list[GraphEngineEvent]) -> list[tuple[int, str, dict[str, Any]]]:
    return [(event.seq, event.type, event.data) for event in events]
