"""``RunState``: everything that is known of a run between two facts. Frozen, and serialisable.

Law (tests/properties): dumping and loading a state between any two facts changes nothing. Continue-
as-new, readers of closed runs, fork and debugger stand on it.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, Literal

from xworkflow.domain.ids import IdSequence
from xworkflow.domain.outcome import RunFailure
from xworkflow.domain.persistent import PersistentMap
from xworkflow.domain.plan import Plan
from xworkflow.domain.policy import EngineConfig
from xworkflow.domain.pool import VariablePool
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
    """A node that was started and has not ended. Attempts count from 1; ``due_at`` (Unix ms) is set
    while it waits for its next attempt."""

    attempt: int
    execution_id: str
    due_at: int | None = None

    @property
    def waiting(self) -> bool:
        return self.due_at is not None


@dataclass(frozen=True, slots=True)
class RunState:
    """One run, between two facts.

    ``nodes`` and ``edges`` hold one phase per byte, by plan index. ``ready`` is the stack of nodes
    that may start, each with the index of the node that enqueued it (-1 for none). ``running`` is
    keyed by the node's index as text. Times are Unix milliseconds.
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

    @property
    def elapsed_ms(self) -> int:
        """Milliseconds of activity so far."""
        return max(0, self.now - self.started_at)


def initial_state(  # noqa: PLR0913 - the parts of a run, each independent
    plan: Plan,
    *,
    pool: VariablePool,
    config: EngineConfig,
    id_base: str,
    fake_id_prefix: str | None = None,
    fixed_timestamp: int | None = None,
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
    )


def dump_state(state: RunState) -> dict[str, Any]:
    """The state as plain JSON data."""
    return {
        "phase": state.phase,
        "nodes": base64.b64encode(state.nodes).decode(),
        "edges": base64.b64encode(state.edges).decode(),
        "pool": state.pool.to_json(),
        "config": state.config.model_dump(mode="json"),
        "ids": [state.ids.base, state.ids.fake_prefix, state.ids.count],
        "ready": [list(entry) for entry in state.ready],
        "running": {
            key: [run.attempt, run.execution_id, run.due_at] for key, run in state.running.items()
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
    }


def load_state(data: dict[str, Any]) -> RunState:
    """The state that ``dump_state`` wrote. Keys that a newer version adds must have defaults
    here."""
    failure, usage = data.get("failure"), data.get("usage")
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
    )
