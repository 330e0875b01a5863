"""Carries drawn graphs with answers as a reader sees them: events with the pieces of all texts."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from tests.properties.answer_graphs import CONVERSATION, SYSTEM, Model
from tests.properties.nested_shell import ROOT, SubGraphShell, Workflow
from xworkflow.domain.commands import StartNode
from xworkflow.domain.events import GraphEngineEvent
from xworkflow.domain.facts import Fact, NodeFailed, NodeSucceeded, RunStarted
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.state import RunState, dump_state
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.values import display
from xworkflow.domain.wire import ForkOrigin, MockNode, RunInput, Variables
from xworkflow.engine.carrier import Carrier
from xworkflow.engine.compile import Compiled
from xworkflow.engine.composing import Composer
from xworkflow.engine.forking import Fork, Wish, fork
from xworkflow.engine.past import Note, Past, Retracing
from xworkflow.engine.start import carrier_of, first_state
from xworkflow.errors import NodeFailure


class AnswerShell(SubGraphShell):
    """One run. With ``live`` it happens that often that a piece is heard before its node ends."""

    def __init__(
        self,
        run: RunInput,
        models: dict[str, Model],
        order: Random,
        *,
        live: float = 0.0,
        drains: float = 0.0,
    ) -> None:
        self.asks = {}
        self.models = models
        self.live = live
        self.composers: dict[str, dict[int, Composer]] = {}
        self.facts: list[Fact] = []
        """What the run itself was told."""
        self._told: dict[str, int] = {}
        super().__init__(run, order, drains=drains)
        self.first = first_state(self.root.run, self.root.carrier.compiled, ROOT)

    def carried(self, id_: str, run: RunInput, compiled: Compiled) -> Carrier:
        kept = self.composers.setdefault(id_, {})
        return carrier_of(run, compiled, run.id_base or id_, kept)

    @property
    def shown(self) -> str:
        """All text that was shown, in the order in which it was."""
        return "".join(e.data["chunk"] for _, e in self.log if e.type == "node_run_stream_chunk")

    @property
    def stored(self) -> str:
        assert self.root.result is not None
        return display(self.root.result.outputs.get("answer"))

    def said(self) -> list[str]:
        """The responses of the run itself in their order, by their ids."""
        driver = self.root.carrier.lanes[0]
        return [driver.plan.nodes[one.node].id for one in driver.state.said or ()]

    def step(self) -> None:
        speaking = [(w, *item) for w in self.alive for item in w.in_flight]
        if speaking and self.order.random() < self.live:
            self.speak(*self.order.choice(speaking))
        else:
            super().step()

    def speak(self, workflow: Workflow, lane: int, start: StartNode) -> None:
        """The next piece of what a model says, if it will count."""
        name = self.name_of(workflow, lane, start)
        model = self.models[name]
        heard = self._told.get(start.execution_id, 0)
        composer = self.composers[workflow.id].get(lane)
        if model.fails or start.attempt <= model.failures or heard == len(model.pieces):
            return
        self._told[start.execution_id] = heard + 1
        if composer is not None:
            for content in composer.delta(name, "text", model.pieces[heard]):
                self.log.append((workflow.id, GraphEngineEvent(0, 0, *content)))

    def answer(self, workflow: Workflow, lane: int, start: StartNode) -> Fact:
        model = self.models[self.name_of(workflow, lane, start)]
        if model.fails or start.attempt <= model.failures:
            failure = NodeFailure(code="network_error", text="cut", retryable=True)
            return NodeFailed(start.node, start.attempt, failure, self.now())
        outputs = {"text": "".join(model.pieces), **chunks_of("text", model.pieces)}
        result = NodeRunResult(outputs=outputs)
        return NodeSucceeded(start.node, start.attempt, result, self.now())

    def name_of(self, workflow: Workflow, lane: int, start: StartNode) -> str:
        return workflow.carrier.lanes[lane].plan.nodes[start.node].id

    def begin(self, workflow: Workflow) -> None:
        if workflow is self.root:
            self.facts.append(RunStarted(self._clock))
        super().begin(workflow)

    def feed(self, workflow: Workflow, lane: int, fact: Fact) -> None:
        if workflow is self.root:
            self.facts.append(fact)
        super().feed(workflow, lane, fact)

    def past(self) -> Past:
        """What a fork of the run so far knows."""
        notes: list[Note] = []
        compiled = self.root.carrier.compiled
        driver = Retracing(compiled, self.first, notes)
        for fact in self.facts:
            driver.feed(fact)
        return Past(compiled, self.first, driver.state, tuple(notes))

    def cut(self, from_node: str | None) -> Fork:
        """A fork of the run. Raises ValidationFailed."""
        return fork(self.past(), self.root.carrier.compiled, Wish(from_node), IdSequence("fork"))


def run_of(
    schema: WorkflowSchema, mocks: Mapping[str, MockNode] | None = None, *, at_once: int = 0
) -> RunInput:
    """The start of a run with so many nodes at once; 0 is any number."""
    return RunInput(
        schema_text=schema.text,
        variables=Variables(system=SYSTEM, conversation=CONVERSATION),
        mock_nodes=dict(mocks or {}),
        config=EngineConfig(max_concurrency=at_once) if at_once else None,
    )


def fork_of(run: RunInput, state: RunState) -> RunInput:
    """The start of a fork that begins with a state."""
    fork = ForkOrigin(execution_id=ROOT, node_id="")
    return run.model_copy(update={"state": dump_state(state), "fork": fork})
