"""``ChunkRun``: repeats a container's body for a chunk of its items, or round after round (7).

Items of an ``each`` run side by side in a window; rounds of a fold one after another, each with the
carry that the one before it left. Every item has a driver of its own over a copy of the outer pool,
with the container's scope laid over it. What the bodies write to conversation variables outlives
them in Dify's dialect, and so does the end of a loop that a loop-end node asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from xworkflow.domain import events
from xworkflow.domain.commands import (
    CancelChunk,
    CancelNode,
    ContinueAsNew,
    Emit,
    FinishRun,
    StartNode,
)
from xworkflow.domain.events import Content, GraphEngineEvent
from xworkflow.domain.facts import (
    AbortRequested,
    DrainRequested,
    Fact,
    PauseLifted,
    PauseRequested,
    Resumed,
    RunStarted,
    SafeStopRequested,
)
from xworkflow.domain.outcome import RunResult
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import Namespace, VariablePool
from xworkflow.domain.repeats import ITEM_INDEX, LOOP_ENDED, ChunkEnd, ItemOutcome
from xworkflow.domain.results import LlmUsage, PoolWrite
from xworkflow.domain.state import RunState, dump_state, initial_state, load_state
from xworkflow.domain.usage import added_usage
from xworkflow.domain.values import JsonValue, compact_json, display
from xworkflow.domain.wire import ChunkTask, PathStep, RunInput
from xworkflow.engine.carrier import Carrier, FinishChunk, LaneEffect, settled
from xworkflow.engine.compile import Compiled
from xworkflow.engine.composing import Composer
from xworkflow.engine.driver import Driver, Effect
from xworkflow.errors import NodeError
from xworkflow.nodes.base import AnyNode, ContainerNode, Node

_CONVERSATION: Final = "conversation"
_OF_THE_WHOLE_RUN: Final = ("graph_run_",)


class ChunkRun(Carrier):
    """One chunk. ``run.chunk`` is set. Raises KeyError for a container type that is not there."""

    def __init__(  # noqa: PLR0913 - the parts of a chunk, each independent
        self,
        compiled: Compiled,
        run: RunInput,
        container: ContainerNode[Any],
        node: AnyNode,
        config: EngineConfig,
        *,
        composers: dict[int, Composer] | None = None,
        in_region: bool = False,
    ) -> None:
        assert run.chunk is not None  # noqa: S101 - what makes it one
        self.compiled = compiled
        self.lanes: dict[int, Driver] = {}
        self.events = 0
        self.composers = composers
        self._task: ChunkTask = run.chunk
        self._run = run
        self._container = container
        self._node = node
        self._config = config
        self._in_region = in_region
        self._family = events.family_of(self._task.node_type)
        self._pool = VariablePool(run.pool)
        self._final: VariablePool | None = None
        """Of folds: what the last round left, which tells whether another follows."""
        self._found: dict[int, dict[str, Namespace]] = {}
        """What the items in flight began with, of what their writes may outlive them in."""
        self._next = 0
        self._outcomes: dict[int, ItemOutcome] = {}
        self._answers: dict[int, str] = {}
        self._carry: JsonValue = self._task.repeat.carry
        self._writes: dict[tuple[str, ...], JsonValue] = {}
        self._usage: LlmUsage | None = None
        self._bytes = 0
        self._exceptions = 0
        self._waited_ms = 0
        self._now = self._clock(0)
        self._draining = False
        self._drained: set[int] = set()
        self._paused = False
        self._stopping = False
        self._over = False
        self._begun = 0
        """How many items began on the present fact."""
        self._begun_here = 0
        """How many items began in this history."""
        self.breathes = False
        if run.state is not None:
            self._restore(run.state)

    # ---- facts

    def begin(self, at: int) -> list[LaneEffect]:
        self._now, self._begun = self._clock(at), 0
        return settled(list(self._start_more()))

    def feed(self, lane: int, fact: Fact) -> list[LaneEffect]:
        self._begun = 0
        driver = self.lanes.get(lane)
        if driver is None or self._over:
            return []
        return settled(list(self._take(lane, driver, driver.feed(fact))))

    def tell(self, fact: Fact) -> list[LaneEffect]:
        effects: list[LaneEffect] = []
        self._begun = 0
        self._note(fact)
        for lane, driver in list(self.lanes.items()):
            if not self._over:
                effects += self._take(lane, driver, driver.feed(fact), more=False)
        if isinstance(fact, AbortRequested) and not self._over:
            effects += self._finish(error=f"Workflow aborted: {fact.reason or 'cancelled'}")
        effects += self._start_more()
        return settled(effects)

    def _note(self, fact: Fact) -> None:
        match fact:
            case DrainRequested():
                self._draining, self._drained = True, set()
            case Resumed(at=at):
                self._draining, self._now = False, max(self._now, self._clock(at))
                self.breathes, self.is_long, self._begun_here = False, False, 0
            case PauseRequested():
                self._paused = True
            case PauseLifted():
                self._paused = False
            case SafeStopRequested():
                self._stopping = True
            case _:
                pass

    def go_on(self) -> list[LaneEffect]:
        if not self.breathes or self._over:
            return []
        self.breathes, self._begun = False, 0
        return settled(list(self._start_more()))

    # ---- items

    def _start_more(self) -> Iterator[LaneEffect]:
        """Fill the window; end the chunk, or this history of it, when nothing is left."""
        repeat = self._task.repeat
        held = self._draining or self._paused or self._stopping
        while not (self._over or held or self.breathes):
            if repeat.folds:
                if self.lanes or not (yield from self._goes_on()):
                    break
            elif self._has_all_begun or len(self.lanes) >= self._task.window:
                break
            if self._has_begun_much:
                self.breathes = True
                break
            yield from self._start_item()
        if self._over:
            return
        if self._draining and self._drained >= set(self.lanes):
            yield 0, ContinueAsNew()
        elif self._stopping and not self.lanes:
            yield from self._finish(stopped=True)
        elif not (self.lanes or repeat.folds) and self._has_all_begun:
            yield from self._finish()

    @property
    def _has_all_begun(self) -> bool:
        """Of items side by side: whether no more begins in this chunk."""
        bound = self._task.bytes_at_once
        is_large = bound is not None and self._bytes >= bound
        return is_large or self._next >= len(self._task.repeat.items or ())

    @property
    def _has_begun_much(self) -> bool:
        bound = self._task.nodes_at_once
        return bound is not None and self._begun * self._nodes > bound

    @property
    def _nodes(self) -> int:
        """Of one item."""
        return len(self.compiled.plan.nodes)

    def _goes_on(self) -> Iterator[LaneEffect]:
        """Whether another round runs; ends the chunk otherwise."""
        try:
            goes_on = self._container.goes_on(
                self._node, self._task.repeat, self._carry, self._next, self._final or self._pool
            )
        except NodeError as error:
            yield from self._finish(error=error.failure.text)
            return False
        if not goes_on:
            yield from self._finish()
        return goes_on

    def _start_item(self) -> Iterator[LaneEffect]:
        index = self._task.start + self._next
        items = self._task.repeat.items
        item = items[self._next] if items is not None else None
        self._next += 1
        self._begun += 1
        self._begun_here += 1
        bound = self._task.nodes_in_a_history
        self.is_long = bound is not None and self._begun_here * self._nodes > bound
        if self._family == "iteration" or index > 0:
            at = self._now
            yield self._event(
                events.repeat_next(self._task.node_id, self._task.title, self._family, index), at
            )
        scope = self._container.scope(self._node, index, item, self._carry)
        id_base = f"{self._task.execution_id}/{self._task.attempt}/{index}"
        driver = Driver(
            self.compiled,
            initial_state(
                self.compiled.plan,
                pool=_over(self._pool, scope).set(ITEM_INDEX, index),
                config=self._config,
                id_base=id_base,
                fake_id_prefix=_fake_prefix(self._run, self._task, index),
                fixed_timestamp=self._run.options.fixed_timestamp,
            ),
            self.composer(index, self.compiled, id_base),
            in_region=self._in_region,
        )
        self.lanes[index] = driver
        self._found[index] = {space: self._pool.namespace(space) for space in self._outliving()}
        yield from self._take(index, driver, driver.feed(RunStarted(self._now)), more=False)

    def _take(
        self, lane: int, driver: Driver, effects: list[Effect], *, more: bool = True
    ) -> Iterator[LaneEffect]:
        self._now = max(self._now, driver.state.now)
        ended: RunResult | None = None
        for effect in effects:
            match effect:
                case Emit(event):
                    if not event.type.startswith(_OF_THE_WHOLE_RUN):
                        yield self._inner_event(lane, event)
                case FinishRun(result):
                    ended = result
                case ContinueAsNew():
                    self._drained.add(lane)
                case _:
                    yield lane, effect
        if ended is not None:
            yield from self._end_item(lane, driver, ended)
        if more:
            yield from self._start_more()

    def _end_item(self, lane: int, driver: Driver, result: RunResult) -> Iterator[LaneEffect]:
        del self.lanes[lane]
        self._drained.discard(lane)
        found = self._found.pop(lane)
        self._usage = added_usage(self._usage, result.usage)
        self._exceptions += result.exceptions
        self._waited_ms = (
            self._waited_ms + result.waited_ms
            if self._task.window == 1
            else max(self._waited_ms, result.waited_ms)
        )
        if result.status == "safe_stopped":
            yield from self._finish(stopped=True)
            return
        pool = driver.state.pool
        self._keep_writes(found, pool)
        error = None if result.error is None else result.error.text
        if error is not None:
            yield from self._item_failed(lane, f"Sub-graph execution failed: {error}")
            return
        if "answer" in result.outputs and self.compiled.plan.dialect == "dify":
            self._answers[lane] = display(result.outputs["answer"])
        try:
            if self._task.repeat.folds:
                self._final = pool
                self._carry = self._container.fold(self._node, self._carry, result.outputs, pool)
                value = None
            else:
                value = self._container.collect(self._node, result.outputs, pool)
        except NodeError as failed:
            yield from self._item_failed(lane, failed.failure.text)
            return
        if not self._task.repeat.folds:
            self._outcomes[lane] = ItemOutcome(value=value)
            self._bytes += len(compact_json(value))

    def _item_failed(self, lane: int, error: str) -> Iterator[LaneEffect]:
        repeat = self._task.repeat
        if self.compiled.plan.dialect == "dify":
            self._exceptions += 1
        if repeat.folds or repeat.on_failure == "terminate":
            yield from self._finish(error=error)
            return
        self._outcomes[lane] = ItemOutcome(error=error)

    def _outliving(self) -> tuple[str, ...]:
        """Where a body's writes outlive it in Dify's dialect: conversation variables, and those of
        the containers around."""
        if self.compiled.plan.dialect != "dify":
            return ()
        return (_CONVERSATION, *(step.node_id for step in self._task.path))

    def _keep_writes(self, found: Mapping[str, Namespace], final: VariablePool) -> None:
        """Those of a body that has ended, and in Dify's dialect the end of a loop around it."""
        for space, before in found.items():
            for name, value in final.namespace(space).items():
                if (space, name) == LOOP_ENDED:
                    continue  # a container may be called loop
                if name not in before or before[name] != value:
                    self._writes[space, name] = value
                    self._pool = self._pool.set((space, name), value)
        dify = self.compiled.plan.dialect == "dify"
        if dify and self._family != "loop" and final.get(LOOP_ENDED):
            self._writes[LOOP_ENDED] = True

    # ---- the end

    def _finish(self, *, error: str | None = None, stopped: bool = False) -> Iterator[LaneEffect]:
        self._over = True
        for lane, driver in list(self.lanes.items()):
            for effect in driver.feed(AbortRequested(self._now, "its container has ended")):
                if isinstance(effect, (CancelNode, CancelChunk)):
                    yield lane, effect
        self.lanes.clear()
        answers = [self._answers[index] for index in sorted(self._answers)]
        yield (
            0,
            FinishChunk(
                ChunkEnd(
                    outcomes=tuple(self._outcomes[index] for index in sorted(self._outcomes)),
                    carry=self._carry,
                    rounds=self._next if self._task.repeat.folds else 0,
                    error=error,
                    writes=tuple(
                        PoolWrite(selector=selector, value=value)
                        for selector, value in self._writes.items()
                    ),
                    answer="".join(answers) if answers else None,
                    usage=self._usage,
                    exceptions=self._exceptions,
                    waited_ms=self._waited_ms,
                    stopped=stopped,
                )
            ),
        )

    # ---- events

    def _event(self, content: Content, at: int) -> LaneEffect:
        type_, data = content
        event = GraphEngineEvent(self.events, at, type_, {**data, **self._place(None)})
        self.events += 1
        return 0, Emit(event)

    def _inner_event(self, lane: int, event: GraphEngineEvent) -> LaneEffect:
        data = {**event.data, **self._place(lane)}
        if event.type in events.UNNUMBERED:
            return lane, Emit(GraphEngineEvent(self.events - 1, event.at, event.type, data))
        placed = GraphEngineEvent(self.events, event.at, event.type, data)
        self.events += 1
        return lane, Emit(placed)

    def chunk_event(self, lane: int, content: Content) -> GraphEngineEvent:
        type_, data = content
        data = {**data, **self._place(lane)}
        return GraphEngineEvent(self.events - 1, self._now, type_, data)

    def _place(self, lane: int | None) -> dict[str, Any]:
        """Where an event belongs: the containers around it, outermost first."""
        steps = self._task.path if lane is None else self.path(lane)
        place: dict[str, Any] = {}
        if lane is not None:
            place[f"{self._family}_id"] = self._task.node_id
            place[f"{self._family}_index"] = lane
        if steps:
            place["path"] = [[step.node_id, step.index] for step in steps]
        return place

    def path(self, lane: int) -> tuple[PathStep, ...]:
        return (*self._task.path, PathStep(node_id=self._task.node_id, index=lane))

    # ---- state

    def _clock(self, at: int) -> int:
        """The time, unless the run's clock was stopped."""
        fixed = self._run.options.fixed_timestamp
        return at if fixed is None else fixed * 1000

    @property
    def now(self) -> int:
        return self._now

    @property
    def draining(self) -> bool:
        return self._draining

    @property
    def config(self) -> EngineConfig:
        return self._config

    def dump(self) -> dict[str, Any]:
        lanes = {str(index): dump_state(driver.state) for index, driver in self.lanes.items()}
        return {**self._progress(), "lanes": lanes}

    def dump_for_region(self, starts: Sequence[tuple[int, StartNode]]) -> dict[str, Any]:
        by_lane: dict[int, list[StartNode]] = {}
        for lane, start in starts:
            by_lane.setdefault(lane, []).append(start)
        # the next round, or another item, begins in the region with what these ones leave
        whole = self._task.repeat.folds or self.compiled.plan.dialect == "dify"
        lanes = {
            str(lane): dump_state(self.lanes[lane].region_state(asked, whole_pool=whole))
            for lane, asked in by_lane.items()
        }
        others = {
            str(lane): dump_state(driver.state)
            for lane, driver in self.lanes.items()
            if lane not in by_lane
        }
        return {**self._progress(), "lanes": {**others, **lanes}}

    def _progress(self) -> dict[str, Any]:
        """Where the chunk stands, its lanes left out."""
        found = self._found.items()
        return {
            "pool": self._pool.to_json(),
            "final": None if self._final is None else self._final.to_json(),
            "found": {str(k): {name: dict(v) for name, v in f.items()} for k, f in found},
            "next": self._next,
            "outcomes": {str(k): v.model_dump(mode="json") for k, v in self._outcomes.items()},
            "answers": {str(k): v for k, v in self._answers.items()},
            "carry": self._carry,
            "writes": [[list(k), v] for k, v in self._writes.items()],
            "usage": None if self._usage is None else self._usage.model_dump(mode="json"),
            "bytes": self._bytes,
            "exceptions": self._exceptions,
            "waited_ms": self._waited_ms,
            "now": self._now,
            "events": self.events,
            "draining": self._draining,
            "drained": sorted(self._drained),
            "breathes": self.breathes,
            "paused": self._paused,
            "stopping": self._stopping,
        }

    def _restore(self, state: dict[str, Any]) -> None:
        self._pool = VariablePool(state["pool"])
        self._final = None if state["final"] is None else VariablePool(state["final"])
        self._found = {int(k): found for k, found in state["found"].items()}
        self._next = state["next"]
        self._outcomes = {
            int(k): ItemOutcome.model_validate(v) for k, v in state["outcomes"].items()
        }
        self._answers = {int(k): v for k, v in state["answers"].items()}
        self._carry = state["carry"]
        self._writes = {tuple(selector): value for selector, value in state["writes"]}
        usage = state["usage"]
        self._usage = None if usage is None else LlmUsage.model_validate(usage)
        self._bytes = state.get("bytes", 0)
        self._exceptions = state["exceptions"]
        self._waited_ms = state["waited_ms"]
        self._now = state["now"]
        self.events = state["events"]
        self._draining = state["draining"]
        self._drained = set(state["drained"])
        self.breathes = state.get("breathes", False)
        self._paused = state["paused"]
        self._stopping = state["stopping"]
        self.lanes = {
            int(index): self._loaded(int(index), load_state(lane))
            for index, lane in state["lanes"].items()
        }

    def _loaded(self, index: int, state: RunState) -> Driver:
        composer = self.composer(index, self.compiled, state.ids.base)
        return Driver(self.compiled, state, composer, in_region=self._in_region)


def _over(pool: VariablePool, scope: Mapping[str, Namespace]) -> VariablePool:
    for name, values in scope.items():
        pool = pool.extend(name, values)
    return pool


def _fake_prefix(run: RunInput, task: ChunkTask, index: int) -> str | None:
    """Fake ids of an item: those of the run are counted in the workflow around it."""
    prefix = run.options.fake_id_prefix
    return None if prefix is None else f"{prefix}-{task.node_id}-{index}"


def container_of(task: ChunkTask, compiled: Compiled, node_type: ContainerNode[Any]) -> AnyNode:
    """The container's node, parsed again where its chunk is carried."""
    data = node_type.data_model.model_validate(task.data)
    return Node(task.node_id, task.node_type, task.title, data, compiled.plan.dialect)
