"""A shell in memory for runs with sub-graphs: many workflows, in an order that chance decides."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

from tests.properties.nested_graphs import (
    INPUTS,
    Ask,
    Nest,
    asks_of,
    fails_for_good,
    number,
    schema_of,
    works_of,
)
from xworkflow.domain.commands import (
    CancelChunk,
    CancelNode,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartChunk,
    StartNode,
    StartTimer,
)
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import (
    ChunkFinished,
    DrainRequested,
    Fact,
    NodeFailed,
    NodeSucceeded,
    Resumed,
    TimerFired,
)
from xworkflow.domain.forms import HumanAnswer
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.repeats import ChunkEnd
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.wire import RunInput, Variables, chunk_id
from xworkflow.engine.carrier import Carrier, FinishChunk, LaneEffect
from xworkflow.engine.compile import Compiled
from xworkflow.engine.start import begin, carrier_of, compiled_of
from xworkflow.engine.sub_graphs import chunk_input
from xworkflow.errors import NodeFailure

ROOT = "run"


@dataclass
class Workflow:
    """One workflow: what it carries, and what of its work is in the world."""

    id: str
    run: RunInput
    carrier: Carrier
    parent: tuple[str, int, StartChunk] | None = None
    begun: bool = False
    in_flight: list[tuple[int, StartNode]] = field(default_factory=list[tuple[int, StartNode]])
    timers: list[tuple[int, StartTimer]] = field(default_factory=list[tuple[int, StartTimer]])
    children: dict[tuple[int, int, int], str] = field(
        default_factory=dict[tuple[int, int, int], str]
    )
    events: list[GraphEngineEvent] = field(default_factory=list[GraphEngineEvent])
    seen: list[tuple[int, Fact]] = field(default_factory=list[tuple[int, Fact]])
    result: RunResult | None = None
    end: ChunkEnd | None = None
    histories: int = 1
    most_open: int = 0

    @property
    def is_over(self) -> bool:
        return self.result is not None or self.end is not None


class SubGraphShell(ABC):
    """One run with all its sub-graphs. Each carrier is dumped and loaded after each fact."""

    asks: Mapping[str, Ask]
    """The questions to people, by their ids."""

    def __init__(
        self, run: RunInput, order: Random, *, drains: float = 0.0, late: bool = False
    ) -> None:
        self.order = order
        self.drains = drains
        self.late = late
        self.log: list[tuple[str, GraphEngineEvent]] = []
        self._clock = 1_000
        self.workflows: dict[str, Workflow] = {}
        self.root = self.open(ROOT, run)

    @abstractmethod
    def answer(self, workflow: Workflow, lane: int, start: StartNode) -> Fact:
        """What an attempt gives."""

    def carried(self, id_: str, run: RunInput, compiled: Compiled) -> Carrier:
        return carrier_of(run, compiled, run.id_base or id_)

    def open(
        self, id_: str, run: RunInput, parent: tuple[str, int, StartChunk] | None = None
    ) -> Workflow:
        run = RunInput.model_validate_json(run.model_dump_json())
        carrier = self.carried(id_, run, compiled_of(run))
        assert id_ not in self.workflows, "a workflow id is used twice"
        self.workflows[id_] = Workflow(id_, run, carrier, parent)
        return self.workflows[id_]

    def finish(self) -> RunResult:
        while self.root.result is None:
            self.step()
        return self.root.result

    @property
    def alive(self) -> list[Workflow]:
        return [w for w in self.workflows.values() if not w.is_over]

    @property
    def moves(self) -> list[tuple[Workflow, Any]]:
        """What may happen next."""
        found: list[tuple[Workflow, Any]] = []
        for workflow in self.alive:
            if workflow.begun:
                found += [(workflow, item) for item in workflow.in_flight]
                found += [(workflow, item) for item in workflow.timers]
            else:
                found.append((workflow, "begin"))
            found += [(workflow, question) for question in questions_of(workflow)]
            if workflow.carrier.breathes and not workflow.carrier.draining:
                found.append((workflow, "breath"))
        return found

    def tell_all(self, fact: Fact) -> None:
        """As a signal that goes to the run, and on to its sub-graphs as they are then.

        One that has not begun begins before it hears of anything.
        """
        while unbegun := [w for w in self.alive if not w.begun]:
            self.begin(unbegun[0])
        for workflow in self.alive:
            if not workflow.is_over:
                self.take(workflow, lambda c: c.tell(fact))

    def step(self) -> None:
        """Let one thing happen, somewhere."""
        alive, choices = self.alive, self.moves
        assert choices, "the run stands still and has not ended"
        if self.drains and self.order.random() < self.drains:
            drained = self.order.choice(alive)
            if drained.begun and not drained.carrier.draining:
                self.take(drained, lambda c: c.tell(DrainRequested(c.now)))
                return
        workflow, what = self.order.choice(choices)
        if what == "begin":
            self.begin(workflow)
            return
        if what == "breath":
            self.take(workflow, lambda c: c.go_on())
            return
        lane, item = what
        if isinstance(item, HumanAnswer):
            driver = workflow.carrier.lanes[lane]
            node = driver.asked(item)
            assert node is not None
            given = self.asks[driver.plan.nodes[node].id].answer
            item = item.model_copy(update={"form_data": given})
            self.feed(workflow, lane, driver.answer(node, item, self.now()))
            return
        if isinstance(item, StartNode):
            workflow.in_flight.remove(what)
            fact = self.answer(workflow, lane, item)
        else:
            workflow.timers.remove(what)
            fact = TimerFired(item.node, item.attempt, self.now(), item.kind)
        self.feed(workflow, lane, fact)

    def begin(self, workflow: Workflow) -> None:
        workflow.begun = True
        at = self.now()
        self.take(workflow, lambda c: begin(c, workflow.run, at))

    def feed(self, workflow: Workflow, lane: int, fact: Fact) -> None:
        self.take(workflow, lambda c: c.feed(lane, fact))
        if self.late:
            workflow.seen.append((lane, fact))
            for of, seen in workflow.seen:
                if not workflow.is_over:
                    before = workflow.carrier.dump()
                    assert workflow.carrier.feed(of, seen) == []
                    assert workflow.carrier.dump() == before

    def take(self, workflow: Workflow, act: Callable[[Carrier], list[LaneEffect]]) -> None:
        assert not workflow.is_over
        for lane, effect in act(workflow.carrier):
            self.perform(workflow, lane, effect)
        if not workflow.is_over:
            self.reload(workflow)

    def reload(self, workflow: Workflow) -> None:
        state = json.loads(json.dumps(workflow.carrier.dump()))
        compiled = workflow.carrier.compiled
        run = workflow.run.model_copy(update={"state": state})
        carrier = self.carried(workflow.id, run, compiled)
        assert carrier.dump() == workflow.carrier.dump()
        workflow.carrier = carrier

    def perform(self, workflow: Workflow, lane: int, effect: Any) -> None:
        match effect:
            case StartNode():
                assert lane in workflow.carrier.lanes, "a start in a lane that has ended"
                workflow.in_flight.append((lane, effect))
            case StartTimer():
                assert effect.delay_ms > 0
                workflow.timers.append((lane, effect))
            case CancelNode():
                kept = [
                    (of, s) for of, s in workflow.in_flight if (of, s.node) != (lane, effect.node)
                ]
                assert len(kept) == len(workflow.in_flight) - 1, "cancels what does not run"
                workflow.in_flight = kept
            case StartChunk():
                self.start_chunk(workflow, lane, effect)
            case CancelChunk():
                self.cancel(workflow.children.pop((lane, effect.node, effect.start)))
            case Emit():
                workflow.events.append(effect.event)
                self.log.append((workflow.id, effect.event))
            case FinishRun():
                workflow.result = effect.result
            case FinishChunk():
                workflow.end = effect.end
                self.tell_parent(workflow, effect.end)
            case ContinueAsNew():
                self.continue_as_new(workflow)
            case _:
                raise AssertionError(effect)

    def start_chunk(self, workflow: Workflow, lane: int, start: StartChunk) -> None:
        item = None if workflow.run.chunk is None else lane
        node = workflow.carrier.lanes[lane].plan.nodes[start.node]
        child_id = chunk_id(workflow.id, node.id, start, item)
        run = chunk_input(
            workflow.run, workflow.carrier, lane, start, workflow.run.id_base or ROOT, workflow.id
        )
        self.open(child_id, run, (workflow.id, lane, start))
        workflow.children[lane, start.node, start.start] = child_id
        workflow.most_open = max(workflow.most_open, len(workflow.children))

    def tell_parent(self, workflow: Workflow, end: ChunkEnd) -> None:
        assert workflow.parent is not None
        assert not workflow.in_flight, "an attempt is forgotten"
        assert not workflow.children, "a sub-graph is forgotten"
        parent_id, lane, start = workflow.parent
        parent = self.workflows[parent_id]
        if parent.children.get((lane, start.node, start.start)) != workflow.id:
            return  # nobody waits for it any more
        del parent.children[lane, start.node, start.start]
        end = ChunkEnd.model_validate_json(end.model_dump_json())
        fact = ChunkFinished(start.node, start.attempt, start.start, end, self.now())
        self.feed(parent, lane, fact)

    def cancel(self, child_id: str) -> None:
        child = self.workflows[child_id]
        child.end = child.end or ChunkEnd(error="cancelled")
        for grandchild in child.children.values():
            self.cancel(grandchild)
        child.children.clear()
        child.in_flight.clear()

    def continue_as_new(self, workflow: Workflow) -> None:
        assert not workflow.in_flight, "an attempt would be lost with its history"
        assert not workflow.children, "a sub-graph would be lost with its history"
        assert workflow.carrier.draining, "it continues twice"
        workflow.timers.clear()
        self.reload(workflow)
        workflow.histories += 1
        at = self.now()
        self.take(workflow, lambda c: c.tell(Resumed(at)))

    def now(self) -> int:
        self._clock += self.order.choice([0, 1, 17])
        return self._clock


class NestedShell(SubGraphShell):
    """Carries a drawn nest."""

    def __init__(  # noqa: PLR0913 - what may disturb a run, each independent
        self,
        nest: Nest,
        order: Random,
        *,
        drains: float = 0.0,
        late: bool = False,
        config: EngineConfig | None = None,
        inputs: dict[str, Any] | None = None,
    ) -> None:
        self.works, self.asks = works_of(nest), asks_of(nest)
        run = RunInput(
            schema_text=schema_of(nest).text,
            variables=Variables(user_inputs=INPUTS if inputs is None else inputs),
            config=config,
        )
        super().__init__(run, order, drains=drains, late=late)

    def answer(self, workflow: Workflow, lane: int, start: StartNode) -> Fact:
        """What the sandbox or the server gives for what has crossed."""
        task = workflow.carrier.lanes[lane].task(start, ROOT)
        work = self.works[task.node_id]
        crossed = {v.selector: v.value for v in task.values}
        result = number(work, [crossed[of] for of in work.reads])
        failure: NodeFailure | None = None
        if start.attempt <= work.flaky:
            failure = NodeFailure(code="http_server_error", text="busy", retryable=True)
        elif fails_for_good(work, result):
            failure = NodeFailure(code="sandbox_execution_error", text="it fails for good")
        if failure is not None:
            return NodeFailed(start.node, start.attempt, failure, self.now())
        outputs: dict[str, Any] = (
            {"body": str(result)} if work.away else {"result": result, "odd": result % 2 == 1}
        )
        return NodeSucceeded(start.node, start.attempt, NodeRunResult(outputs=outputs), self.now())


def questions_of(workflow: Workflow) -> list[tuple[int, HumanAnswer]]:
    """The questions that wait, each with its lane and the answer that it lacks."""
    return [
        (lane, HumanAnswer(token=asked.token))
        for lane, driver in workflow.carrier.lanes.items()
        for asked in driver.state.asked.values()
    ]
