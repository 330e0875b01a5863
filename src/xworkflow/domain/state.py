"""``RunState``: everything that is known of a run between two facts. Frozen, and serialisable.

Law (tests/properties): dumping and loading a state between any two facts changes nothing. Continue-
as-new, readers of closed runs, fork and debugger stand on it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from xworkflow.domain.debugging import DebugConfig, DebugState
from xworkflow.domain.forms import Form
from xworkflow.domain.ids import IdSequence
from xworkflow.domain.outcome import RunFailure
from xworkflow.domain.persistent import PersistentMap
from xworkflow.domain.plan import Plan
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
from xworkflow.domain.repeats import Progress
from xworkflow.domain.results import LlmUsage
from xworkflow.domain.values import JsonValue

Phase = Literal["new", "running", "handling", "finished"]


class NodePhase(IntEnum):
    """Where a node stands (spec/graph.md 5.3; queued and running are both its ``pending``)."""

    PENDING = 0
    QUEUED = 1
    RUNNING = 2
    TAKEN = 3
    SKIPPED = 4
    CANCELLED = 5
    FAILED = 6


class EdgePhase(IntEnum):
    """Where an edge stands."""

    PENDING = 0
    TAKEN = 1
    SKIPPED = 2
    CANCELLED = 3


@dataclass(frozen=True, slots=True)
class Running:
    """A node that was started and has not ended. Attempts count from 1.

    ``due_at`` (Unix ms) is set while it waits for its next attempt; ``asks`` while it waits for a
    person, then ``due_at`` is the end of that wait, if it has one.
    """

    attempt: int
    execution_id: str
    due_at: int | None = None
    asks: bool = False

    @property
    def waiting(self) -> bool:
        return self.asks or self.due_at is not None


@dataclass(frozen=True, slots=True)
class Asked:
    """A question that a person has not answered; its token names it in answers."""

    token: str
    form: Form


@dataclass(frozen=True, slots=True)
class Said:
    """A response of a Dify run in its place (domain/responses.py). ``length`` is that of its text
    in the output ``answer``, once it was given.

    ``by_itself`` is a container whose answers are shown where they are given, in its children.
    """

    node: int
    length: int | None = None
    by_itself: bool = False


@dataclass(frozen=True, slots=True)
class RunState:
    """One run, between two facts.

    ``nodes`` and ``edges`` hold one phase per byte, by plan index. ``ready`` is the stack of nodes
    that may start, each with the index of the node that enqueued it (-1 for none). ``running``,
    ``repeats`` (containers), ``asked`` (people) and ``joins`` (when the wait of a gather ends) are
    keyed by the node's index as text. Times are Unix milliseconds.

    ``waited_ms`` is the time in which nothing but waits was left; ``idle_since`` is set while that
    is so. ``held`` are nodes whose next attempt a pause holds back. ``said`` has the responses in
    their order; None where the plan has none, and in a state of an older version.
    """

    phase: Phase
    nodes: bytes
    edges: bytes
    pool: VariablePool
    config: EngineConfig
    ids: IdSequence
    ready: tuple[tuple[int, int], ...] = ()
    running: PersistentMap[Running] = field(default_factory=PersistentMap[Running])
    outputs: dict[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    usage: LlmUsage | None = None
    steps: int = 0
    exceptions: int = 0
    events: int = 0
    started_at: int = 0
    now: int = 0
    fixed_time: bool = False
    draining: bool = False
    failure: RunFailure | None = None
    repeats: PersistentMap[Progress] = field(default_factory=PersistentMap[Progress])
    asked: PersistentMap[Asked] = field(default_factory=PersistentMap[Asked])
    joins: PersistentMap[int] = field(default_factory=PersistentMap[int])
    paused: bool = False
    stopping: bool = False
    held: tuple[int, ...] = ()
    waited_ms: int = 0
    idle_since: int | None = None
    debug: DebugState | None = None
    said: tuple[Said, ...] | None = None

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds of activity so far: what was spent waiting is not counted."""
        return max(0, self.now - self.started_at - self.waited_ms)


def initial_state(  # noqa: PLR0913 - the parts of a run, each independent
    plan: Plan,
    *,
    pool: VariablePool,
    config: EngineConfig,
    id_base: str,
    fake_id_prefix: str | None = None,
    fixed_timestamp: int | None = None,
    debug: DebugConfig | None = None,
) -> RunState:
    """The state of a run that has not started. ``fixed_timestamp`` (Unix seconds) stops its
    clock."""
    now = 0 if fixed_timestamp is None else fixed_timestamp * 1000
    return RunState(
        phase="new",
        nodes=bytes(len(plan.nodes)),
        edges=bytes(len(plan.targets)),
        pool=pool,
        config=config,
        ids=IdSequence(id_base, fake_id_prefix, count=1),  # the first is the run's own (5.8)
        started_at=now,
        now=now,
        fixed_time=fixed_timestamp is not None,
        debug=None if debug is None else DebugState.of(debug),
        said=() if plan.places else None,
    )


def dump_state(state: RunState) -> dict[str, Any]:
    """The state as plain JSON data."""
    return {
        "phase": state.phase,
        "nodes": base64.b64encode(state.nodes).decode(),
        "edges": base64.b64encode(state.edges).decode(),
        "pool": state.pool.to_json(),
        "config": state.config.model_dump(mode="json", exclude_defaults=True),
        "ids": [state.ids.base, state.ids.fake_prefix, state.ids.count],
        "ready": [list(entry) for entry in state.ready],
        "running": {
            key: [run.attempt, run.execution_id, run.due_at, run.asks]
            for key, run in state.running.items()
        },
        "outputs": state.outputs,
        "usage": None if state.usage is None else state.usage.model_dump(mode="json"),
        "steps": state.steps,
        "exceptions": state.exceptions,
        "events": state.events,
        "started_at": state.started_at,
        "now": state.now,
        "fixed_time": state.fixed_time,
        "draining": state.draining,
        "failure": None if state.failure is None else state.failure.model_dump(mode="json"),
        **_dump_waits(state),
    }


def _dump_waits(state: RunState) -> dict[str, Any]:
    """What most runs never have; left out where it is so."""
    dumped: dict[str, Any] = {}
    if state.repeats:
        dumped["repeats"] = {k: v.model_dump(mode="json") for k, v in state.repeats.items()}
    if state.asked:
        dumped["asked"] = {
            k: [v.token, v.form.model_dump(mode="json")] for k, v in state.asked.items()
        }
    if state.joins:
        dumped["joins"] = dict(state.joins)
    for name in ("paused", "stopping", "waited_ms"):
        if getattr(state, name):
            dumped[name] = getattr(state, name)
    if state.held:
        dumped["held"] = list(state.held)
    if state.idle_since is not None:
        dumped["idle_since"] = state.idle_since
    if state.debug is not None:
        dumped["debug"] = state.debug.model_dump(mode="json")
    if state.said is not None:
        dumped["said"] = [[one.node, one.length, one.by_itself] for one in state.said]
    return dumped


def load_state(data: dict[str, Any]) -> RunState:
    """The state that ``dump_state`` wrote. Keys that a newer version adds must have defaults
    here."""
    failure, usage, debug = data.get("failure"), data.get("usage"), data.get("debug")
    said = data.get("said")
    return RunState(
        phase=data["phase"],
        nodes=base64.b64decode(data["nodes"]),
        edges=base64.b64decode(data["edges"]),
        pool=VariablePool(data["pool"]),
        config=EngineConfig.model_validate(data["config"]),
        ids=IdSequence(*data["ids"]),
        ready=tuple((node, predecessor) for node, predecessor in data["ready"]),
        running=PersistentMap({key: Running(*run) for key, run in data["running"].items()}),
        outputs=data["outputs"],
        usage=None if usage is None else LlmUsage.model_validate(usage),
        steps=data["steps"],
        exceptions=data["exceptions"],
        events=data["events"],
        started_at=data["started_at"],
        now=data["now"],
        fixed_time=data.get("fixed_time", False),
        draining=data.get("draining", False),
        failure=None if failure is None else RunFailure.model_validate(failure),
        repeats=PersistentMap(
            {k: Progress.model_validate(v) for k, v in data.get("repeats", {}).items()}
        ),
        asked=PersistentMap(
            {k: Asked(v[0], Form.model_validate(v[1])) for k, v in data.get("asked", {}).items()}
        ),
        joins=PersistentMap(data.get("joins", {})),
        paused=data.get("paused", False),
        stopping=data.get("stopping", False),
        held=tuple(data.get("held", ())),
        waited_ms=data.get("waited_ms", 0),
        idle_since=data.get("idle_since"),
        debug=None if debug is None else DebugState.model_validate(debug),
        said=None if said is None else tuple(Said(*one) for one in said),
    )
