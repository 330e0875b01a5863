"""Runs that a test plays: pure nodes run by themselves, the others end when the test says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tests.properties.in_memory import RecordingDriver, fold
from xworkflow.domain.commands import Emit, StartNode
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.facts import Fact, NodeFailed, NodeSucceeded, RunStarted
from xworkflow.domain.results import NodeRunResult
from xworkflow.domain.schema import WorkflowSchema
from xworkflow.domain.state import RunState
from xworkflow.domain.streams import chunks_of
from xworkflow.domain.wire import MockNode, RunInput, Variables
from xworkflow.engine.compile import Compiled
from xworkflow.engine.composing import Composed, Composer, composer
from xworkflow.engine.start import compiled_of, first_state
from xworkflow.errors import NodeFailure

WORDS = {
    "graph_run_started": "run-started",
    "graph_run_succeeded": "run-succeeded",
    "graph_run_partial_succeeded": "run-partial-succeeded",
    "node_run_started": "node-started",
    "node_run_succeeded": "node-succeeded",
    "node_run_exception": "node-exception",
    "node_run_stream_chunk": "chunk",
    "node_run_stream_replaced": "replaced",
}


class Played:
    """One run in memory. ``compiled`` may be changed before it begins."""

    def __init__(
        self,
        schema: WorkflowSchema,
        *,
        mocks: Mapping[str, MockNode] | None = None,
        inputs: Mapping[str, Any] | None = None,
        system: Mapping[str, Any] | None = None,
        pool: dict[str, dict[str, Any]] | None = None,
    ) -> None:
        variables = Variables(user_inputs=dict(inputs or {}), system=dict(system or {}))
        run = RunInput(
            schema_text=schema.text, variables=variables, mock_nodes=dict(mocks or {}), pool=pool
        )
        self.compiled: Compiled = compiled_of(run)
        self.first = first_state(run, self.compiled, "run")
        self._starts: dict[str, StartNode] = {}
        self._driver: RecordingDriver | None = None

    def begin(self) -> Played:
        self._driver = RecordingDriver(self.compiled, self.first)
        self._feed(RunStarted(0))
        return self

    def ends(self, node_id: str, *pieces: str, **outputs: Any) -> Played:
        """A node gives outputs; with ``pieces``, also a text that came in them."""
        if pieces:
            outputs |= {"text": "".join(pieces), **chunks_of("text", pieces)}
        start = self._starts.pop(node_id)
        result = NodeRunResult(outputs=outputs)
        return self._feed(NodeSucceeded(start.node, start.attempt, result, 0))

    def fails(self, node_id: str) -> Played:
        start = self._starts.pop(node_id)
        failure = NodeFailure(code="network_error", text="cut", retryable=True)
        return self._feed(NodeFailed(start.node, start.attempt, failure, 0))

    def _feed(self, fact: Fact) -> Played:
        assert self._driver is not None, "begin it first"
        for effect in self._driver.feed(fact):
            if isinstance(effect, StartNode):
                self._starts[self.compiled.plan.nodes[effect.node].id] = effect
        return self

    @property
    def turns(self) -> list[tuple[RunState, list[GraphEngineEvent]]]:
        """What each call of ``decide`` left and emitted."""
        assert self._driver is not None, "begin it first"
        return [
            (turn.state, [c.event for c in turn.commands if isinstance(c, Emit)])
            for turn in fold(self.compiled.plan, self.first, self._driver.facts)
        ]

    def composer(self) -> Composer:
        return composer(self.compiled, "run")

    def composed(self, through: Composer | None = None) -> list[Composed]:
        """The whole log, with its chunks."""
        through = through or self.composer()
        return [c for state, emitted in self.turns for c in through.compose(state, emitted)]


def content(event: Composed) -> Content:
    return event if isinstance(event, tuple) else (event.type, event.data)


def words(composed: Sequence[Composed]) -> list[str]:
    """The log in short: ``node-started llm``, ``chunk Hello``."""
    return [_words(*content(event)) for event in composed]


def _words(type_: str, data: Mapping[str, Any]) -> str:
    told = data.get("chunk", data.get("node_id", ""))
    word = WORDS.get(type_, type_.replace("_", "-"))
    return f"{word} {told}".rstrip(" ") if told == "" else f"{word} {told}"


def chunks(composed: Sequence[Composed]) -> list[dict[str, Any]]:
    """The data of all chunk events."""
    found = [content(event) for event in composed]
    return [data for type_, data in found if type_ == "node_run_stream_chunk"]


def text_of(composed: Sequence[Composed], node_id: str | None = None) -> str:
    """All chunks joined, or those of one node."""
    return "".join(c["chunk"] for c in chunks(composed) if node_id in (None, c["node_id"]))
